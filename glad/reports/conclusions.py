"""The three questions of whoever decides, answered in plain words; what is missing names its command."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glad.evaluation.cost import sentences
from glad.evaluation.rows import BEFORE, FULL, SET
from glad.evaluation.summary import macro_differs
from glad.reports.commands import audit_command, distill_command, evaluate_command
from glad.reports.run_data import RunData
from glad.reports.run_results import RowAccuracies, RunResults
from glad.runs.formatting import count, duration, join_words, percent, plural, points, share, size, times

QUESTIONS = ("What does it save?", "Does it transfer to other networks?", "What do we depend on?")
SEEDS = 5  # from so many on the interval of paired differences decides; of fewer it is too narrow
BESIDE = {
    BEFORE: "the set before optimization",
    "random": "random real images",
    "kmeans": "real images nearest to k-means centers",
    "herding": "real images by herding",
}
"""What a set has to beat, by the kind of the row."""
BETTER, LEVEL, WORSE, UNKNOWN = "better", "level", "worse", "unknown"


@dataclass(frozen=True)
class Missing:
    """What nobody has measured yet, and the command that does."""

    what: str
    command: str


@dataclass(frozen=True)
class Conclusion:
    """One question about one run: the conclusion in a few words, the numbers behind it, and what is missing."""

    headline: str
    lines: tuple[str, ...]
    missing: tuple[Missing, ...] = ()


def draw_conclusions(run_data: RunData) -> tuple[Conclusion, ...]:
    """A conclusion for each of ``QUESTIONS``."""
    return _savings(run_data), _transfer(run_data), _dependencies(run_data)


def _unfinished(run_data: RunData) -> Missing:
    left = f"{count(run_data.done)} of {plural(run_data.iterations, 'iteration')} are done"
    return Missing(f"The run is unfinished, {left}. This continues it:", distill_command(run_data))


def _savings(run_data: RunData) -> Conclusion:
    """Images, bytes, accuracy and time beside the full data."""
    if run_data.pixels is None:
        return Conclusion("Nothing yet", ("The run has not begun: no set is written.",), (_unfinished(run_data),))
    images, full = run_data.pixels[0], run_data.inputs.get("training_images")
    one = math.prod(run_data.pixels[1:])
    lines, headline = [], plural(images, "image")
    if full:
        headline = f"{times(full / images)} times fewer images"
        lines.append(
            f"{plural(images, 'synthetic image')} in place of {count(full)} real ones; as plain 8-bit pixels "
            f"{size(images * one)} in place of {size(full * one)}."
        )
    own, whole = (run_data.results.row(kind) if run_data.results else None for kind in (SET, FULL))
    cost: Mapping[str, Any] = {}
    if run_data.results and own:
        cost = (run_data.results.content.get("cost") or {}).get(own.id, {})
        lines += sentences(run_data.results.content, own.id, run_data.label)  # which say how long distilling took
    if not cost and run_data.seconds is not None:
        lines.append(f"Distilling took {duration(run_data.seconds)} ({plural(run_data.done, 'iteration')}).")
    if cost.get("pays_after"):
        headline += f", paid for after {plural(cost['pays_after'], 'training')}"
    if run_data.results and own and whole:
        lines += _beside_full(run_data.results, own, whole)
    return Conclusion(headline, tuple(lines), _not_measured(run_data, full=bool(whole), cost=bool(cost)))


def _not_measured(run_data: RunData, full: bool, cost: bool) -> tuple[Missing, ...]:
    """What the first conclusion lacks, in one command."""
    if not run_data.finished:
        return (_unfinished(run_data),)
    what = [] if full else ["what the full data would reach"]
    options = [] if full else ["--baselines", "full"]
    if not cost:
        what.append("the time, samples and bytes of training to a given accuracy")
        what.append("after how many trainings the distillation has paid for itself")
        options.append("--cost")
    return (Missing(f"Not measured: {join_words(what)}.", evaluate_command(run_data, *options)),) if what else ()


def _beside_full(results: RunResults, own: RowAccuracies, whole: RowAccuracies) -> list[str]:
    """Accuracy and time against training on all images."""
    lines = []
    pairs = (
        (f"{results.seen} (seen)", own.seen, whole.seen),
        ("the other networks (cross-architecture)", own.cross, whole.cross),
    )
    for label, ours, theirs in pairs:
        if ours and theirs and theirs["mean"]:
            part = share(ours["mean"] / theirs["mean"])
            both = f"{percent(ours)} % against {percent(theirs)} % with all images"
            lines.append(f"{results.split.capitalize()} accuracy of {label}: {both}, {part} of it.")
    set_seconds, full_seconds = (
        [float(c["seconds"]) for c in results.cells if c["row"] == row.id and c["network"] == results.seen]
        for row in (own, whole)
    )
    if set_seconds and full_seconds:
        epochs = results.epochs
        a, b = (duration(statistics.fmean(seconds)) for seconds in (set_seconds, full_seconds))
        during = f" for {count(epochs)} epochs" if isinstance(epochs, int) else ""
        lines.append(f"Training {results.seen}{during} and testing it took {a} against {b}.")
    return lines


def _transfer(run_data: RunData) -> Conclusion:
    """The other architectures against the seen one, and both against the baselines."""
    results = run_data.results
    if results is None and not run_data.finished:
        return Conclusion("Not measured", ("The run is unfinished.",))
    own = results.row(SET) if results else None
    if results is None or own is None:
        return Conclusion(
            "Not measured", (), (Missing("No network was trained on this set.", evaluate_command(run_data)),)
        )
    lines, missing = [], []
    if not results.complete:
        missing.append(
            Missing("The evaluation is unfinished: these are its first trainings.", evaluate_command(run_data))
        )
    measured = f"{results.split} accuracy in %, {plural(len(results.seeds), 'seed')}"
    if own.seen is not None:
        macro = _macro(results, own.macro.seen)
        lines.append(f"On {results.seen}, the seen architecture: {percent(own.seen)} ({measured}{macro}).")
    if own.cross is None:
        if results.complete:
            missing.append(Missing("No other network was trained.", evaluate_command(run_data, "--networks", "vit")))
        return Conclusion("Not measured", tuple(lines), tuple(missing))
    others = [name for name in results.networks if name != results.seen and own.networks.get(name)]
    macro = _macro(results, own.macro.cross)
    lines.append(f"Cross-architecture ({join_words(others)}): {percent(own.cross)}{macro}.")
    compared = _against(run_data, results, own)
    lines += [f"Against {name} ({percent(row.cross)}): {said}." for name, row, _, said in compared]
    if results.settings["label_mode"] != "hard":
        lines.append(f"All sets were trained on with {results.settings['label_mode']} labels.")
    return Conclusion(_verdict({name: kind for name, _, kind, _ in compared}, own), tuple(lines), tuple(missing))


def _macro(results: RunResults, entry: Mapping[str, Any] | None) -> str:
    """The mean over classes beside an accuracy, where the two differ."""
    return f", macro accuracy {percent(entry)}" if macro_differs(results.cells) else ""


def _verdict(kinds: Mapping[str, str], own: RowAccuracies) -> str:
    """Yes only where every baseline is beaten; the worst comparison decides."""
    if not kinds:
        return f"{percent(own.cross)} %, beside nothing"
    if UNKNOWN in kinds.values():
        return "Not known from one seed"
    for kind, words in ((WORSE, "No: worse than"), (LEVEL, "Level with")):
        if named := [name for name, found in kinds.items() if found == kind]:
            return f"{words} {join_words(named)}"
    return "Yes: better than every baseline"


def _against(run_data: RunData, results: RunResults, own: RowAccuracies) -> list[tuple[str, RowAccuracies, str, str]]:
    """Cross-architecture accuracy beside each baseline of the set's size: its name, row and verdict, and words."""
    stored = results.content.get("stored", {}).get(own.id, {})
    ipc = stored["real_images"][0] if "real_images" in stored else run_data.config.get("ipc")
    rows = [row for row in results.rows if row.row.kind in BESIDE and row.row.ipc in (None, ipc)]
    intervals = {
        entry["against"]: entry["cross"]
        for entry in results.content.get("differences") or []
        if entry["row"] == own.id and entry["cross"] and entry["cross"]["n"] >= SEEDS
    }
    bytes_ = " of as many bytes" if results.content.get("config", {}).get("equal") == "bytes" else ""
    found = []
    for row in rows:
        if own.cross and row.cross:
            name, interval = BESIDE[row.row.kind] + bytes_ * (row.row.kind != BEFORE), intervals.get(row.id)
            kind, said = _by_interval(interval) if interval else _by_deviation(own.cross, row.cross)
            found.append((name, row, kind, said))
    return found


def _by_interval(paired: Mapping[str, Any]) -> tuple[str, str]:
    """Whether the interval of paired differences holds zero."""
    kind = BETTER if paired["low"] > 0 else WORSE if paired["high"] < 0 else LEVEL
    between = f"{points(paired['low'])} to {points(paired['high'])} in 95 % of resampled seeds"
    return kind, f"{kind}, {points(paired['mean'])} points ({between})"


def _by_deviation(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, str]:
    """Whether the means differ by more than both deviations together."""
    difference = ours["mean"] - theirs["mean"]
    if ours["std"] is None or theirs["std"] is None:
        return UNKNOWN, f"{points(difference)} points, of one seed, which says little"
    if abs(difference) <= math.hypot(ours["std"], theirs["std"]):
        return LEVEL, f"level, {points(difference)} points, within the deviations"
    kind = BETTER if difference > 0 else WORSE
    return kind, f"{kind}, {points(difference)} points, beyond the deviations"


def _dependencies(run_data: RunData) -> Conclusion:
    """Weights, data, and what the audit says of the prior."""
    weights, hashes = run_data.run.weights, run_data.inputs["hashes"]
    prior, data = (str(run_data.config.get(key)) for key in ("prior", "data"))
    lines = []
    if weights is not None:
        headline = f"Weights {weights.name}"
        lines.append(f"License: {weights.license.in_words()}. Source: {weights.file or weights.source}.")
        lines.append(f"SHA-256 of the weights: {weights.sha256 or 'not recorded'}")
    else:
        headline = "No pretrained weights"
        lines.append(f"The prior is {prior}, which has none.")
    trained = run_data.inputs.get("training_images")
    of = f", {plural(trained, 'training image')}" if trained else ""
    lines.append(f"Data: {data}{of}. Hash: {hashes['data']}")
    if hashes.get("experts"):
        lines.append(f"Experts: {run_data.config.get('experts')}. Hash: {hashes['experts']}")
    said = (run_data.audit or {}).get("verdicts", {}).get("prior")
    if said:
        lines.append(f"Bias of the prior: {said}")
    absent = Missing("Not checked: what the prior prefers, and what the set copied.", audit_command(run_data))
    return Conclusion(headline, tuple(lines), (absent,) if run_data.audit is None and run_data.finished else ())
