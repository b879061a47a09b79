"""Tables of results, those of several runs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad.reports.charts import Bars, bars
from glad.reports.formatting import ABSENT, count, counted, duration, percent, points, share, size
from glad.reports.run_data import BEFORE, Facts, Results, Row, understood


@dataclass(frozen=True)
class Table:
    """Cells as text; ``best`` are rows and columns of the highest numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """Runs that were evaluated alike: their table, a chart per network, and paired differences if there are some."""

    table: Table
    charts: tuple[Bars, ...]
    differences: Table | None
    complete: bool


def comparisons(runs: Sequence[Facts]) -> list[Comparison]:
    """The results of all runs, those apart that were made under other settings."""
    groups: dict[str, list[tuple[Facts, Results]]] = {}
    for facts in runs:
        if facts.results is not None:
            groups.setdefault(facts.results.comparable, []).append((facts, facts.results))
    return [_comparison(group) for group in groups.values()]


def _comparison(group: Sequence[tuple[Facts, Results]]) -> Comparison:
    results = group[0][1]
    rows = _merged(group)
    ranked = sorted(rows, key=lambda item: item[0].kind == "full")  # all training images come last
    others = [name for name in results.networks if name != results.same]
    columns = [("set", None), (f"{results.same} (same)", results.same), *((name, name) for name in others)]
    values = [[row.networks.get(name) for _, name in columns[1:] if name] + [row.cross] for row, _ in ranked]
    epochs, seeds = results.settings.get("epochs"), counted(len(results.seeds), "seed")
    told = f"{results.split.capitalize()} accuracy in %, mean ± sample deviation over {seeds}"
    table = Table(
        caption=told + (f", {count(epochs)} epochs" if isinstance(epochs, int) else ""),
        columns=(*(title for title, _ in columns), "unseen networks"),
        rows=tuple((row.name, *map(percent, entries)) for (row, _), entries in zip(ranked, values, strict=True)),
        best=_best(ranked, values),
    )
    return Comparison(
        table, _charts(results, others, ranked), _differences(group), all(entry.complete for _, entry in group)
    )


def _merged(group: Sequence[tuple[Facts, Results]]) -> list[tuple[Row, int]]:
    """All rows with the number of the run each is from; equal baselines of several runs once."""
    rows: list[tuple[Row, int]] = []
    for place, (facts, results) in enumerate(group):
        for row in results.rows:
            shared = row.kind in ("real", "full", "other") and any(row == there for there, _ in rows)
            if not shared:
                named = {"run": facts.label, "before": facts.label + BEFORE}.get(row.kind, row.name)
                rows.append((Row(named, row.kind, row.same, row.cross, row.networks), place))
    return rows


def _best(
    rows: Sequence[tuple[Row, int]], values: Sequence[Sequence[Mapping[str, Any] | None]]
) -> frozenset[tuple[int, int]]:
    best = set()
    for column in range(len(values[0])):
        means = [
            (entries[column]["mean"], place)  # type: ignore[index]
            for place, ((row, _), entries) in enumerate(zip(rows, values, strict=True))
            if entries[column] is not None and row.kind != "full"
        ]
        if len(means) > 1:
            best |= {(place, column + 1) for mean, place in means if mean == max(means)[0]}
    return frozenset(best)


def _charts(results: Results, others: Sequence[str], rows: Sequence[tuple[Row, int]]) -> tuple[Bars, ...]:
    """The network distilled with, the mean of the unseen ones, and each of these."""
    picked = [(f"{results.same}, distilled with", [row.same for row, _ in rows])]
    if len(others) > 1:
        picked.append(("mean of the unseen networks", [row.cross for row, _ in rows]))
    picked += [(f"{name}, unseen", [row.networks.get(name) for row, _ in rows]) for name in others]
    known = [entry for _, entries in picked for entry in entries if entry]
    most = max(entry["mean"] + (entry["std"] or 0) for entry in known)
    charts = []
    for title, entries in picked:
        shown = [(row.name, row.kind, place, e) for (row, place), e in zip(rows, entries, strict=True) if e]
        if shown:
            charts.append(bars(title, shown, min(1.0, most)))
    return tuple(charts)


def _differences(group: Sequence[tuple[Facts, Results]]) -> Table | None:
    """Paired differences in percentage points, with the interval over seeds."""
    rows = []
    for facts, results in group:
        with understood(facts.run.path / "results.json"):
            for entry in results.content.get("differences") or []:
                row = (f"{entry['set']} − {entry['against']}", _interval(entry["same"]), _interval(entry["cross"]))
                rows += [row] if row not in rows else []
    caption = "Paired differences on shared seeds in points, with the 95 % bootstrap interval over seeds"
    return Table(caption, ("sets", "same network", "unseen networks"), tuple(rows)) if rows else None


def _interval(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ABSENT
    between = "" if entry["low"] is None else f" ({points(entry['low'])} to {points(entry['high'])})"
    return f"{points(entry['mean'])}{between}, n = {entry['n']}"


def cost(content: Mapping[str, Any]) -> Table | None:
    """What training took to the same accuracy, on the set and on the full data."""
    entries = content.get("cost") or {}
    if not entries:
        return None
    goal = next(iter(entries.values()))
    rows = tuple(
        (
            name,
            "yes" if entry["race"]["reached"] else f"no, {share(entry['race']['accuracy'])}",
            duration(entry["race"]["seconds"]),
            *(count(entry["race"][key]) for key in ("updates", "samples")),
            size(entry["race"]["bytes"]),
        )
        for name, entry in entries.items()
    )
    told = f"{share(goal['target'])}, {share(goal['reach'])} of what the full data teach it (seed {goal['seed']})"
    columns = ("trained on", "reached", "time", "updates", "images seen", "bytes of the set")
    return Table(f"What it took {goal['network']} to know {told}", columns, rows)


SCORES = {
    "lrs": "LRS, label-robust score",
    "ars": "ARS, augmentation-robust score",
    "hlr": "hard-label recovery: full data less the set, both with hard labels; less is better",
    "ior": "improvement over random",
    "ior_augmented": "improvement over random with augmentation",
    "ior_plain": "improvement over random without augmentation",
}


def scores(content: Mapping[str, Any], name: str) -> Table | None:
    """LRS and ARS of the set called ``name``, with their parts."""
    entry = (content.get("scores") or {}).get(name)
    if entry is None:
        return None
    rows = [
        (words, f"{entry[key]:.1f} %" if key in ("lrs", "ars") else f"{points(entry[key])} points")
        for key, words in SCORES.items()
    ]
    rows += [(f"accuracy: {key.replace('_', ' ')}", share(value)) for key, value in entry["accuracies"].items()]
    caption = "Formulas of DD-Ranking; not comparable with its leaderboard, whose networks and epochs are others"
    return Table(caption, ("score", "value"), tuple(rows))
