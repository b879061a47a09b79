"""Sets that stand in place of a run: what of them comes through, and what is refused in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from distilled_sets import distill
from errors import naming
from PIL import Image

from glad.data.dataset import DataError
from glad.data.splits import load_data
from glad.evaluation.candidates import network_of, of_path, of_run
from glad.formats import FORMATS
from glad.formats.export import export
from glad.formats.load import load_distilled
from glad.runs.soft_labels import hash_of
from glad.runs.storage import RunError


@pytest.fixture(scope="module")
def train():
    return load_data("fashion-mini", limit=160).train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return distill(tmp_path_factory.mktemp("runs") / "codes", iterations=1, limit=160)


def pictures(train, per_class=2):
    """The first images of each class, uint8 [N, 28, 28], and their labels."""
    indices = torch.cat([train.of_class(c)[:per_class] for c in range(10)])
    return train.raw(indices)[:, 0].numpy(), train.labels[indices]


def save_folders(path, images, labels, names):
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        (path / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / names[label] / f"{i:03d}.png")


def as_dict(images, labels):
    return sorted((label, hash_of(image)) for label, image in zip(labels.tolist(), images, strict=True))


def test_a_run(run):
    found, (images, labels) = of_run(run), run.read_set()
    assert torch.equal(found.images, images) and torch.equal(found.labels, labels)
    assert found.initial is not None and torch.equal(found.initial[0], run.read_set("initial")[0])
    assert (found.name, found.counts, found.network, found.step_size) == ("codes", (1,) * 10, "convnet", None)
    assert found.hashes == [hash_of(images), hash_of(found.initial[0])]
    assert found.results == run.path / "results.json" and found.run == run.path and found.seconds > 0


@pytest.mark.parametrize("kind", ["safetensors", "npz", "folder"])
def test_an_exported_set_is_that_of_its_run(run, train, tmp_path, kind):
    path = tmp_path / f"set{FORMATS[kind].suffix}"
    export(load_distilled(run.path), kind, path)
    found, loaded = of_path(path, train), load_distilled(path)
    assert torch.equal(found.images, loaded.images) and torch.equal(found.labels, loaded.labels)
    assert (found.name, found.network, found.run, found.initial) == ("set", "convnet", None, None)
    assert found.counts == (1,) * 10
    assert found.results == tmp_path / f"{path.name}.results.json"


def test_an_exported_set_for_data_with_another_normalization(run, tmp_path):
    other = load_data("fashion-mini", limit=40).train
    export(load_distilled(run.path), "safetensors", tmp_path / "set")
    found = of_path(tmp_path / "set", other)
    torch.testing.assert_close(other.pixels(found.images), load_distilled(run.path).pixels)


def test_soft_labels_follow_the_order_of_the_classes(run, tmp_path):
    wanted = ["Bag", "Shirt", "Coat"]
    data = load_data("fashion-mini", limit=60, classes=wanted).train
    other = load_data("fashion-mini", limit=60, classes=wanted[::-1]).train
    small = distill(tmp_path / "small", iterations=1, limit=60, classes=wanted[::-1])
    soft = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.3, 0.4]])
    export(replace(load_distilled(small.path), soft_labels=soft), "npz", tmp_path / "set.npz")
    turned, straight = of_path(tmp_path / "set.npz", data), of_path(tmp_path / "set.npz", other)
    assert straight.labels.tolist() == [0, 1, 2] and torch.equal(straight.soft_labels, soft)
    assert turned.labels.tolist() == [2, 1, 0] and torch.equal(turned.soft_labels, soft.flip(1))
    assert turned.hashes != straight.hashes


@pytest.mark.parametrize("names", ["plain", "numbers"])
def test_a_folder_of_images(train, tmp_path, names):
    images, labels = pictures(train)
    plain = [name.replace("/", "_") for name in train.classes]
    save_folders(tmp_path / "theirs", images, labels, plain if names == "plain" else list(map(str, range(10))))
    found = of_path(tmp_path / "theirs", train)
    indices = torch.cat([train.of_class(c)[:2] for c in range(10)])
    assert as_dict(found.images, found.labels) == as_dict(train.batch(indices), train.labels[indices])
    assert (found.name, found.network, found.counts, found.soft_labels) == ("theirs", None, (2,) * 10, None)


def test_folders_01_to_11_are_numbers_whatever_their_order(tmp_path):
    data = load_data("fashion-mini", limit=20).train
    eleven = type(data)(**{**vars(data), "classes": tuple(f"c{i}" for i in range(11)), "class_ids": tuple(range(11))})
    labels = torch.arange(11)
    save_folders(tmp_path / "set", np.zeros([11, 28, 28], np.uint8) + np.arange(11, dtype=np.uint8)[:, None, None],
                 labels, list(map(str, range(11))))  # fmt: skip
    found = of_path(tmp_path / "set", eleven)
    levels = (eleven.pixels(found.images)[:, 0, 0, 0] * 255).round().int().tolist()
    assert levels == found.labels.tolist() and sorted(levels) == list(range(11))


def test_other_names_are_taken_in_order_where_asked_and_other_sizes_resized_with_a_word(train, tmp_path):
    images, labels = pictures(train, 1)
    save_folders(tmp_path / "set", images.repeat(2, 1).repeat(2, 2), labels, [f"thing {c}" for c in "abcdefghij"])
    with pytest.warns(UserWarning) as stated:
        found = of_path(tmp_path / "set", train, class_map={"*": "guess"})
    words = " ".join(str(warning.message) for warning in stated)
    assert "classes are taken in their order, which is a guess: thing a = T-shirt/top" in words
    assert "images of 56x56 are resized to 28x28" in words
    assert found.labels.tolist() == labels.tolist() and found.images.shape == (10, 1, 28, 28)


def test_an_npz_of_images(train, tmp_path):
    images, labels = pictures(train)
    np.savez(tmp_path / "set.npz", images=images, labels=labels.numpy())
    found = of_path(tmp_path / "set.npz", train)
    indices = torch.cat([train.of_class(c)[:2] for c in range(10)])
    assert torch.equal(found.images, train.batch(indices)) and torch.equal(found.labels, labels)


def test_what_does_not_fit_is_refused(run, train, tmp_path):
    images, labels = pictures(train)
    np.savez(tmp_path / "rgb.npz", images=images[..., None].repeat(3, -1), labels=labels.numpy())
    with pytest.raises(DataError, match=naming("images 3 fashion-mini 1")):
        of_path(tmp_path / "rgb.npz", train)
    save_folders(tmp_path / "few", images[:4], labels[:4], ["a", "b"])
    with pytest.raises(DataError, match=naming("few a, b fashion-mini T-shirt/top Ankle boot")):
        of_path(tmp_path / "few", train)
    export(load_distilled(run.path), "npz", tmp_path / "set.npz")
    with pytest.raises(DataError, match=naming("T-shirt/top Ankle boot Bag, Coat")):
        of_path(tmp_path / "set.npz", load_data("fashion-mini", limit=30, classes=["Bag", "Coat"]).train)
    with pytest.raises(RunError, match=r"holds images 1x28x28, fashion-mini has 1x32x32: .*\(--resolution\)"):
        of_path(tmp_path / "set.npz", load_data("fashion-mini", limit=30, resolution=32).train)
    (tmp_path / "damaged.npz").write_bytes(b"PK\3\4")
    with pytest.raises(RunError, match=naming("damaged.npz damaged")):
        of_path(tmp_path / "damaged.npz", train)


def test_the_network_distilled_with(run, train, tmp_path):
    images, labels = pictures(train)
    np.savez(tmp_path / "set.npz", images=images, labels=labels.numpy())
    theirs, ours = of_path(tmp_path / "set.npz", train), of_run(run)
    assert network_of([theirs], "vit") == "vit" and network_of([theirs, ours], "vit") == "convnet"
    with pytest.raises(RunError, match=r"different networks \(convnet, vgg11\): evaluate apart"):
        network_of([ours, replace(theirs, network="vgg11")], "vit")
