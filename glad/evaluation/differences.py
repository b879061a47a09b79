"""Paired differences between sets, with the interval that resampling the seeds gives.

A seed gives every set the same initial networks, so two sets are compared seed by seed. The interval is the percentile
bootstrap's (Efron, Annals of Statistics 1979) over seeds: it says how much the mean would move with other networks, and
nothing of distilling again. With few seeds it is too narrow; ``n`` says how few.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from glad.evaluation.summary import Cell, per_seed
from glad.randomness import generator

RESAMPLES = 10_000
LEVEL = 0.95


def interval(differences: Sequence[float], level: float = LEVEL, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of ``differences``, a function of them; needs at least two.

    The limits are the (1 - level) / 2 and (1 + level) / 2 quantiles of ``resamples`` means, between them linear.
    """
    values = torch.tensor(differences, dtype=torch.float64)
    drawn = torch.randint(len(values), (resamples, len(values)), generator=generator("bootstrap", len(values)))
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
