"""Labels of sets of other people: right whatever their classes are called and in which order they stand."""

import numpy as np
import pytest
import torch
from errors import naming
from PIL import Image

from glad.data.notices import DataError, DataNotice
from glad.data.splits import load_data
from glad.evaluation.candidates import of_path


@pytest.fixture(scope="module")
def train():
    return load_data("fashion-mini", limit=160).train


@pytest.fixture(scope="module")
def pictures(train):
    """The first two images of each class, uint8 [20, 28, 28], and their labels."""
    indices = torch.cat([train.of_class(c)[:2] for c in range(10)])
    return train.raw(indices)[:, 0].numpy(), train.labels[indices]


def save(path, pictures, folders):
    for i, (image, label) in enumerate(zip(*pictures, strict=True)):
        (path / folders[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / folders[label] / f"{i:03d}.png")
    return path


def is_right(found, train):
    """Whether each image has the label that it has in the data, and none is missing."""
    real = train.tensor()
    rows = [(real == image).flatten(1).all(1).nonzero().flatten() for image in found.images]
    pairs = list(zip(rows, found.labels, strict=True))
    return len(rows) == 20 and all(len(row) and bool((train.labels[row] == label).all()) for row, label in pairs)


def test_folders_1_to_10(train, pictures, tmp_path):
    with pytest.warns(DataNotice, match=naming("1 1 = T-shirt/top")):
        found = of_path(save(tmp_path / "set", pictures, [str(c + 1) for c in range(10)]), train)
    assert is_right(found, train) and found.counts == (2,) * 10


def test_one_class_spelled_otherwise(train, pictures, tmp_path):
    path = save(tmp_path / "set", pictures, ["T-shirt", *train.classes[1:]])
    with pytest.raises(DataError, match=naming("T-shirt (T-shirt T-shirt/top)")):
        of_path(path, train)
    assert is_right(of_path(path, train, class_map={"T-shirt": "T-shirt/top"}), train)


@pytest.mark.parametrize("order", ["another", "the same"])
def test_an_npz_that_names_its_classes(train, pictures, tmp_path, order):
    images, labels = pictures
    names = np.array(train.classes if order == "the same" else train.classes[::-1])
    own = labels if order == "the same" else 9 - labels
    np.savez(tmp_path / "set.npz", images=images, labels=own.numpy(), classes=names)
    assert is_right(of_path(tmp_path / "set.npz", train), train)


def test_a_class_map_and_names_go_together_in_an_npz(train, pictures, tmp_path):
    images, labels = pictures
    names = np.array(["tee", *train.classes[1:]])
    np.savez(tmp_path / "set.npz", images=images, labels=labels.numpy(), classes=names)
    with pytest.raises(DataError, match=naming("tee")):
        of_path(tmp_path / "set.npz", train)
    assert is_right(of_path(tmp_path / "set.npz", train, class_map={"tee": 0}), train)


def test_data_that_are_an_npz_have_the_names_that_it_gives(train, pictures, tmp_path):
    images, labels = (x.repeat(8, 0) if i == 0 else x.repeat_interleave(8) for i, x in enumerate(pictures))
    names = np.array(train.classes[::-1])
    np.savez(tmp_path / "data.npz", images=images, labels=9 - labels.numpy(), classes=names)
    with pytest.warns(DataNotice, match=naming("identical training")):
        data = load_data(str(tmp_path / "data.npz")).train
    assert data.classes == train.classes[::-1]
    found = of_path(save(tmp_path / "set", pictures, [c.replace("/", "_") for c in train.classes]), data)
    assert is_right(found, data)


def test_of_a_folder_with_splits_the_set_is_the_training_images(train, pictures, tmp_path):
    folders = [c.replace("/", "_") for c in train.classes]
    save(tmp_path / "set" / "train", pictures, folders)
    save(tmp_path / "set" / "test", tuple(x[:20:2] for x in pictures), folders)
    with pytest.warns(DataNotice, match=naming("(train/) test (10 images)")):
        found = of_path(tmp_path / "set", train)
    assert is_right(found, train)


def test_what_reading_has_to_say_is_said(train, pictures, tmp_path):
    path = save(tmp_path / "set", pictures, [c.replace("/", "_") for c in train.classes])
    (path / "Bag" / "more.gif").write_bytes(b"GIF89a")
    with pytest.warns(DataNotice, match=r"not read: 1 \.gif"):
        assert is_right(of_path(path, train), train)


def test_classes_without_images_are_said(train, pictures, tmp_path):
    path = save(tmp_path / "set", tuple(x[:18] for x in pictures), [c.replace("/", "_") for c in train.classes])
    with pytest.warns(DataNotice, match=naming("set Ankle boot")):
        assert len(of_path(path, train).labels) == 18
