"""DM by turns: an objective like any other, whose iterations have one architecture or the other."""

from collections import Counter

import pytest
import torch
from by_turns import DMByTurns

from glad.networks import make_network
from glad.objectives import DM
from glad.objectives.base import Step
from glad.objectives.checks import check_objective, example, surroundings


def test_it_is_an_objective_like_any_other():
    check_objective(DMByTurns)


def test_each_iteration_has_the_loss_of_dm_through_the_architecture_whose_turn_it_is():
    given = {
        name: value for name, value in surroundings(torch.float64).items() if name in ("real", "network", "augment")
    }
    images, labels = example(torch.float64)
    sizes = {"channels": images.shape[1], "resolution": images.shape[-1]}
    networks = {
        "own": given["network"],
        "second": lambda rng: make_network("vgg11", rng=rng, classes=1, width=4, **sizes).double(),
    }
    turns = Counter()
    for iteration in range(12):
        step = Step(3, iteration)
        found = sum(DMByTurns(**given, width=4).terms(images, labels, step)).item()
        losses = {
            name: sum(DM(**{**given, "network": network}).terms(images, labels, step)).item()
            for name, network in networks.items()
        }
        turns[min(losses, key=lambda name: abs(losses[name] - found))] += 1
        assert found == pytest.approx(min(losses.values(), key=lambda loss: abs(loss - found)), rel=1e-5)
    assert min(turns["own"], turns["second"]) >= 2, turns
