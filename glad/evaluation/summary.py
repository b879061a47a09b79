"""From cells to means, deviations and paired differences, seen and unseen architectures apart.

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


def summarize(cells: Sequence[Cell], same: str) -> dict[str, Any]:
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


def interval(differences: Sequence[float], level: float = LEVEL, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of ``differences``, a function of them; needs at least two.

    The limits are the (1 - level) / 2 and (1 + level) / 2 quantiles of ``resamples`` means, between them linear.
    """
    values = torch.tensor(differences, dtype=torch.float64)
    drawn = torch.randint(len(values), (resamples, len(values)), generator=rng_for("bootstrap", len(values)))
    limits = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = values[drawn].mean(1).quantile(limits).tolist()
    return low, high


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, float | int | None] | None:
    """Mean of ``ours - theirs`` over the seeds of both, with ``low`` and ``high``, None for one seed; None for none."""
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    values = [ours[seed] - theirs[seed] for seed in shared]
    low, high = interval(values) if len(values) > 1 else (None, None)
    return {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}


def differences(cells: Sequence[Cell], pairs: Sequence[tuple[str, str]], same: str) -> list[dict[str, Any]]:
    """For each pair of sets ``(set, against)`` the accuracy of the first less that of the second.

    ``same`` is that of the network distilled with, ``cross`` the mean over the others: see ``paired``. Accuracies and
    their differences are shares of 1.
    """
    found = {name: per_seed(cells, name, same) for pair in pairs for name in pair}
    return [
        {
            "set": one,
            "against": other,
            "same": paired(found[one].same, found[other].same),
            "cross": paired(found[one].cross, found[other].cross),
        }
        for one, other in pairs
    ]
