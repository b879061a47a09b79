"""LRS and ARS of DD-Ranking: how much of an accuracy is the set's, and not its labels' or the augmentation's.

Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation", 2025. The formulas are as stated there; the
numbers are not comparable with the published leaderboard, because networks, epochs and teachers differ. Accuracies are
in [0, 1], scores in per cent.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

WEIGHT = 0.5
"""w of LRS and gamma of ARS."""


def normalize_score(value: float) -> float:
    """100 % x (e^value - e^-1) / (e - e^-1): 0 for -1, 100 for 1."""
    return 100 * (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


@dataclass(frozen=True)
class Parts:
    """The accuracies that both scores are made of.

    ``full_hard`` is that of the full data with hard labels, ``hard`` that of the set with hard labels. ``set`` and
    ``random`` are those of the set and of as many random real images under the evaluation's protocol, both with labels
    of the same kind; ``augmented`` and ``plain`` the same two, trained with augmentation and without.
    """

    full_hard: float
    hard: float
    set: float
    random: float
    set_augmented: float
    random_augmented: float
    set_plain: float
    random_plain: float

    @property
    def hlr(self) -> float:
        """Hard-label recovery: what the full data has over the set where both have hard labels; less is better."""
        return self.full_hard - self.hard

    @property
    def ior(self) -> float:
        """Improvement over random."""
        return self.set - self.random

    @property
    def ior_augmented(self) -> float:
        """Improvement over random with augmentation."""
        return self.set_augmented - self.random_augmented

    @property
    def ior_plain(self) -> float:
        """Improvement over random without."""
        return self.set_plain - self.random_plain

    @property
    def lrs(self) -> float:
        """The label-robust score of alpha = w IOR - (1 - w) HLR."""
        return normalize_score(WEIGHT * self.ior - (1 - WEIGHT) * self.hlr)

    @property
    def ars(self) -> float:
        """The augmentation-robust score of beta = gamma IOR with + (1 - gamma) IOR without augmentation."""
        return normalize_score(WEIGHT * self.ior_augmented + (1 - WEIGHT) * self.ior_plain)

    def to_dict(self) -> dict[str, Any]:
        """Scores, what they are made of, and the accuracies behind that."""
        made = ("lrs", "ars", "hlr", "ior", "ior_augmented", "ior_plain")
        return {**{name: getattr(self, name) for name in made}, "accuracies": asdict(self)}
