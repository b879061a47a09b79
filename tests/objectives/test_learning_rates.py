"""Learning rates: those of every objective under every kind of latent, and whose word goes first."""

import pytest
import torch
from errors import naming
from fixtures import tiny_generator

import glad.objectives
from generators.prior import StyleGANPrior
from glad.objectives import OBJECTIVES
from glad.objectives.resolve import registered_name, resolve_learning_rates
from glad.priors.description import PriorDescription
from glad.priors.pixels import Pixels
from glad.priors.stylegan import published_rates

# The rates that runs of version 0.1 took, before they belonged to the prior: (pixels, W+ alone, w and f of F_n, g).
PUBLISHED = {
    "dm": (1.0, 10.0, (1e-2, 10.0), 1e-4),
    "dc": (0.1, 1.0, (1e-3, 1.0), 1e-4),
    "mtt": (1e3, 1e4, (10.0, 1e4), 0.1),
    "ast": (333.0, 1e4, (10.0, 1e4), 0.1),
    "datm": (100.0, 1e4, (10.0, 1e4), 0.1),
    "datadam": (1.0, 10.0, (1e-2, 10.0), 1e-4),
    "cf": (1.0, 10.0, (1e-2, 10.0), 1e-4),
    "ncfm": (1e-3, 10.0, (1e-2, 10.0), 1e-4),
    "lgm": (2e-3, 1.0, (1e-3, 1.0), 1e-4),
}
OWN = {
    "mtt": {"step_size": 1e-5},
    "ast": {"step_size": 1e-5},
    "datm": {"step_size": 1e-7, "labels": 5.0},
    "cf": {"sampler": 1e-2},
}
RECOMMENDED = {"dm": {"w": 0.03, "f": 1.0}, "dc": {"w": 0.03}, "mtt": {"w": 3.0}, "ast": {"w": 3.0}}  # fashion-mini's


def stylegan(layer=None, recommended=None, learn_g=0):
    rates = published_rates(layer is not None, recommended or {})
    return StyleGANPrior(
        tiny_generator(), lambda x: x, 16, 3, range(3), layer=layer, learn_g=learn_g, learning_rates=rates
    )


def resolved(prior, objective, wanted=None):
    latents = list(prior.init(torch.zeros(1, dtype=torch.int64), torch.Generator()))
    return resolve_learning_rates(latents, objective, OBJECTIVES.find(objective), PriorDescription(prior), wanted)


def pixels():
    return Pixels(lambda c, n, rng: torch.zeros(n, 3, 16, 16))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_rates_that_are_published(name):
    of_pixels, alone, (w, f), g = PUBLISHED[name]
    own = OWN.get(name, {})
    assert resolved(pixels(), name) == {"pixels": of_pixels, **own}
    codes, features = resolved(stylegan(), name), resolved(stylegan(layer=2, learn_g=1), name)
    assert codes["w"] == alone and codes["g"] == g
    assert (features["w"], features["f"], features["g"]) == (w, f, g)
    assert own.items() <= codes.items() and own.items() <= features.items()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_rates_that_the_weights_recommend_go_before_the_published_ones(name):
    stated = RECOMMENDED.get(name, {})
    for layer in (None, 2):
        plain, recommended = resolved(stylegan(layer), name), resolved(stylegan(layer, RECOMMENDED), name)
        assert recommended == {**plain, **stated}


def test_the_users_rates_go_first():
    prior = stylegan(2, RECOMMENDED)
    assert resolved(prior, "dm", {"w": 5.0})["w"] == 5.0
    assert resolved(prior, "dm", {"w": 5.0})["f"] == 1.0
    found = resolved(prior, "mtt", 0.5)
    assert (found["w"], found["f"], found["step_size"]) == (0.5, 0.5, 1e-5)  # a number is the rate of every latent
    found = resolved(prior, "mtt", {"*": 0.5, "f": 7.0, "step_size": 1e-6})
    assert (found["w"], found["f"], found["step_size"]) == (0.5, 7.0, 1e-6) and "*" not in found


def test_an_object_of_a_registered_class_has_its_rates():
    made = OBJECTIVES["dm"](real=None, network=None, augment=None, batch=1)
    assert registered_name(made) == registered_name("glad.objectives.dm:DM") == "dm"
    found = resolve_learning_rates(["w"], made, made, PriorDescription(stylegan(None, RECOMMENDED)), None)
    assert found["w"] == 0.03


class Mine:
    """An objective with rates of latents that no prior of ours has, and with a tensor of its own."""

    learning_rates = {"field": 2.0}  # noqa: RUF012 (as people write it)

    def terms(self, images, labels, step):
        yield images.sum()

    def tensors(self):
        return {"own/a": torch.zeros(1).requires_grad_()}


def test_an_objective_of_ones_own():
    prior = PriorDescription(stylegan())
    assert registered_name(f"{__name__}:Mine") == f"{__name__}:Mine" and registered_name(Mine()) == ""
    assert resolve_learning_rates(["w"], Mine(), Mine(), prior, None) == {"field": 2.0}
    for name in ("own", "own/a", "w"):
        assert resolve_learning_rates(["w"], Mine(), Mine(), prior, {name: 1.0})[name] == 1.0
    with pytest.raises(ValueError, match=naming("'wn' w field own/a own")):
        resolve_learning_rates(["w"], Mine(), Mine(), prior, {"wn": 1.0})


def test_objectives_are_registered_by_name(monkeypatch):
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES))
    assert glad.objectives.register_objective("mine")(Mine) is Mine
    assert glad.objectives.list_objectives("m*") == ["mine", "mtt"]
    with pytest.raises(ValueError, match=naming(f"'mine' {__name__}:Mine")):
        glad.objective("mine")(OBJECTIVES["dm"])
