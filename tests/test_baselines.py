"""Real images as baselines: which are picked, and that each is picked once."""

import pytest
import torch

from glad.baselines import REAL, kmeans_real, random_real
from glad.data import DataError, ImageData


def blobs(per_class=12):
    """Two classes of grey 4 x 4 images; each image is of one brightness, in three well separated groups of a class."""
    group = torch.arange(per_class) % 3
    brightness = torch.stack([20 + 80 * group + torch.arange(per_class), 10 + 90 * group + torch.arange(per_class)])
    images = brightness.flatten().clamp(max=255).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    labels = torch.arange(2).repeat_interleave(per_class)
    return ImageData("blobs", images, labels, ("a", "b"), (0, 1), (0.5,), (0.25,), 4, 1)


def test_one_per_class_is_the_image_nearest_to_the_mean():
    data = blobs()
    images, labels = kmeans_real(data, 1, seed=5)
    for c in range(2):
        own = data.batch(data.of_class(c))
        expected = own[(own - own.mean(0)).flatten(1).norm(dim=1).argmin()]
        torch.testing.assert_close(images[labels == c][0], expected)


def test_three_per_class_are_one_of_each_group():
    data = blobs()
    images, labels = kmeans_real(data, 3, seed=0)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    for c, (first, step) in enumerate([(20, 80), (10, 90)]):
        levels = data.pixels(images[labels == c])[:, 0, 0, 0] * 255
        assert sorted(((levels - first) // step).int().tolist()) == [0, 1, 2]


@pytest.mark.parametrize("name", REAL)
def test_pictures_are_distinct_and_a_function_of_the_seed(name):
    pick = REAL[name][1]
    first, again = pick(blobs(), 4, 1)[0], pick(blobs(), 4, 1)[0]
    assert torch.equal(first, again)
    assert len(first[:4].unique(dim=0)) == 4
    assert not torch.equal(random_real(blobs(), 4, 1)[0], random_real(blobs(), 4, 2)[0])


@pytest.mark.parametrize("name", REAL)
def test_too_few_images_are_said(name):
    with pytest.raises(DataError, match="class 'a' of blobs has 2 images, 3 were asked for"):
        REAL[name][1](blobs(2), 3, 0)
