"""Tables of results, those of several runs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad.evaluation.rows import BEFORE, FULL, SET, ResultRow
from glad.evaluation.summary import macro_differs
from glad.reports.run_data import RunData
from glad.reports.run_results import Accuracies, RowAccuracies, RunResults, explain_damage
from glad.runs.charts import Chart, bars
from glad.runs.formatting import ABSENT, count, duration, percent, plural, points, share, size

ACCURACY, MACRO = "accuracy", "macro accuracy (mean of the classes' accuracies)"


@dataclass(frozen=True)
class TextTable:
    """Cells as text; ``best`` are rows and columns of the highest numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """Runs that were evaluated alike: their table, a chart per network, and paired differences if there are some.

    ``macro`` has the tables of macro accuracy, where it differs from accuracy.
    """

    table: TextTable
    charts: tuple[Chart, ...]
    differences: TextTable | None
    macro: tuple[TextTable, ...]
    complete: bool


def comparisons(runs: Sequence[RunData]) -> list[Comparison]:
    """The results of all runs, the last evaluations first; those apart that were made under other settings."""
    groups: dict[str, list[tuple[RunData, RunResults]]] = {}
    for place in range(max((len(run_data.evaluations) for run_data in runs), default=0)):
        for run_data in runs:
            for results in run_data.evaluations[place : place + 1]:
                groups.setdefault(results.comparable, []).append((run_data, results))
    return [_comparison(group) for group in groups.values()]


def _comparison(group: Sequence[tuple[RunData, RunResults]]) -> Comparison:
    results = group[0][1]
    rows = _merge_rows(group)
    ranked = sorted(rows, key=lambda item: item[0].row.kind == FULL)  # all training images come last
    others = [name for name in results.networks if name != results.seen]
    macro: list[TextTable | None] = []
    if any(macro_differs(found.cells) for _, found in group):
        macro = [_accuracies(results, ranked, others, MACRO), _differences(group, macro=True)]
    return Comparison(
        table=_accuracies(results, ranked, others),
        charts=_charts(results, others, ranked),
        differences=_differences(group),
        macro=tuple(table for table in macro if table is not None),
        complete=all(entry.complete for _, entry in group),
    )


def _accuracies(
    results: RunResults, ranked: Sequence[tuple[RowAccuracies, int]], others: Sequence[str], measure: str = ACCURACY
) -> TextTable:
    """A row per set, a column per network."""
    found: list[Accuracies] = [row.macro if measure == MACRO else row for row, _ in ranked]
    values = [[entry.networks.get(name) for name in (results.seen, *others)] + [entry.cross] for entry in found]
    return TextTable(
        caption=_caption(results, measure),
        columns=("set", f"{results.seen} (seen)", *others, "cross-architecture"),
        rows=tuple((row.row.label, *map(percent, entries)) for (row, _), entries in zip(ranked, values, strict=True)),
        best=_best(ranked, values),
    )


def _caption(results: RunResults, measure: str) -> str:
    """How accuracies were measured."""
    stated = f"{results.settings['split'].capitalize()} {measure} in %, mean ± sample deviation over "
    stated += plural(len(results.seeds), "seed")
    stated += f", {count(results.epochs)} epochs" if isinstance(results.epochs, int) else ""
    stated += ", soft labels" if results.settings["label_mode"] == "soft" else ""
    name = results.content.get("protocol_name", "default")
    return stated + (f", protocol {name}" if name != "default" else "")


def _merge_rows(group: Sequence[tuple[RunData, RunResults]]) -> list[tuple[RowAccuracies, int]]:
    """All rows with the number of the run each is from; equal baselines of several runs once."""
    rows: list[tuple[RowAccuracies, int]] = []
    for place, (_, results) in enumerate(group):
        for row in results.rows:
            if row.row.owner is not None or all(row != there for there, _ in rows):
                rows.append((row, place))
    return rows


def _best(
    rows: Sequence[tuple[RowAccuracies, int]], values: Sequence[Sequence[Mapping[str, Any] | None]]
) -> frozenset[tuple[int, int]]:
    best = set()
    for column in range(len(values[0])):
        means = [
            (entries[column]["mean"], place)  # type: ignore[index]
            for place, ((row, _), entries) in enumerate(zip(rows, values, strict=True))
            if entries[column] is not None and row.row.kind != FULL
        ]
        if len(means) > 1:
            best |= {(place, column + 1) for mean, place in means if mean == max(means)[0]}
    return frozenset(best)


def _charts(results: RunResults, others: Sequence[str], rows: Sequence[tuple[RowAccuracies, int]]) -> tuple[Chart, ...]:
    """The seen architecture, the mean cross-architecture, and each of the other networks."""
    picked = [(f"{results.seen} (seen)", [row.seen for row, _ in rows])]
    if len(others) > 1:
        picked.append(("mean cross-architecture", [row.cross for row, _ in rows]))
    picked += [(name, [row.networks.get(name) for row, _ in rows]) for name in others]
    known = [entry for _, entries in picked for entry in entries if entry]
    most = max(entry["mean"] + (entry["std"] or 0) for entry in known)
    charts = []
    for title, entries in picked:
        shown = [(row.row.label, _style(row.row), place, e) for (row, place), e in zip(rows, entries, strict=True) if e]
        if shown:
            charts.append(bars(title, shown, min(1.0, most)))
    return tuple(charts)


def _style(row: ResultRow) -> str:
    """How a bar looks: those of sets stand out."""
    return {SET: "run", BEFORE: "before", FULL: "full"}.get(row.kind, "real")


def _differences(group: Sequence[tuple[RunData, RunResults]], macro: bool = False) -> TextTable | None:
    """Paired differences in percentage points, with the interval over seeds."""
    rows = []
    for run_data, results in group:
        with explain_damage(run_data.run.path / "results.json"):
            for entry in results.content.get("differences") or []:
                one, other = (results.labels.get(entry[side], entry[side]) for side in ("row", "against"))
                found = entry.get("macro", {}) if macro else entry
                row = (f"{one} − {other}", _interval(found.get("seen")), _interval(found.get("cross")))
                rows += [row] if row not in rows else []
    of = " of macro accuracy" * macro
    caption = f"Paired differences{of} on shared seeds in points, with the 95 % bootstrap interval over seeds"
    return TextTable(caption, ("sets", "seen architecture", "cross-architecture"), tuple(rows)) if rows else None


def _interval(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ABSENT
    between = "" if entry["low"] is None else f" ({points(entry['low'])} to {points(entry['high'])})"
    return f"{points(entry['mean'])}{between}, n = {entry['n']}"


def storage(results: RunResults) -> TextTable | None:
    """What each row takes to store; the weights that images are rendered with are no part of it."""
    entries = results.content.get("stored") or {}
    if not entries:
        return None
    rows = tuple(
        (
            results.labels[name],
            size(entry["per_class"]),
            *(size(entry[part]) for part in ("latents", "shared", "labels")),
            ABSENT if entry["weights"] is None else size(entry["weights"]),
        )
        for name, entry in entries.items()
    )
    columns = ("set", "per class", "latents or images", "shared by rows", "labels", "pretrained weights, apart")
    return TextTable("What is stored, in bytes; latents have 32 bits a number, real images 8", columns, rows)


def cost(results: RunResults) -> TextTable | None:
    """What training took to the same accuracy, on the set and on the full data."""
    entries = results.content.get("cost") or {}
    if not entries:
        return None
    goal = next(iter(entries.values()))
    rows = tuple(
        (
            results.labels[name],
            "yes" if entry["training"]["reached"] else f"no, {share(entry['training']['accuracy'])}",
            duration(entry["training"]["seconds"]),
            *(count(entry["training"][key]) for key in ("updates", "samples")),
            size(entry["training"]["bytes"]),
        )
        for name, entry in entries.items()
    )
    stated = f"{share(goal['target'])}, {share(goal['reach'])} of that of the full data (seed {goal['seed']})"
    columns = ("trained on", "reached", "time", "updates", "images seen", "bytes of the set")
    return TextTable(f"What it took {goal['network']} to reach a test accuracy of {stated}", columns, rows)


SCORES = {
    "lrs": "LRS, label-robust score",
    "ars": "ARS, augmentation-robust score",
    "hlr": "hard-label recovery: full data less the set, both with hard labels; less is better",
    "ior": "improvement over random",
    "ior_augmented": "improvement over random with augmentation",
    "ior_plain": "improvement over random without augmentation",
}


def scores(results: RunResults, row: str) -> TextTable | None:
    """LRS and ARS of the set with the id ``row``, with their parts."""
    entry = (results.content.get("scores") or {}).get(row)
    if entry is None:
        return None
    rows = [
        (words, f"{entry[key]:.1f} %" if key in ("lrs", "ars") else f"{points(entry[key])} points")
        for key, words in SCORES.items()
    ]
    rows += [(f"accuracy: {key.replace('_', ' ')}", share(value)) for key, value in entry["accuracies"].items()]
    caption = "Formulas of DD-Ranking; not comparable with its leaderboard, whose networks and epochs are others"
    return TextTable(caption, ("score", "value"), tuple(rows))
