"""What parameterizations are for: at equal storage a set of frequencies teaches more than one of pixels."""

import pytest

import glad
from glad.evaluation.rows import set_id

WIDTH = {"width": 32}
MATCHING = {"syn_steps": 10, "expert_epochs": 2, "max_start_epoch": 4}
LEAD = 0.04
"""Points of accuracy, as a share of 1."""


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    small = {"count": 2, "network_options": WIDTH, "recipe_options": {"epochs": 7}, "device": "cpu"}
    glad.train_experts("fashion-mini", folder, **small)
    return folder


@pytest.mark.slow
def test_frequencies_beat_pixels_at_the_same_bytes_under_mtt(experts, tmp_path):
    runs = {}
    for prior, options in (("fred", {}), ("pixels", {"init": "real"})):
        runs[prior] = glad.distill(
            "fashion-mini",
            "mtt",
            prior,
            budget=1,
            prior_options=options,
            experts=experts,
            network_options=WIDTH,
            objective_options=MATCHING,
            iterations=30,
            chunk=200,
            device="cpu",
            out=tmp_path / prior,
        )
    narrow = {"networks": ["convnet"], "network_options": {"convnet": WIDTH}, "epochs": 200, "seeds": 2}
    found = glad.evaluate([*runs.values()], **narrow, baselines=["random"], device="cpu")
    accuracy = {row: entry["seen"]["mean"] for row, entry in found["summary"].items()}
    bytes_of = {row: entry["per_class"] for row, entry in found["stored"].items()}
    assert 0.95 < bytes_of[set_id("fred")] / bytes_of[set_id("pixels")] < 1.1
    assert accuracy[set_id("fred")] >= accuracy[set_id("pixels")] + LEAD
    assert accuracy[set_id("pixels")] > accuracy["random:1"]
