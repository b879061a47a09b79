"""What there is to search, and how values become settings."""

import pytest
from errors import naming
from tuning_cases import SPACE, space_of

import glad
from glad.experts.files import ExpertError
from glad.tuning.knobs import SearchSpace, complete


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("experts")
    glad.train_experts(
        "fashion-mini",
        out,
        limit=100,
        count=1,
        recipe_options={"epochs": 9, "batch": 50},
        network_options={"width": 4},
        device="cpu",
    )
    return str(out)


def test_a_generator_has_a_layer_and_rates_and_pixels_a_rate() -> None:
    space = space_of()
    layer, w, f = space.knobs
    assert [knob.name for knob in space.knobs] == ["layer", "lr.w", "lr.f"]
    assert layer.choices == (None, 1, 3, 4, 5, 7)  # of eight layers
    assert (w.low, w.high, w.default, w.log) == (1 / 30, 30, 1, True)
    assert f.spaces == (True,)
    assert space.rates == {False: {"w": 0.03}, True: {"w": 0.03, "f": 1.0}}  # what the embedded weights recommend
    assert [knob.name for knob in space_of(prior="pixels").knobs] == ["lr.pixels"]
    assert space_of(prior="pixels").rates == {False: {"pixels": 1.0}}
    assert space_of(objective="dc").rates[False] == {"w": 0.03}  # the same
    assert space_of(objective="cf").rates == {False: {"w": 10.0}, True: {"w": 0.01, "f": 10.0}}  # nothing recommended


def test_the_settings_own_layer_and_rates_are_the_default() -> None:
    space = space_of(prior_options={"layer": "2"}, learning_rate={"w": 0.5})
    assert space.knobs[0].choices == (None, 1, 2, 3, 4, 5, 7)
    assert space.default() == {"layer": 2, "lr.w": 1.0, "lr.f": 1.0}
    assert space.rates == {False: {"w": 0.5}, True: {"w": 0.5, "f": 1.0}}
    assert space.apply(space.default()) == space.settings


def test_values_become_settings() -> None:
    settings = complete(
        {"learning_rate": {"g": 0.25}, "prior_options": {"avg_w": 1}, "objective_options": {"batch": 8}}
    )
    space = SearchSpace(settings, SPACE.knobs, SPACE.rates)
    found = space.apply({"layer": 3, "lr.w": 1.23456, "lr.f": 0.1})
    assert found.prior_options == {"avg_w": 1, "layer": 3}
    assert found.learning_rate == {"g": 0.25, "w": 0.0123, "f": 1.0}
    assert found.objective_options == {"batch": 8}
    assert {key for key, value in found.plain().items() if value != settings.plain()[key]} == {
        "learning_rate",
        "prior_options",
    }
    assert space.apply({"layer": None, "lr.w": 2.0}).learning_rate == {"g": 0.25, "w": 0.02}
    assert settings.learning_rate == {"g": 0.25}  # untouched


@pytest.mark.parametrize("objective", ["mtt", "ast"])
def test_the_window_is_within_what_the_experts_files_hold(objective: str, experts: str) -> None:
    shared = {"objective": objective, "experts": experts, "network_options": {"width": 4}, "prior": "pixels"}
    space = space_of(**shared)
    knobs = {knob.name: knob for knob in space.knobs}
    assert list(knobs) == ["lr.pixels", "syn_steps", "expert_epochs", "max_start_epoch"]
    assert [knobs[name].default for name in list(knobs)[1:]] == [20, 3, 5]
    longest, latest = knobs["expert_epochs"].high, knobs["max_start_epoch"].high
    assert longest == 5 and latest - 1 + longest <= 9  # the last piece ends where the file does
    assert knobs["syn_steps"].low == 5 >= longest and knobs["syn_steps"].high == 80
    assert space.apply({**space.default(), "syn_steps": 40}).objective_options["syn_steps"] == 40
    codes = space_of(**{**shared, "prior": "fashion-mini"})
    assert codes.rates[False]["w"] == 3.0  # what the embedded weights recommend in place of 10
    with pytest.raises(ExpertError, match="has 9 epochs"):
        space_of(**shared, objective_options={"max_start_epoch": 9})


def test_some_knobs_can_be_chosen() -> None:
    assert [knob.name for knob in space_of(["lr.w"]).knobs] == ["lr.w"]
    with pytest.raises(ValueError, match=naming("tune")):
        space_of(["lr.f"])  # which W+ does not have
    assert [knob.name for knob in space_of(["lr.f"], prior_options={"layer": 2}).knobs] == ["lr.f"]
    with pytest.raises(ValueError, match=naming("'lr.z' layer lr.w lr.f")):
        space_of(["lr.z"])
