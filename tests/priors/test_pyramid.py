"""The pyramid of images against its formula written out."""

import pytest
import torch
from torch.nn import functional as F

from glad.priors import Pyramid
from glad.priors.pyramid import color_basis
from glad.rng import rng_for


def pyramid(side, channels):
    return Pyramid(lambda x: (x - 0.4) / 0.3, lambda x: 0.3 * x + 0.4, side, channels)


def enlarged(level, side):
    """A level [C, s, s] bilinearly enlarged to ``side``, pixel by pixel; centers lie at halves."""
    small, found = level.shape[1], torch.empty(len(level), side, side, dtype=level.dtype)
    for y in range(side):
        for x in range(side):
            places = []
            for at in (y, x):
                place = max((at + 0.5) * small / side - 0.5, 0.0)
                low = min(int(place), small - 1)
                places.append((low, min(low + 1, small - 1), place - low))
            (top, bottom, down), (left, right, along) = places
            above = (1 - along) * level[:, top, left] + along * level[:, top, right]
            below = (1 - along) * level[:, bottom, left] + along * level[:, bottom, right]
            found[:, y, x] = (1 - down) * above + down * below
    return found


@pytest.mark.parametrize(
    ("side", "channels", "sides"), [(8, 3, [1, 2, 4, 8]), (6, 1, [1, 2, 4, 6]), (5, 3, [1, 2, 4, 5])]
)
def test_images_are_sums_of_enlarged_levels_in_mixed_colors(side, channels, sides):
    prior = pyramid(side, channels)
    assert prior.sides == sides and prior.floats_per_row == channels * sum(s * s for s in sides)
    row = torch.randn(1, prior.floats_per_row, generator=rng_for("row"), dtype=torch.float64)
    total, begin = torch.zeros(channels, side, side, dtype=torch.float64), 0
    for small in sides:
        end = begin + channels * small**2
        total += enlarged(row[0, begin:end].view(channels, small, small), side)
        begin = end
    if channels == 3:
        gray, red_blue, green = total[0] / 3**0.5, total[1] / 4 / 2**0.5, total[2] / 8 / 6**0.5
        total = torch.stack([gray + red_blue + green, gray - 2 * green, gray - red_blue + green])
    expected = ((1 / (1 + torch.exp(-total))) - 0.4) / 0.3
    torch.testing.assert_close(prior(pyramid=row)[0], expected, rtol=0, atol=1e-6)  # of the colors in float32


def test_colors_are_of_directions_that_are_orthogonal_and_less_and_less():
    products = color_basis().t() @ color_basis()
    torch.testing.assert_close(products, torch.diag(torch.tensor([1.0, 1 / 16, 1 / 64])), rtol=0, atol=1e-6)


def test_real_images_are_encoded_and_rendered_again():
    prior = pyramid(6, 3)
    pixels = torch.rand(2, 3, 6, 6, generator=rng_for("pixels"))
    images = (pixels - 0.4) / 0.3
    torch.testing.assert_close(prior(**prior.encode(images)), images, rtol=0, atol=5e-3)
    assert not F.relu(prior(**prior.encode(3 * images)) - 2).any()  # beyond what is in range the nearest that is


def test_the_start_is_noise_around_mid_gray():
    prior = pyramid(16, 3)
    latents = prior.init(torch.zeros(40, dtype=torch.int64), rng_for("init"))
    assert latents["pyramid"].std() == pytest.approx(0.1, rel=0.02)
    assert abs(0.3 * prior(**latents).mean() + 0.4 - 0.5) < 0.02
