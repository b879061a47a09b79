"""From cells to means and deviations, the network distilled with and the unseen ones apart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Cell = dict[str, Any]
"""One training: ``set``, ``network``, ``seed`` and ``accuracy`` among others."""


@dataclass(frozen=True)
class PerSeed:
    """Accuracies of one set by seed: of the network distilled with, of each network, and the mean of the unseen ones.

    ``cross`` has the seeds for which every unseen network is there.
    """

    same: dict[int, float]
    networks: dict[str, dict[int, float]]
    cross: dict[int, float]


def per_seed(cells: Sequence[Cell], set_name: str, same: str) -> PerSeed:
    """Sort the accuracies of ``set_name``; ``same`` is the network that was distilled with."""
    networks: dict[str, dict[int, float]] = {}
    for cell in cells:
        if cell["set"] == set_name:
            networks.setdefault(cell["network"], {})[cell["seed"]] = cell["accuracy"]
    unseen = [by_seed for name, by_seed in networks.items() if name != same]
    complete = sorted(set.intersection(*(set(by_seed) for by_seed in unseen))) if unseen else []
    cross = {seed: statistics.fmean(by_seed[seed] for by_seed in unseen) for seed in complete}
    return PerSeed(networks.get(same, {}), networks, cross)


def summarise(cells: Sequence[Cell], same: str) -> dict[str, Any]:
    """Return per set the mean and deviation over seeds: ``same``, each of ``networks``, and ``cross``.

    ``cross`` takes, per seed, the mean over the networks other than ``same``. Each entry is ``{"mean", "std", "n"}``
    with the sample deviation, None for a single seed; the entry is None where there is nothing to average.
    """
    summary: dict[str, Any] = {}
    for set_name in dict.fromkeys(cell["set"] for cell in cells):
        found = per_seed(cells, set_name, same)
        summary[set_name] = {
            "same": statistic(list(found.same.values())),
            "networks": {name: statistic(list(by_seed.values())) for name, by_seed in found.networks.items()},
            "cross": statistic(list(found.cross.values())),
        }
    return summary


def statistic(values: Sequence[float]) -> dict[str, float | int | None] | None:
    """Mean, sample deviation and number of ``values``; None where there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": std, "n": len(values)}
