"""Attention matching: its maps, its terms against a transcription, and that it draws images to the real ones."""

import pytest
import torch
from matching_cases import LABELS, Step, crop, images, network

from glad.objectives.datadam import DataDAM, attention


def real(c, n, rng):
    return torch.randn(n, 1, 16, 16, generator=rng) + 3 * c


def test_attention_is_the_normalized_sum_of_powers():
    maps = torch.tensor([[[[1.0, -2.0]], [[2.0, 0.0]]]])  # one image, two channels, 1 x 2 pixels
    expected = torch.tensor([[1.0 + 16, 16.0]])
    torch.testing.assert_close(attention(maps, 4), expected / expected.norm())


def test_the_terms_are_those_of_the_paper():
    objective = DataDAM(real, network, crop, batch=5, power=2.0, balance=0.3)
    found = list(objective.terms(images(), LABELS, Step()))
    assert len(found) == 2
    net = network(Step().rng("network"))
    for c, term in enumerate(found):
        means = []
        for x in (real(c, 5, Step().rng(f"real {c}")), images()[c == LABELS]):
            stages = net.stages(crop(x, Step().rng(f"augment {c}"), True))
            maps = [stage.square().sum(1).flatten(1) for stage in stages[:-1]]
            means.append([(m / m.norm(dim=1, keepdim=True)).mean(0) for m in maps] + [stages[-1].flatten(1).mean(0)])
        distances = [(a - b).square().sum() for a, b in zip(*means, strict=True)]
        torch.testing.assert_close(term, sum(distances[:-1]) + 0.3 * distances[-1], rtol=1e-4, atol=1e-6)


def test_images_are_drawn_to_the_real_ones():
    objective = DataDAM(real, network, crop, batch=32, balance=1.0)
    pixels, losses = images().requires_grad_(), []
    for iteration in range(25):
        loss = sum(objective.terms(pixels, LABELS, Step(iteration)))
        loss.backward()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            pixels -= 2 * pixels.grad
            pixels.grad = None
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


@pytest.mark.parametrize("options", [{"batch": 0}, {"power": 0.0}, {"balance": -1.0}, {"balance": float("nan")}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="datadam needs"):
        DataDAM(real, network, crop, **options)
