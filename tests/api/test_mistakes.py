"""What a user of Python hands over by mistake is refused in one line, and a class is as good as its name."""

import pytest
import torch
from errors import naming

import glad
from glad.objectives import OBJECTIVES
from glad.objectives.dm import DM
from glad.priors import PRIORS
from glad.priors.pixels import Pixels

SMALL = {"iterations": 1, "limit": 60, "network_options": {"width": 4}, "objective_options": {"batch": 4}}


class Flat:
    """A prior whose images are none."""

    learning_rates = {"z": 1.0}  # noqa: RUF012

    def init(self, classes, rng):
        return {"z": torch.rand(len(classes), 3, generator=rng)}

    def __call__(self, z):
        return z

    def tensors(self):
        return {}


class Tensors(Flat):
    def init(self, classes, rng):
        return torch.rand(len(classes), 3, generator=rng)


class Silent(Flat):
    tensors = None


class Aimless:
    def __init__(self, real):
        self.real = real

    def tensors(self):
        return {}


@pytest.fixture(autouse=True)
def registries(monkeypatch, tmp_path):
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES))
    monkeypatch.setattr(PRIORS, "_entries", dict(PRIORS))
    monkeypatch.chdir(tmp_path)


def test_a_class_is_taken_for_its_name():
    named = glad.distill(objective="dm", prior="pixels", out="named", **SMALL)
    handed = glad.distill(objective=DM, prior=Pixels, out="handed", **SMALL)
    assert torch.equal(named.read_set()[0], handed.read_set()[0])
    assert handed.settings.objective == "glad.objectives.dm:DM"
    assert handed.settings.prior == "glad.priors.pixels:Pixels"


@pytest.mark.parametrize(
    ("prior", "values"),
    [(Flat, "[1, 3] [1, 1, 28, 28]"), (Tensors, "init Tensor dict"), (Silent, "Silent tensors init __call__")],
)
def test_a_prior_that_is_none(prior, values):
    with pytest.raises(ValueError, match=naming(values)):
        glad.distill(prior=prior, out="run", **SMALL)


def test_an_objective_that_is_none():
    with pytest.raises(ValueError, match=naming("aimless terms tensors")):
        glad.distill(objective=Aimless, prior="pixels", out="run", **{**SMALL, "objective_options": {}})


def test_a_text_is_no_list_of_letters():
    with pytest.raises(ValueError, match=naming("networks 'convnet' ['convnet']")):
        glad.evaluate("run", networks="convnet")
    with pytest.raises(ValueError, match=naming("classes 'cat' ['cat']")):
        glad.distill(classes="cat", out="run")
    with pytest.raises(ValueError, match=naming("protocol text Path Protocol")):
        glad.evaluate("run", protocol={"epochs": 1})
