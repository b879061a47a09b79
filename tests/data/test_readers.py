"""Readers of npz files, torchvision's data sets and ImageNet, on small real files."""

import struct

import click
import numpy as np
import pytest
import torch
import torchvision
from errors import mentions, naming
from image_files import noise, write_images, write_npz

from glad.cli import main
from glad.data import embedded, layout, readers
from glad.data.dataset import DataError
from glad.data.splits import load_data


def all_images(splits):
    return [image.numpy().tobytes() for part in (splits.train, splits.validation, splits.test) for image in part.images]


# --- npz ---


@pytest.mark.parametrize(
    ("shape", "expected"), [((8, 8), (1, 8, 8)), ((8, 8, 3), (3, 8, 8)), ((3, 8, 8), (3, 8, 8)), ((1, 8, 8), (1, 8, 8))]
)
def test_npz_layouts(tmp_path, shape, expected):
    images = noise(40, *shape)
    path = write_npz(
        tmp_path / "a.npz",
        x_train=None,
        y_train=None,
        images=images,
        labels=(np.arange(40) % 4)[:, None].astype(np.uint8),
    )
    splits = load_data(path)
    assert splits.train.images.shape[1:] == expected and len(splits.test) == 8
    if shape == (8, 8, 3):
        images = images.transpose(0, 3, 1, 2)
    assert sorted(all_images(splits)) == sorted(np.ascontiguousarray(image).tobytes() for image in images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": None}, "'y_train' x_train"),
        ({"x_train": None, "y_train": None}, "'images' none"),
        ({"x_test": noise(4, 8, 8)}, "'y_test'"),
        ({"x_train": np.zeros((40, 8, 8))}, "float64 uint8"),
        ({"y_train": np.zeros(40)}, "float64 (40,)"),
        ({"y_train": np.zeros((40, 4), int)}, "int64 (40, 4)"),
        ({"y_train": np.int64(3)}, "whole number"),
        ({"y_train": np.arange(39)}, "(40,) x_train (39,) y_train"),
        ({"y_train": np.arange(40) - 1}, "-1 38 0"),
        ({"y_train": np.arange(40) % 4 + 1}, "'0' train a"),
        ({"x_train": noise(40, 8)}, "(40, 8)"),
        ({"x_train": noise(40, 8, 8, 2)}, "(40, 8, 8, 2)"),
        ({"x_train": noise(40, 8, 9)}, "train a 9x8"),
        (
            {"x_test": noise(8, 9, 9), "y_test": np.arange(8) % 4},
            "train a 8x8 test a 9x9",
        ),
        ({"x_test": noise(8, 8, 8, 3), "y_test": np.arange(8) % 4}, "1 3 channels"),
        ({"x_test": noise(4, 8, 8), "y_test": np.zeros(4, int)}, "'1' test"),
        ({"y_train": np.array([{}] * 40)}, ".npz plain arrays"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path, changes, message):
    path = write_npz(tmp_path / "a.npz", **changes)
    with pytest.raises(DataError) as caught:
        load_data(path)
    assert mentions(caught.value, message)


def test_corrupt_npz(tmp_path):
    npz = write_npz(tmp_path / "toy.npz")
    content = (tmp_path / "toy.npz").read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    entry = content.index(b"PK\x01\x02") + 6  # the version of zip that it needs
    newer = content[:entry] + b"\xff" + content[entry + 1 :]
    for broken in (b"", b"text", content[:200], content[:-30], flipped, newer):
        (tmp_path / "toy.npz").write_bytes(broken)
        with pytest.raises(DataError, match=naming("toy.npz .npz")):
            load_data(npz)
    with (tmp_path / "toy.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(DataError, match=naming(".npz")):
        load_data(npz)


# --- torchvision ---


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes())


@pytest.mark.parametrize(
    ("name", "folder", "flip"), [("fashionmnist", "FashionMNIST", True), ("MNIST", "MNIST", False)]
)
def test_idx_files(tmp_path, name, folder, flip):
    raw = tmp_path / folder / "raw"
    for part, n in (("train", 40), ("t10k", 20)):
        write_idx(raw / f"{part}-images-idx3-ubyte", noise(n, 28, 28, seed=n))
        write_idx(raw / f"{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8))
    splits = load_data(name, root=tmp_path, resolution=32)
    assert splits.train.images.shape == (30, 1, 32, 32) and len(splits.test) == 20 and splits.train.flip is flip
    splits = load_data(name, root=tmp_path)
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(noise(20, 28, 28, seed=20)))
    assert splits.test.labels.tolist() == [*range(10), *range(10)]
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(DataError, match=naming(f"{name.lower()} {folder}/raw")):
        load_data(name, root=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashionmnist", "cifar10", "cifar100", "svhn", "stl10"])
def test_a_missing_data_set_says_where_it_was_looked_for(tmp_path, name):
    with pytest.raises(DataError) as caught:
        load_data(name, root=tmp_path)
    message = str(caught.value)
    assert mentions(message, f"{name} {tmp_path}") and "--download" in message and "\n" not in message
    assert f"glad.load_data({name!r}, root={str(tmp_path)!r}, download=True)" in message
    assert "`glad weights train --download` alone" in message  # distill and experts train have no such option
    with_it = [command for command in ("distill", "experts train", "weights train") if downloads(command)]
    assert with_it == ["weights train"]


def downloads(command):
    """Whether a command of glad has the option."""
    found = main
    for name in command.split():
        found = found.get_command(click.Context(found), name)
    return any("--download" in param.opts for param in found.params)


class LikeCIFAR:
    classes = ("a", "b")

    def __init__(self, root, train, download):
        self.data, self.targets = noise(20, 8, 8, 3, seed=int(train)), [0, 1] * 10


class LikeSVHN:
    def __init__(self, root, split, download):
        self.data, self.labels = noise(20, 3, 8, 8, seed=len(split)), np.arange(20) % 10


def test_torchvision_layouts(tmp_path, monkeypatch):
    for name, dataset in (("cifar10", LikeCIFAR), ("svhn", LikeSVHN)):
        monkeypatch.setattr(torchvision.datasets, readers.TORCHVISION[name].dataset, dataset)
    splits = load_data("CIFAR10", root=tmp_path)
    assert torch.equal(splits.test.images, torch.from_numpy(noise(20, 8, 8, 3)).permute(0, 3, 1, 2))
    assert splits.test.labels.tolist() == [0, 1] * 10 and splits.test.classes == ("a", "b") and splits.test.flip
    splits = load_data("svhn", root=tmp_path)
    assert torch.equal(splits.test.images, torch.from_numpy(noise(20, 3, 8, 8, seed=4)))
    assert splits.test.classes == tuple("0123456789") and not splits.test.flip


def test_names_that_are_written_out_are_those_of_torchvision():
    assert list(embedded.FASHION) == torchvision.datasets.FashionMNIST.classes
    assert layout.IMG_EXTENSIONS == torchvision.datasets.folder.IMG_EXTENSIONS
    assert all(hasattr(torchvision.datasets, entry.dataset) for entry in readers.TORCHVISION.values())


# --- ImageNet ---


def fake_imagenet(root, ids):
    for part in ("train", "val"):
        for i in range(1000):
            (root / part / f"n{i:08}").mkdir(parents=True)
        for i in ids:
            write_images(
                root / part / f"n{i:08}",
                3,
                size=(10 + i % 3, 9),
                suffix="JPEG",
                seed=i + 1000 * (part == "val"),
                gray=i % 2 == 0,
            )


NETTE = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)


def test_imagenet_subsets_keep_their_order_and_ids(tmp_path):
    woof = (193, 182, 258)
    fake_imagenet(tmp_path, {*NETTE, *woof})
    for alias in ("imagenet-nette", "imagenette", "nette"):
        splits = load_data(alias, root=tmp_path, resolution=8)
        assert splits.train.name == "imagenet-nette" and splits.test.class_ids == NETTE
    assert splits.train.classes[:2] == ("tench", "English springer") and splits.train.images.shape == (20, 3, 8, 8)
    assert len(splits.test) == 30 and splits.train.channels == 3
    splits = load_data("imagenet-woof", root=tmp_path, resolution=8, classes=[1, 0])
    assert splits.train.class_ids == (182, 193)
    with pytest.raises(DataError, match=naming("'beagle' train images")):
        load_data("imagenet-woof", root=tmp_path, resolution=8)
    splits = load_data("imagenet", root=tmp_path, resolution=8, classes=[701, "tench"])
    assert splits.train.class_ids == (701, 0)
    with pytest.raises(DataError, match="--resolution"):
        load_data("nette", root=tmp_path)


def test_imagenet_with_another_number_of_folders(tmp_path):
    write_images(tmp_path / "train" / "n01440764", 3)
    with pytest.raises(DataError, match=naming("1000 ImageNet train 1 --root")):
        load_data("imagenette", root=tmp_path)
