"""Runs whose images were whitened after their normalization, as earlier versions did, are opened as they were made."""

from dataclasses import replace

import pytest
import torch
import yaml
from distilled_sets import distill

import glad
from glad.data.zca import ZCA
from glad.runs.storage import RunError

DATA = {"limit": 60, "resolution": 16, "zca": True}


@pytest.fixture
def former(tmp_path):
    """A run of an earlier version, and the data as that version had them."""
    splits = glad.load_data("fashion-mini", **DATA)
    plain = replace(splits.train, whitening=None)
    whitening = ZCA.fit([plain.tensor()], plain.digest, standardized=True)
    parts = {name: replace(getattr(splits, name), whitening=whitening) for name in ("train", "validation", "test")}
    data = replace(splits, **parts)
    run = distill(tmp_path / "run", data=data, prior="pixels", iterations=1)
    path = run.path / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "data": "fashion-mini", **DATA}))
    return run, data


def test_it_loads_and_goes_on_and_is_evaluated_with_its_own_whitening(former):
    run, data = former
    loaded = glad.load_distilled(run.path)
    assert torch.equal(loaded.pixels, data.train.pixels(run.read_set()[0]))
    more = distill(run.path, data="fashion-mini", prior="pixels", iterations=2, **DATA)
    images, _ = more.read_set()
    again = distill(run.path.parent / "again" / "run", data=data, prior="pixels", iterations=2)
    assert torch.equal(images, again.read_set()[0])
    options = {"networks": ["convnet"], "seeds": 1, "epochs": 1, "network_options": {"convnet": {"width": 4}}}
    found = glad.evaluate(run.path, split="validation", **options)
    given = glad.evaluate(again.path, data=data, split="validation", **options)
    assert [cell["accuracy"] for cell in found["cells"][:2]] == [cell["accuracy"] for cell in given["cells"][:2]]


def test_other_data_are_still_refused(former):
    run, _ = former
    path = run.path / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "limit": 50}))
    with pytest.raises(RunError, match=run.data_digest[:12]):
        glad.load_distilled(run.path)
