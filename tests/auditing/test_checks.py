"""The numbers of an audit, against sets whose answers are known by hand."""

from pathlib import Path

import pytest
import torch
from errors import naming

from glad.auditing import checks
from glad.auditing.verdicts import NUMBERS, find_broken
from glad.settings.audit import AuditSettings


def test_losses_are_the_shares_written_out():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    full = [torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])]
    ours = [torch.tensor([1, 1, 1, 0, 1, 1, 2, 1]), torch.tensor([1, 2, 0, 0, 1, 1, 2, 2])]
    found = checks.losses(full, ours, labels, ("a", "b", "c", "none"))
    assert [entry["class"] for entry in found["classes"]] == ["a", "c", "b", "none"]
    assert found["classes"][0] == {"class": "a", "images": 4, "full": 7 / 8, "set": 3 / 8, "loss": 4 / 8}
    assert found["classes"][1]["loss"] == 1 / 4 and found["classes"][3]["loss"] is None
    assert found["accuracy"]["full"] == {"mean": 15 / 16, "seeds": [1.0, 7 / 8]}
    assert found["loss"] == pytest.approx(15 / 16 - 10 / 16)
    assert found["confusions"] == [
        {"class": "a", "taken_for": "b", "full": 1 / 8, "set": 4 / 8, "added": 3 / 8},
        {"class": "c", "taken_for": "b", "full": 0.0, "set": 1 / 4, "added": 1 / 4},
        {"class": "a", "taken_for": "c", "full": 0.0, "set": 1 / 8, "added": 1 / 8},
    ]
    assert found["worst_class_loss"] == 1 / 2 and found["worst_confusion"] == 3 / 8


def test_a_set_that_loses_nothing_has_no_confusion():
    labels = torch.tensor([0, 1])
    found = checks.losses([labels], [labels], labels, ("a", "b"))
    assert found["confusions"] == [] and found["worst_confusion"] == 0 and found["loss"] == 0


def test_coverage_of_points_on_a_line():
    # Real images of class 0 at 0, 1, 2 and of class 1 at 8, 9, 10; synthetic ones at 1 and 5.4 (class 1).
    real = torch.tensor([[0.0], [1], [2], [8], [9], [10]]), torch.tensor([0, 0, 0, 1, 1, 1])
    ours = torch.tensor([[1.0], [5.4]]), torch.tensor([0, 1])
    known = torch.tensor([[1.0], [9.0]]), torch.tensor([0, 1])
    found = checks.coverage(ours, real, known, ("a", "b"))
    assert found["own_class"] == found["own_class_random"] == 1
    assert found["distance"] == pytest.approx((1 + 0 + 1 + 2.6 + 3.6 + 4.6) / 6)
    assert found["distance_random"] == pytest.approx(4 / 6)  # of two images a draw is all that there are
    assert found["distance_ratio"] == pytest.approx(12.8 / 4)
    assert found["precision"] == 1 and found["recall"] is None and found["diversity"]["mean"] is None
    wrong = checks.coverage((ours[0], torch.tensor([1, 0])), real, known, ("a", "b"))
    assert wrong["own_class"] == 0 and wrong["per_class"] == {"a": 0.0, "b": 0.0}


def test_diversity_is_the_spread_within_a_class_over_that_of_real_images():
    real = torch.tensor([[0.0], [4], [10], [12]]), torch.tensor([0, 0, 1, 1])
    ours = torch.tensor([[0.0], [1], [10], [13]]), torch.tensor([0, 0, 1, 1])
    found = checks.coverage(ours, real, real, ("a", "b"))["diversity"]
    assert found == {"mean": (1 / 4 + 3 / 2) / 2, "least": 1 / 4, "per_class": {"a": 1 / 4, "b": 3 / 2}}


def test_what_is_too_near_goes_by_class_where_there_are_enough_images():
    tight, wide = torch.linspace(1, 2, 50).double(), torch.linspace(10, 20, 50).double()
    few = torch.full([5], 100.0).double()
    labels = torch.tensor([0] * 50 + [1] * 50 + [2] * 5)
    every = torch.cat([tight, wide, few])
    limits = checks.too_near(every, labels, 3)
    assert torch.equal(limits, torch.stack([part.quantile(0.01) for part in (tight, wide, every)]))


def test_movement_counts_in_distances_of_real_images():
    real = torch.tensor([[0.0], [4.0]])
    before, after = torch.tensor([[0.0], [0.0]]), torch.tensor([[2.0], [6.0]])
    found = checks.movement(before, after, torch.tensor([0, 1]), real, ("a", "b"))
    assert found == {"mean": 1.0, "per_class": {"a": 0.5, "b": 1.5}}


def test_appearance_is_mean_and_deviation_of_pixels():
    images = torch.tensor([0, 255, 0, 255, 51, 51, 51, 51], dtype=torch.uint8).view(2, 1, 2, 2)
    assert checks.appearance(images) == pytest.approx({"brightness": 0.35, "contrast": 0.25})


def test_thresholds_go_by_what_is_better():
    numbers = {"accuracy_loss": 0.2, "own_class": 0.5, "moved": None}
    assert find_broken(numbers, {"accuracy_loss": 0.2, "own_class": 0.5}) == []
    assert find_broken(numbers, {"accuracy_loss": 0.1, "own_class": 0.6, "moved": 1.0}) == [
        "accuracy_loss is to be at most 0.1, and is 0.2",
        "own_class is to be at least 0.6, and is 0.5",
        "moved is to be at most 1, and this run has no such number",
    ]
    with pytest.raises(ValueError, match=naming("nan")):
        AuditSettings(fail_on={"moved": float("nan")})


def test_the_guide_names_every_number():
    text = (Path(__file__).parents[2] / "docs" / "AUDIT.md").read_text()
    assert [name for name in NUMBERS if f"`{name}`" not in text] == []
