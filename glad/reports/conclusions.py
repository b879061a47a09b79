"""The three questions of whoever decides, answered in plain words; what is missing names its command."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glad.evaluation.cost import sentences
from glad.evaluation.rows import BEFORE, FULL, SET
from glad.reports.commands import audit_command, distill_command, evaluate_command
from glad.reports.formatting import count, counted, duration, listed, percent, points, share, size, times
from glad.reports.run_data import Facts
from glad.reports.run_results import RowResult, RunResults

QUESTIONS = ("What does it save?", "Does it hold on another network?", "What do we depend on?")
SEEDS = 5  # from so many on the interval of paired differences decides; of fewer it is too narrow
BESIDE = {
    BEFORE: "the set before optimisation",
    "random": "random real images",
    "kmeans": "real images nearest to k-means centres",
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
class Answer:
    """One question about one run: the answer in a few words, the numbers behind it, and what is missing."""

    headline: str
    lines: tuple[str, ...]
    missing: tuple[Missing, ...] = ()


def answers(facts: Facts) -> tuple[Answer, ...]:
    """An answer to each of ``QUESTIONS``."""
    return _saved(facts), _held(facts), _depended(facts)


def _unfinished(facts: Facts) -> Missing:
    left = f"{count(facts.done)} of {counted(facts.iterations, 'iteration')} are done"
    return Missing(f"The run is unfinished, {left}. This continues it:", distill_command(facts))


def _saved(facts: Facts) -> Answer:
    """Images, bytes, accuracy and time beside the full data."""
    if facts.pixels is None:
        return Answer("Nothing yet", ("The run has not begun: no set is written.",), (_unfinished(facts),))
    images, full = facts.pixels[0], facts.inputs.get("training_images")
    one = math.prod(facts.pixels[1:])
    lines, headline = [], counted(images, "image")
    if full:
        headline = f"{times(full / images)} times fewer images"
        lines.append(
            f"{counted(images, 'synthetic image')} in place of {count(full)} real ones; as plain 8-bit pixels "
            f"{size(images * one)} in place of {size(full * one)}."
        )
    own, whole = (facts.results.row(kind) if facts.results else None for kind in (SET, FULL))
    cost: Mapping[str, Any] = {}
    if facts.results and own:
        cost = (facts.results.content.get("cost") or {}).get(own.id, {})
        lines += sentences(facts.results.content, own.id, facts.label)  # which say how long distilling took
    if not cost and facts.seconds is not None:
        lines.append(f"Distilling took {duration(facts.seconds)} ({counted(facts.done, 'iteration')}).")
    if cost.get("pays_after"):
        headline += f", paid for after {counted(cost['pays_after'], 'training')}"
    if facts.results and own and whole:
        lines += _beside_full(facts.results, own, whole)
    return Answer(headline, tuple(lines), _not_measured(facts, full=bool(whole), cost=bool(cost)))


def _not_measured(facts: Facts, full: bool, cost: bool) -> tuple[Missing, ...]:
    """What the first answer lacks, in one command."""
    if not facts.finished:
        return (_unfinished(facts),)
    what = [] if full else ["what the full data would reach"]
    options = [] if full else ["--baselines", "full"]
    if not cost:
        what.append("the time, samples and bytes of training to a given accuracy")
        what.append("after how many trainings the distillation has paid for itself")
        options.append("--cost")
    return (Missing(f"Not measured: {listed(what)}.", evaluate_command(facts, *options)),) if what else ()


def _beside_full(results: RunResults, own: RowResult, whole: RowResult) -> list[str]:
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


def _held(facts: Facts) -> Answer:
    """The other architectures against the seen one, and both against the baselines."""
    results = facts.results
    if results is None and not facts.finished:
        return Answer("Not measured", ("The run is unfinished.",))
    own = results.row(SET) if results else None
    if results is None or own is None:
        return Answer("Not measured", (), (Missing("No network was trained on this set.", evaluate_command(facts)),))
    lines, missing = [], []
    if not results.complete:
        missing.append(Missing("The evaluation is unfinished: these are its first trainings.", evaluate_command(facts)))
    measured = f"{results.split} accuracy in %, {counted(len(results.seeds), 'seed')}"
    if own.seen is not None:
        lines.append(f"On {results.seen}, the seen architecture: {percent(own.seen)} ({measured}).")
    if own.cross is None:
        if results.complete:
            missing.append(Missing("No other network was trained.", evaluate_command(facts, "--networks", "vit")))
        return Answer("Not measured", tuple(lines), tuple(missing))
    others = [name for name in results.networks if name != results.seen and own.networks.get(name)]
    lines.append(f"Cross-architecture ({listed(others)}): {percent(own.cross)}.")
    compared = _against(facts, results, own)
    lines += [f"Against {name} ({percent(row.cross)}): {said}." for name, row, _, said in compared]
    if results.settings["label_mode"] != "hard":
        lines.append(f"All sets were trained on with {results.settings['label_mode']} labels.")
    return Answer(_verdict({name: kind for name, _, kind, _ in compared}, own), tuple(lines), tuple(missing))


def _verdict(kinds: Mapping[str, str], own: RowResult) -> str:
    """Yes only where every baseline is beaten; the worst comparison decides."""
    if not kinds:
        return f"{percent(own.cross)} %, beside nothing"
    if UNKNOWN in kinds.values():
        return "Not known from one seed"
    for kind, words in ((WORSE, "No: worse than"), (LEVEL, "Level with")):
        if named := [name for name, found in kinds.items() if found == kind]:
            return f"{words} {listed(named)}"
    return "Yes: better than every baseline"


def _against(facts: Facts, results: RunResults, own: RowResult) -> list[tuple[str, RowResult, str, str]]:
    """Cross-architecture accuracy beside each baseline of as many images: its name, row and verdict, and words."""
    ipc = facts.config.get("ipc")
    rows = [row for row in results.rows if row.row.kind in BESIDE and row.row.ipc in (None, ipc)]
    intervals = {
        entry["against"]: entry["cross"]
        for entry in results.content.get("differences") or []
        if entry["row"] == own.id and entry["cross"] and entry["cross"]["n"] >= SEEDS
    }
    found = []
    for row in rows:
        if own.cross and row.cross:
            name, interval = BESIDE[row.row.kind], intervals.get(row.id)
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


def _depended(facts: Facts) -> Answer:
    """Weights, data, and what the audit says of the prior."""
    weights, hashes = facts.run.weights, facts.inputs["hashes"]
    prior, data = (str(facts.config.get(key)) for key in ("prior", "data"))
    lines = []
    if weights is not None:
        headline = f"Weights {weights.name}"
        lines.append(f"License: {weights.license.in_words()}. Source: {weights.file or weights.source}.")
        lines.append(f"SHA-256 of the weights: {weights.sha256 or 'not recorded'}")
    else:
        headline = "No pretrained weights"
        lines.append(f"The prior is {prior}, which has none.")
    trained = facts.inputs.get("training_images")
    of = f", {counted(trained, 'training image')}" if trained else ""
    lines.append(f"Data: {data}{of}. Hash: {hashes['data']}")
    if hashes.get("experts"):
        lines.append(f"Experts: {facts.config.get('experts')}. Hash: {hashes['experts']}")
    said = (facts.audit or {}).get("verdicts", {}).get("prior")
    if said:
        lines.append(f"Bias of the prior: {said}")
    absent = Missing("Not checked: what the prior prefers, and what the set copied.", audit_command(facts))
    return Answer(headline, tuple(lines), (absent,) if facts.audit is None and facts.finished else ())
