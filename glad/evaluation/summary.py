"""From cells to means, deviations and paired differences, the seen architecture and the others apart.

The seen architecture is the network that a set was distilled with; cross-architecture is the mean over all others.

A seed gives every set the same initial networks, so two sets are compared seed by seed. The interval is the percentile
bootstrap's (Efron, Annals of Statistics 1979) over seeds: it says how much the mean would move with other networks, and
nothing of distilling again. With few seeds it is too narrow; ``n`` says how few.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from glad.rng import rng_for

RESAMPLES = 10_000
LEVEL = 0.95

SHOWN = 5e-4
"""The least difference of two accuracies that tables, which have tenths of a per cent, can show."""

Cell = dict[str, Any]
"""One training: ``row`` (the id of what was trained on), ``network``, ``seed`` and ``accuracy`` among others."""


def macro_accuracy(per_class: Sequence[float | None] | None) -> float | None:
    """Return the mean of the classes' accuracies (their recalls), which is also called balanced accuracy.

    A class without test images has no accuracy (None) and is left out; None where no class has one.
    """
    known = [value for value in per_class or () if value is not None]
    return statistics.fmean(known) if known else None


@dataclass(frozen=True)
class PerSeed:
    """Accuracies of one row by seed: of the seen architecture, of each network, and the mean cross-architecture.

    ``cross`` has the seeds for which every other network than the seen one is there.
    """

    seen: dict[int, float]
    networks: dict[str, dict[int, float]]
    cross: dict[int, float]


def per_seed(cells: Sequence[Cell], row: str, seen: str, measure: str = "accuracy") -> PerSeed:
    """Sort the accuracies of the row with the id ``row``; ``seen`` is the network that was distilled with.

    ``measure`` is ``accuracy`` or ``macro_accuracy``, which cells of earlier versions may lack.
    """
    networks: dict[str, dict[int, float]] = {}
    for cell in cells:
        if cell["row"] == row and cell.get(measure) is not None:
            networks.setdefault(cell["network"], {})[cell["seed"]] = cell[measure]
    others = [by_seed for name, by_seed in networks.items() if name != seen]
    complete = sorted(set.intersection(*(set(by_seed) for by_seed in others))) if others else []
    cross = {seed: statistics.fmean(by_seed[seed] for by_seed in others) for seed in complete}
    return PerSeed(networks.get(seen, {}), networks, cross)


def summarize(cells: Sequence[Cell], seen: str) -> dict[str, Any]:
    """Return by row id the mean and deviation over seeds: ``seen``, each of ``networks``, and ``cross``.

    ``cross`` takes, per seed, the mean over the networks other than ``seen``. Each entry is ``{"mean", "std", "n"}``
    with the sample deviation, None for a single seed; the entry is None where there is nothing to average. ``macro``
    has the same three of macro accuracy.
    """
    return {
        row: {
            **_statistics(per_seed(cells, row, seen)),
            "macro": _statistics(per_seed(cells, row, seen, "macro_accuracy")),
        }
        for row in dict.fromkeys(cell["row"] for cell in cells)
    }


def _statistics(found: PerSeed) -> dict[str, Any]:
    return {
        "seen": statistic(list(found.seen.values())),
        "networks": {name: statistic(list(by_seed.values())) for name, by_seed in found.networks.items()},
        "cross": statistic(list(found.cross.values())),
    }


def macro_differs(cells: Sequence[Mapping[str, Any]]) -> bool:
    """Whether macro accuracy differs from accuracy by what tables show, as it does on unequal test classes."""
    known = [cell for cell in cells if cell.get("macro_accuracy") is not None]
    return any(abs(cell["macro_accuracy"] - cell["accuracy"]) >= SHOWN for cell in known)


def add_macro(results: dict[str, Any]) -> dict[str, Any]:
    """Add macro accuracy to results of earlier versions, in place, as far as their cells have accuracies by class."""
    cells = results["cells"]
    for cell in (*cells, *results.get("kept", [])):
        cell.setdefault("macro_accuracy", macro_accuracy(cell.get("per_class")))
    if "summary" in results:
        measured = summarize(cells, results["seen"])
        for row, entry in results["summary"].items():
            if "macro" not in entry and row in measured:
                entry["macro"] = measured[row]["macro"]
        for entry in results.get("differences", []):
            if "macro" not in entry:
                (found,) = differences(cells, [(entry["row"], entry["against"])], results["seen"])
                entry["macro"] = found["macro"]
    return results


def statistic(values: Sequence[float]) -> dict[str, float | int | None] | None:
    """Mean, sample deviation and number of ``values``; None where there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": std, "n": len(values)}


def interval(differences: Sequence[float], level: float = LEVEL, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of ``differences``, a function of them; needs at least two.

    The limits are the (1 - level) / 2 and (1 + level) / 2 quantiles of ``resamples`` means, between them linear.
    """
    values = torch.tensor(differences, dtype=torch.float64)
    drawn = torch.randint(len(values), (resamples, len(values)), generator=rng_for("bootstrap", len(values)))
    limits = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = values[drawn].mean(1).quantile(limits).tolist()
    return low, high


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, float | int | None] | None:
    """Mean of ``ours - theirs`` over the seeds of both, with ``low`` and ``high``, None for one seed; None for none."""
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    values = [ours[seed] - theirs[seed] for seed in shared]
    low, high = interval(values) if len(values) > 1 else (None, None)
    return {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}


def differences(cells: Sequence[Cell], pairs: Sequence[tuple[str, str]], seen: str) -> list[dict[str, Any]]:
    """For each pair of row ids ``(row, against)`` the accuracy of the first less that of the second.

    ``seen`` is that of the seen architecture, ``cross`` the mean over the others: see ``paired_difference``. Accuracies
    and their differences are shares of 1. ``macro`` has the same two of macro accuracy.
    """

    def between(one: str, other: str, measure: str) -> dict[str, Any]:
        ours, theirs = (per_seed(cells, row, seen, measure) for row in (one, other))
        return {
            "seen": paired_difference(ours.seen, theirs.seen),
            "cross": paired_difference(ours.cross, theirs.cross),
        }

    return [
        {
            "row": one,
            "against": other,
            **between(one, other, "accuracy"),
            "macro": between(one, other, "macro_accuracy"),
        }
        for one, other in pairs
    ]
