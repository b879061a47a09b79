"""Real images as baselines: which are picked, and that each is picked once."""

import pytest
import torch
from errors import naming

from glad.data.coresets import SELECTIONS, select, select_herding, select_kmeans, select_random
from glad.data.dataset import ImageData
from glad.data.notices import DataNotice


def blobs(per_class=12):
    """Two classes of gray 4 x 4 images; each image is of one brightness, in three well separated groups of a class."""
    group = torch.arange(per_class) % 3
    brightness = torch.stack([20 + 80 * group + torch.arange(per_class), 10 + 90 * group + torch.arange(per_class)])
    images = brightness.flatten().clamp(max=255).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    labels = torch.arange(2).repeat_interleave(per_class)
    return ImageData("blobs", images, labels, ("a", "b"), (0, 1), (0.5,), (0.25,), 4, 1)


def test_one_per_class_is_the_image_nearest_to_the_mean():
    data = blobs()
    images, labels = select_kmeans(data, 1, seed=5)
    for c in range(2):
        own = data.batch(data.of_class(c))
        expected = own[(own - own.mean(0)).flatten(1).norm(dim=1).argmin()]
        torch.testing.assert_close(images[labels == c][0], expected)


def test_three_per_class_are_one_of_each_group():
    data = blobs()
    images, labels = select_kmeans(data, 3, seed=0)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    for c, (first, step) in enumerate([(20, 80), (10, 90)]):
        levels = data.pixels(images[labels == c])[:, 0, 0, 0] * 255
        assert sorted(((levels - first) // step).int().tolist()) == [0, 1, 2]


@pytest.mark.parametrize("name", SELECTIONS)
def test_pictures_are_distinct_and_a_function_of_the_seed(name):
    first, again = (select(name, blobs(), 4, 1)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert len(first[:4].unique(dim=0)) == 4
    assert not torch.equal(select_random(blobs(), 4, 1)[0], select_random(blobs(), 4, 2)[0])


@pytest.mark.parametrize("name", SELECTIONS)
def test_all_images_of_a_class_with_too_few_are_taken_and_it_is_said(name):
    data = blobs()
    data = data.select(torch.cat([data.of_class(0)[:2], data.of_class(1)]))
    with pytest.warns(DataNotice, match=naming("blobs 5 a (2)")):
        images, labels = select(name, data, 5, 0)
    assert labels.tolist() == [0] * 2 + [1] * 5
    assert {x.tobytes() for x in images[:2].numpy()} == {x.tobytes() for x in data.batch(data.of_class(0)).numpy()}
    more, _ = select(name, blobs(), 5, 0)
    assert torch.equal(images[2:], more[5:])  # the other class does not notice


@pytest.mark.parametrize("name", SELECTIONS)
def test_each_class_may_have_a_number_of_its_own(name):
    images, labels = select(name, blobs(), [2, 4], 1)
    assert labels.tolist() == [0] * 2 + [1] * 4
    assert len(images[:2].unique(dim=0)) == 2 and len(images[2:].unique(dim=0)) == 4
    assert torch.equal(images[2:], select(name, blobs(), 4, 1)[0][4:])


def scattered(per_class=14):
    """Two classes of random 4 x 4 images."""
    rng = torch.Generator().manual_seed(3)
    images = torch.randint(256, [2 * per_class, 1, 4, 4], generator=rng, dtype=torch.uint8)
    labels = torch.arange(2).repeat(per_class)
    return ImageData("scattered", images, labels, ("a", "b"), (0, 1), (0.5,), (0.25,), 4, 1)


def squares(images):
    """Features that are no linear map of the pixels."""
    return images.flatten(1).square()[:, :5]


@pytest.mark.parametrize("embed", [None, squares])
def test_herding_takes_what_brings_the_mean_nearest(embed):
    data = scattered()
    images, labels = select_herding(data, 5, 0, embed)
    assert labels.tolist() == [0] * 5 + [1] * 5
    for c in range(2):
        own = data.batch(data.of_class(c))
        features = (own.flatten(1) if embed is None else embed(own)).double()
        chosen = []
        for _ in range(5):  # the mean of every choice, written out
            left = [i for i in range(len(own)) if i not in chosen]
            misses = [float((features[[*chosen, i]].mean(0) - features.mean(0)).norm()) for i in left]
            chosen.append(left[min(range(len(left)), key=misses.__getitem__)])
        assert torch.equal(images[labels == c], own[chosen])


def test_herding_of_features_of_one_length_is_welling_s_rule():
    data = scattered()

    def unit(images):
        return torch.nn.functional.normalize(images.flatten(1).double(), dim=1)

    images, labels = select_herding(data, 6, 0, unit)
    own = data.batch(data.of_class(1))
    features = unit(own)
    weight, chosen = features.mean(0), []
    for _ in range(6):
        products = features @ weight
        products[chosen] = -torch.inf
        chosen.append(int(products.argmax()))
        weight = weight + features.mean(0) - features[chosen[-1]]
    assert torch.equal(images[labels == 1], own[chosen])


def test_methods_by_name():
    found = {name: select(name, scattered(), 3, 0, squares)[0] for name in SELECTIONS}
    assert torch.equal(found["herding"], select_herding(scattered(), 3, 0, squares)[0])
    assert not torch.equal(found["herding"], SELECTIONS["herding"](scattered(), 3, 0)[0])
    for name, method in (("random", select_random), ("kmeans", select_kmeans)):
        assert torch.equal(found[name], method(scattered(), 3, 0)[0])
    with pytest.raises(ValueError, match=naming("'best' random kmeans herding")):
        select("best", scattered(), 3, 0)
