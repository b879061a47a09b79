"""The published recipes of experts, and the penalty on their slope."""

import pytest
import torch
from torch.nn import functional as F

from glad.experts import RECIPES, Recipe, training
from glad.networks import make_network
from glad.rng import rng_for


def small_network():
    return make_network("convnet", channels=1, classes=10, resolution=28, rng=rng_for("net", 0), width=4)


def test_published_recipes():
    assert RECIPES["mtt"] == Recipe(50, 1e-2, 0.0, 0.0, 256, 0, 0.0, 1.0)
    assert RECIPES["smooth"] == Recipe(50, 3e-3, 0.9, 1e-3, 256, 1, 0.0, 0.6)
    assert [RECIPES["smooth"].weight(epoch) for epoch in (0, 1, 9, 10, 40)] == pytest.approx([0.5, 0.55, 0.95, 1, 1])
    assert RECIPES["mtt"].weight(0) == 1
    rates = [training.make_optimizer(small_network(), RECIPES["smooth"], e).param_groups[0]["lr"] for e in (26, 27)]
    assert rates == pytest.approx([3e-3, 1.8e-3])


def test_the_penalty_is_the_distance_of_slopes_from_one():
    network = small_network()
    images = torch.randn(3, 1, 28, 28, generator=rng_for("images"))
    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(leaf).sum(), leaf)
    expected = (slope.square().sum(1).sqrt() - 1).square().mean()
    labels = torch.arange(3)
    found = training.slope_penalty(network, images, labels)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert network.blocks[0][0].weight.grad.abs().max() > 0
    (slope,) = torch.autograd.grad(network(leaf)[torch.arange(3), labels].sum(), leaf)
    expected = (slope.square().sum(1).sqrt() - 1).square().mean()
    torch.testing.assert_close(training.slope_penalty(network, images, labels, "label"), expected)
    squares = [
        torch.autograd.grad(F.cross_entropy(network(x[None]), y[None]), x)[0].square().sum()
        for x, y in zip([image.clone().requires_grad_() for image in images], labels, strict=True)
    ]
    torch.testing.assert_close(training.slope_penalty(network, images, labels, "loss"), torch.stack(squares).mean())


def test_what_an_earlier_version_stored_of_a_recipe_is_another_where_the_rate_drops():
    assert "turn" not in Recipe().stored() and "slope" not in Recipe().stored()
    assert RECIPES["smooth"].stored()["turn"] == 27 and Recipe(slope="loss").stored()["slope"] == "loss"
