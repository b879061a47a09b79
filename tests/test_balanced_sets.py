"""A set whose classes have different numbers of images, from its start to its evaluation and its export."""

import numpy as np
import pytest
import torch
from distilled_sets import invoke
from image_files import noise, write_npz

import glad
from glad.formats.load import load_distilled

pytestmark = pytest.mark.filterwarnings("default::UserWarning")  # classes are unequal, classes are a guess, duplicates
COUNTS = {"proportional": [6, 2, 1], "sqrt": [5, 3, 1], "equal": [3, 3, 3]}
SMALL = {"network_options": {"width": 4}, "device": "cpu", "iterations": 2, "ipc": 3}
LABELS = np.repeat([0, 1, 2], [90, 30, 10])


@pytest.fixture
def source(tmp_path):
    test = {"x_test": noise(9, 28, 28, seed=1), "y_test": np.arange(9) % 3}
    return write_npz(tmp_path / "a.npz", len(LABELS), (28, 28), y_train=LABELS, **test)


def distill(source, out, **options):
    options = {"prior": "pixels", **SMALL, **options}
    return glad.distill(source, out=out, **options)


@pytest.mark.parametrize(
    ("objective", "balance"),
    [*(("dm", balance) for balance in COUNTS), *((o, "sqrt") for o in ("dc", "datadam", "cf"))],
)
def test_each_class_has_its_share_under_every_objective(source, tmp_path, objective, balance):
    run = distill(source, tmp_path / "run", objective=objective, balance=balance, objective_options={"batch": 4})
    images, labels = run.read_set()
    assert labels.bincount().tolist() == COUNTS[balance] and images.isfinite().all()
    assert not torch.equal(images, run.read_set("initial")[0]) and run.config["balance"] == balance


@pytest.mark.parametrize("prior", ["pixels", "fashion-mini"])
def test_starts_from_real_images_have_the_shares(source, tmp_path, prior):
    more = {"initialization": "nearest", "candidates": 12, "objective_options": {"batch": 4}, "prior": prior}
    run = distill(source, tmp_path / "run", balance="sqrt", class_map="guess", **more)
    start, labels = run.read_set("initial")
    assert labels.tolist() == [0] * 5 + [1] * 3 + [2] and len(start) == 9
    if prior == "pixels":
        train = glad.load_data(source).train
        rows = [(train.tensor() == image).flatten(1).all(1).nonzero().item() for image in start]
        assert train.labels[rows].tolist() == labels.tolist()


def test_it_is_evaluated_audited_and_exported(source, tmp_path):
    run = distill(source, tmp_path / "run", balance="proportional", objective_options={"batch": 4})
    small = {"networks": ["convnet"], "network_options": {"convnet": {"width": 4}}, "device": "cpu"}
    glad.evaluate(run, seeds=1, epochs=1, baselines=["random", "kmeans"], **small)
    found = glad.audit(run, width=4, epochs=1, set_epochs=1, seeds=1, device="cpu", split="test")
    assert found["provenance"]["settings"]["balance"] == "proportional"
    glad.export(run, "npz", tmp_path / "set.npz")
    assert load_distilled(tmp_path / "set.npz").labels.bincount().tolist() == [6, 2, 1]


def test_duplicates_are_left_out_of_a_run_and_of_its_evaluation(tmp_path, monkeypatch):
    train, test = noise(40, 28, 28), noise(8, 28, 28, seed=1)
    test[:4] = train[:4]
    source = write_npz(tmp_path / "a.npz", x_train=train, x_test=test, y_test=np.arange(8) % 4)
    monkeypatch.chdir(tmp_path)
    small = ("--iterations", 1, "--device", "cpu", "--set", "batch=4", "--network-option", "width=4")
    said = invoke("distill", "--data", source, "--prior", "pixels", *small, "--drop-duplicates", "--out", "run")
    assert "are left out, for they are there twice" in said and "Data: a: 4 classes" in said
    assert glad.Run("run").inputs["hashes"]["data"] == glad.load_data(source, drop_duplicates=True).train.digest
    quick = ("--networks", "convnet", "--network-option", "convnet.width=4", "--seeds", 1, "--epochs", 1)
    said = invoke("evaluate", "run", *quick, "--device", "cpu")
    assert "Test accuracy" in said  # which is of the same data, or refused
