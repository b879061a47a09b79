"""The comparison with DD-Ranking's package: what it hands over, and what stops it before anything is trained."""

import importlib.util
import json
import sys

import compare_ddranking
import pytest
import torch
from click.testing import CliRunner
from distilled_sets import distill
from safetensors.torch import load_file

import glad
from glad.data.splits import load_data


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run = distill(folder / "codes", iterations=1, limit=160)
    return glad.export(run, "npz", folder / "set.npz").path


def test_the_package_gets_the_tensors_that_we_train_and_test_on(exported, tmp_path, monkeypatch):
    peer = tmp_path / "peer.py"
    lines = ["import shutil, sys", *(f"shutil.copy(sys.argv[{i}], {str(tmp_path / str(i))!r})" for i in (1, 2))]
    peer.write_text("\n".join([*lines, "open(sys.argv[3], 'w').write('{}')"]))
    monkeypatch.setattr(compare_ddranking, "PEER", peer)
    splits = compare_ddranking.tested_part(load_data("fashion-mini", limit=160), 3)
    compare_ddranking.peers(sys.executable, exported, splits, 20, [0, 1])
    tensors = load_file(tmp_path / "1")
    assert torch.equal(tensors["test_images"], splits.test.tensor()) and len(tensors["test_labels"]) == 30
    assert (
        torch.equal(tensors["test_labels"], splits.test.labels) and splits.test.labels.bincount().tolist() == [3] * 10
    )
    loaded = glad.load_distilled(exported)
    assert torch.equal(tensors["images"], splits.train.normalize(loaded.pixels))
    assert torch.equal(tensors["labels"], loaded.labels)
    assert json.loads((tmp_path / "2").read_text()) == {"epochs": 20, "seeds": [0, 1], "learning_rate": 0.01}


@pytest.mark.parametrize(
    ("epochs", "message"),
    [(25, "--epochs is 25: the package tests every tenth epoch"), (20, "has no ddranking: python -m")],
)
def test_what_stops_it(exported, epochs, message):
    if message.startswith("has") and importlib.util.find_spec("ddranking"):
        pytest.skip("ddranking is installed here")
    asked = [str(exported), "--data", "fashion-mini", "--peer-python", sys.executable, "--epochs", str(epochs)]
    result = CliRunner().invoke(compare_ddranking.main, asked)
    assert result.exit_code == 1 and message in result.output
