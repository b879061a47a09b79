"""Characteristic functions: their distance in closed form, and the game between images and frequencies."""

import pytest
import torch
from matching_cases import LABELS, Step, crop, images, network

from glad.objectives.cf import CF, discrepancy
from glad.rng import rng_for


def real(c, n, rng):
    """Noisy stripes, across in class 0 and down in class 1."""
    stripes = torch.linspace(0, 12, 16).sin().expand(16, 16)
    return 0.3 * torch.randn(n, 1, 16, 16, generator=rng) + (stripes.t() if c else stripes)


def normal(name, *shape):
    return torch.randn(*shape, generator=rng_for(name), dtype=torch.float64)


def function(x, at):
    return torch.exp(1j * (x @ at.t())).mean(0)


def test_at_one_half_it_is_the_distance_of_the_functions():
    x, y, at = normal("x", 5, 3), normal("y", 7, 3), normal("t", 40, 3)
    expected = (function(x, at) - function(y, at)).abs()
    assert discrepancy(x, y, at, 0.5) == pytest.approx(expected.mean().item(), rel=1e-4)


def test_amplitude_and_phase_alone():
    x, y, at = normal("x", 5, 3), normal("y", 7, 3), normal("t", 40, 3)
    one, other = function(x, at), function(y, at)
    amplitude = 2**0.5 * (one.abs() - other.abs()).abs()
    assert discrepancy(x, y, at, 0.0) == pytest.approx(amplitude.mean().item(), rel=1e-3)
    phase = 2 * (one.abs() * other.abs() * (1 - (one.angle() - other.angle()).cos())).sqrt()
    assert discrepancy(x, y, at, 1.0) == pytest.approx(phase.mean().item(), rel=1e-3)


def test_equal_sets_are_at_no_distance_and_amplitudes_do_not_see_a_shift():
    x, at = normal("x", 5, 3), normal("t", 40, 3)
    assert discrepancy(x, x, at, 0.5) < 2e-4
    assert discrepancy(x, x + 1, at, 0.0) < 2e-4
    assert discrepancy(x, x + 1, at, 0.5) > 0.1


def test_images_descend_and_frequencies_climb():
    objective = CF(real, network, crop, batch=32, frequencies=64)
    sampler = objective.tensors()
    assert set(sampler) == {"sampler/0", "sampler/1"} and all(t.requires_grad for t in sampler.values())

    def loss(pixels):
        return sum(objective.terms(pixels, LABELS, Step()))

    pixels = images().requires_grad_()
    before = loss(pixels)
    before.backward()
    steps = {name: t.grad.clone() for name, t in sampler.items()}
    with torch.no_grad():
        lower = loss(pixels - 0.5 * pixels.grad)
        for name, t in sampler.items():
            t -= 0.05 * steps[name]  # what an optimizer that descends does
        higher = loss(pixels)
    assert lower < before < higher


def test_images_are_drawn_to_the_real_ones():
    objective = CF(real, network, crop, batch=32, frequencies=64)
    pixels, losses = images().requires_grad_(), []
    for iteration in range(120):
        loss = sum(objective.terms(pixels, LABELS, Step(iteration)))
        loss.backward()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            pixels -= 50 * pixels.grad
            pixels.grad = None
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_the_frequencies_start_alike():
    one, other = (CF(real, network, crop).tensors() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("options", [{"batch": 0}, {"frequencies": 0}, {"phase": 1.5}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="cf needs"):
        CF(real, network, crop, **options)
