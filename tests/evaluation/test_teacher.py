"""The teacher: what it depends on, that it is trained once, and the file of the labels that it gives."""

from dataclasses import replace

import pytest
import torch
from distilled_sets import distill
from errors import naming
from torch import nn

import glad
from glad.data.augment import ALL
from glad.data.splits import load_data
from glad.evaluation import Protocol, accuracy, teacher, train_network
from glad.evaluation.teacher import Teacher, open_teacher, settings_of
from glad.formats.export import export
from glad.networks import make_network
from glad.rng import rng_for
from glad.runs import soft_labels
from glad.runs.storage import RunError

CPU = torch.device("cpu")
OPTIONS = {"width": 4}


@pytest.fixture(scope="module")
def data():
    return load_data("fashion-mini", limit=60)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLAD_TEACHER_CACHE", str(tmp_path / "teachers"))
    return tmp_path / "teachers"


def test_it_is_trained_on_the_training_images_and_no_others(data):
    found = open_teacher(data, "convnet", OPTIONS, 2, CPU)
    key = (0, "teacher", "convnet")
    own = make_network("convnet", channels=1, classes=10, resolution=28, rng=rng_for(*key, "initialise"), width=4)
    protocol = Protocol(epochs=2, augmentation=ALL)
    train_network(own, data.train.tensor(), data.train.labels, key=key, learning_rate=1e-2, protocol=protocol)
    for ours, theirs in zip(own.parameters(), found.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert found.accuracy == accuracy(own, data.validation.tensor(), data.validation.labels)
    untested = replace(data, test=data.test.select(torch.arange(1)))
    assert open_teacher(untested, "convnet", OPTIONS, 2, CPU).accuracy == found.accuracy


def test_it_is_trained_once_and_read_again(data, cache, monkeypatch):
    first = open_teacher(data, "convnet", OPTIONS, 1, CPU)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(teacher, "train_network", lambda *_, **__: 1 / 0)
    again = open_teacher(data, "convnet", OPTIONS, 1, CPU)
    images = data.train.tensor()[:5]
    assert torch.equal(first.label(images), again.label(images)) and again.accuracy == first.accuracy
    other = load_data("fashion-mini", limit=50)
    for changed in ((data, "convnet", {"width": 8}, 1), (data, "convnet", OPTIONS, 2), (other, "convnet", OPTIONS, 1)):
        with pytest.raises(ZeroDivisionError):
            open_teacher(*changed, CPU)


def test_labels_are_probabilities_and_features_those_of_the_network():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    network.embed = lambda images: 2 * images.flatten(1)
    made = Teacher(network, {}, 0.5)
    images = torch.randn(200, 1, 2, 2, generator=torch.Generator().manual_seed(0))  # more than a pass takes
    logits = images.flatten(1) @ network[1].weight.t() + network[1].bias
    torch.testing.assert_close(made.label(images), logits.exp() / logits.exp().sum(1, keepdim=True))
    assert torch.equal(made.embed(images), 2 * images.flatten(1)) and not made.label(images).requires_grad


def test_a_damaged_file_is_an_error_with_its_path(data, cache):
    open_teacher(data, "convnet", OPTIONS, 1, CPU)
    (path,) = cache.iterdir()
    path.write_bytes(b"nothing")
    with pytest.raises(RunError, match=path.name):
        open_teacher(data, "convnet", OPTIONS, 1, CPU)


def test_settings_name_all_that_the_weights_depend_on(data):
    settings = settings_of(data, "vit", {"depth": 2}, 7)
    given = {"network": "vit", "options": {"depth": 2}, "epochs": 7}
    assert settings == {**given, "lr": 1e-2, "augmentation": ALL, "data": data.train.digest}


def test_soft_labels_lie_with_the_set_and_go_along_with_exports(tmp_path):
    run = distill(tmp_path / "run", iterations=1, limit=160)
    images, labels = run.read_set()
    given = torch.rand(10, 10, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert soft_labels.read(run.path, images) is None and glad.load_distilled(run.path).soft_labels is None
    soft_labels.write(run.path, images, given, {"network": "convnet"})
    loaded = glad.load_distilled(run.path)
    assert torch.equal(loaded.soft_labels, given) and torch.equal(loaded.labels, labels)
    export(loaded, "npz", tmp_path / "set.npz")
    assert torch.equal(glad.load_distilled(tmp_path / "set.npz").soft_labels, given)
    with pytest.raises(RunError, match=naming("set `glad evaluate")):
        soft_labels.read(run.path, images + 1)
