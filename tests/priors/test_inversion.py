"""Inversion: codes whose images are given ones."""

import pytest
import torch
from errors import naming
from fixtures import tiny_generator

from generators.prior import StyleGANPrior
from glad.priors.inversion import invert
from glad.rng import rng_for as rng


def make(layer=None):
    return StyleGANPrior(tiny_generator().requires_grad_(False), lambda x: x, 16, 3, (0, 1, 2), layer=layer)


def problem(prior, n=2):
    """Images that the prior can make, and latents to begin from."""
    classes = torch.arange(n) % 3
    with torch.no_grad():
        targets = prior(**prior.init(classes, rng("targets")))
    return targets, prior.init(classes, rng("start"))


def errors(prior, latents, targets):
    with torch.no_grad():
        return (prior(**latents) - targets).square().flatten(1).mean(1)


@pytest.mark.parametrize("layer", [None, 3])
def test_the_image_comes_near(layer):
    prior = make(layer)
    targets, start = problem(prior)
    found = invert(prior, start, targets, 60)
    assert found.keys() == start.keys()
    assert bool((errors(prior, found, targets) < 0.1 * errors(prior, start, targets)).all())


def test_features_of_a_layer_reach_images_that_codes_cannot():
    targets = torch.rand(1, 3, 16, 16, generator=rng("noise"))
    found = {}
    for layer in (None, 6):
        prior = make(layer)
        start = prior.init(torch.tensor([0]), rng("start"))
        found[layer] = errors(prior, invert(prior, start, targets, 40), targets).item()
    assert found[6] < 0.7 * found[None]


def test_rows_do_not_depend_on_each_other():
    prior = make(3)
    targets, start = problem(prior, 3)
    whole, parts = invert(prior, start, targets, 5, chunk=3), invert(prior, start, targets, 5, chunk=1)
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-4, atol=1e-5)


def test_what_was_given_stays_as_it_is():
    prior = make()
    targets, start = problem(prior)
    before = start["w"].clone()
    weights = [tensor.clone() for tensor in prior.generator.parameters()]
    invert(prior, start, targets, 3)
    assert torch.equal(start["w"], before)
    assert all(map(torch.equal, weights, prior.generator.parameters()))
    assert not any(tensor.requires_grad or tensor.grad is not None for tensor in prior.generator.parameters())


def test_features_of_a_network_are_matched_where_there_is_one():
    prior = make()
    targets, start = problem(prior)

    def features(images):
        return images.mean((2, 3))

    plain, seen = (invert(prior, start, targets, 30, chosen) for chosen in (None, features))
    with torch.no_grad():
        distances = [(features(prior(**found)) - features(targets)).norm().item() for found in (plain, seen)]
    assert distances[1] < distances[0]


def test_a_prior_of_ones_own_needs_no_codes():
    class Scaled:
        def init(self, classes, rng):
            return {"x": torch.zeros(len(classes), 1, 2, 2)}

        def __call__(self, x):
            return 2 * x

        def tensors(self):
            return {}

    targets = torch.tensor([0.2, -0.4]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    found = invert(Scaled(), Scaled().init(torch.arange(2), None), targets, 100)
    torch.testing.assert_close(found["x"], targets / 2, rtol=0.05, atol=0.01)


def test_a_loss_that_is_not_finite_is_an_error():
    prior = make()
    targets, start = problem(prior)
    with pytest.raises(ArithmeticError, match=naming("inversion nan 0")):
        invert(prior, start, targets * torch.nan, 3)
