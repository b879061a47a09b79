"""What a prior says of itself, read with a default for all that it does not say."""

import pytest
import torch
from errors import naming
from own_priors import low
from torch import nn

from generators.license import License
from generators.provenance import Weights
from glad.priors.description import PriorDescription
from glad.rng import rng_for


class Bare:
    """Has what a prior must have."""

    def init(self, classes, rng):
        return low(classes, rng)

    def __call__(self, code):
        return code.view(-1, 1, 2, 2)

    def tensors(self):
        return {}


def having(**members):
    """A bare prior with ``members``."""
    prior = Bare()
    for name, value in members.items():
        setattr(prior, name, value)
    return prior


def test_a_prior_that_says_nothing():
    stated = PriorDescription(Bare())
    assert (stated.images_per_row, stated.layers, stated.codes, stated.optimizers) == (1, 0, (), {})
    assert stated.conditional and stated.encode is None and stated.from_codes is None
    assert stated.learning_rates("dm") == {} and stated.floats_per_row == 4
    assert stated.name == f"{__name__}.Bare"
    assert stated.weights == Weights(stated.name, "not stated by the prior", "", License(None, "no license stated"))


def test_what_a_prior_says_is_read():
    stated = PriorDescription(
        having(
            images_per_row=3,
            floats_per_row=7,
            codes=["z"],
            conditional=False,
            layers=5,
            optimizers={"z": "adam"},
            from_codes=lambda z: {"z": z},
            provenance=lambda: None,
        )
    )
    assert (stated.images_per_row, stated.floats_per_row, stated.codes, stated.layers) == (3, 7, ("z",), 5)
    assert not stated.conditional and stated.optimizers == {"z": "adam"} and stated.weights is None
    assert stated.from_codes is not None
    assert stated.project is None and stated.fit_rate == 0.05


def test_codes_alone_make_it_a_generators():
    assert PriorDescription(having(from_codes=lambda z: {"z": z})).from_codes is None


def test_rates_go_by_latent_and_before_that_by_objective():
    stated = PriorDescription(having(learning_rates={"code": 1, "g": 0.5, "mtt": {"code": 9.0}}))
    assert stated.learning_rates() == stated.learning_rates("dm") == {"code": 1.0, "g": 0.5}
    assert stated.learning_rates("mtt") == {"code": 9.0, "g": 0.5}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("images_per_row", 0),
        ("images_per_row", True),
        ("images_per_row", 1.5),
        ("floats_per_row", -1),
        ("layers", "many"),
        ("fit_rate", "fast"),
        ("codes", "w"),
        ("optimizers", {"code": "sdg"}),
        ("learning_rates", {"code": -1.0}),
        ("learning_rates", {"code": float("nan")}),
        ("learning_rates", {"dm": {"code": "fast"}}),
        ("learning_rates", 0.1),
    ],
)
def test_what_cannot_be_is_an_error_that_names_it(member, value):
    with pytest.raises(ValueError, match=naming(f"mine:Prior {member}")):
        _ = PriorDescription(having(**{member: value}), "mine:Prior").floats_per_row


def test_provenance_is_a_record_and_nothing_else():
    with pytest.raises(ValueError, match=naming("provenance() Weights None 'MIT'")):
        _ = PriorDescription(having(provenance=lambda: "MIT")).weights


def digest(prior, files=None):
    return PriorDescription(prior, files=files).weights.sha256


def test_the_tensors_that_a_silent_prior_holds_are_its_weights():
    first, again, other = (having(weights=[{"a": torch.full([3], value)}]) for value in (1.0, 1.0, 2.0))
    assert len(digest(first)) == 64 and digest(first) == digest(again) != digest(other)
    network = nn.Linear(2, 3)
    held = digest(having(network=network))
    network.bias.data += 1
    assert digest(having(network=network)) != held
    assert digest(having(shape=(1, 2), normalize=abs)) == ""


def test_what_a_prior_learns_is_not_its_weights():
    prior = having(bias=torch.zeros(3))
    prior.tensors = lambda: {"g/bias": prior.bias}
    assert digest(prior) == ""


def test_files_of_the_options_stand_for_weights_without_a_hash(tmp_path):
    file = str(tmp_path / "decoder.safetensors")
    stated = PriorDescription(having(weights=torch.ones(2)), files={file: "ab" * 32}).weights
    assert (stated.sha256, stated.file) == ("ab" * 32, file)
    two = {file: "ab" * 32, "other": "cd" * 32}
    assert digest(Bare(), two) == digest(Bare(), dict(reversed(two.items()))) != digest(Bare(), {**two, "other": "e"})
    own = Weights("mine", "here", "12" * 32, License("mit", "MIT", True, True))
    assert PriorDescription(having(provenance=lambda: own), files={file: "ab" * 32}).weights == own


def test_a_module_is_digested_by_its_state():
    class Module(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.register_buffer("basis", torch.full([2], value))
            self.bias = nn.Parameter(torch.zeros(2))

        def init(self, classes, rng):
            return low(classes, rng)

        def forward(self, code):
            return code

        def tensors(self):
            return {"bias": self.bias}

    first, other = Module(1.0), Module(2.0)
    before = digest(first)
    first.bias.data += 1
    assert digest(first) == before != digest(other)


def test_floats_are_counted_in_the_first_latents():
    prior = Bare()
    prior.init = lambda classes, rng: {"a": torch.zeros(len(classes), 2, 3), "b": torch.zeros(len(classes), 5)}
    assert PriorDescription(prior).floats_per_row == 11
    assert prior.init(torch.zeros(1), rng_for(0))["a"].shape == (1, 2, 3)
