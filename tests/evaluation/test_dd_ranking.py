"""LRS and ARS against the published formulas written out."""

from dataclasses import replace
from math import e, exp

import pytest

from glad.evaluation.dd_ranking import Parts, normalize_score

PARTS = Parts(
    full_hard=0.9, hard=0.6, set=0.7, random=0.45,
    set_augmented=0.7, random_augmented=0.45, set_plain=0.5, random_plain=0.4,
)  # fmt: skip


def test_the_ends_of_the_scale():
    assert normalize_score(1) == pytest.approx(100) and normalize_score(-1) == pytest.approx(0)
    assert normalize_score(0) == pytest.approx(100 / (e + 1))


def test_both_scores_by_hand():
    alpha = 0.5 * (0.7 - 0.45) - 0.5 * (0.9 - 0.6)
    assert PARTS.lrs == pytest.approx(100 * (exp(alpha) - exp(-1)) / (exp(1) - exp(-1)))
    beta = 0.5 * (0.7 - 0.45) + 0.5 * (0.5 - 0.4)
    assert PARTS.ars == pytest.approx(100 * (exp(beta) - exp(-1)) / (exp(1) - exp(-1)))


def test_each_part_moves_its_score_alone():
    better = replace(PARTS, hard=0.7)
    assert better.lrs > PARTS.lrs and better.ars == PARTS.ars
    plainer = replace(PARTS, set_plain=0.6)
    assert plainer.ars > PARTS.ars and plainer.lrs == PARTS.lrs
    perfect = Parts(**dict.fromkeys(("full_hard", "hard", "set", "set_augmented", "set_plain"), 1.0),
                    **dict.fromkeys(("random", "random_augmented", "random_plain"), 0.0))  # fmt: skip
    assert perfect.lrs == pytest.approx(normalize_score(0.5)) and perfect.ars == pytest.approx(100)


def test_the_parts_are_told():
    stated = PARTS.to_dict()
    assert stated["hlr"] == pytest.approx(0.3) and stated["ior"] == pytest.approx(0.25)
    assert stated["ior_augmented"] == pytest.approx(0.25) and stated["ior_plain"] == pytest.approx(0.1)
    assert stated["accuracies"]["random_plain"] == 0.4 and stated["lrs"] == PARTS.lrs
