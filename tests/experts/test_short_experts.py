"""Experts that are too short, or missing, are refused before anything is computed or written."""

import re
from types import SimpleNamespace

import pytest
from errors import naming

import glad
from glad.experts import Experts
from glad.settings.distill import DistillSettings

NARROW = {"limit": 60, "network_options": {"width": 4}, "device": "cpu"}


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    glad.train_experts("fashion-mini", folder, **NARROW, count=1, recipe_options={"epochs": 3, "batch": 20})
    return folder


def distill(out, experts, objective="mtt", **options):
    return glad.distill(
        "fashion-mini", objective, "pixels", out=out, experts=experts, iterations=1, objective_options=options, **NARROW
    )


@pytest.mark.parametrize(
    ("objective", "options"), [("mtt", {"expert_epochs": 2}), ("ast", {"expert_epochs": 2}), ("datm", {})]
)
def test_too_short_experts_are_refused_and_the_corrected_run_begins(experts, tmp_path, monkeypatch, objective, options):
    with monkeypatch.context() as patched:
        patched.setattr("glad.api.distilling._first_state", lambda *_: pytest.fail("something was computed"))
        with pytest.raises(ValueError, match=naming(f"{objective} 3 epochs max_start_epoch=3 4 max_start_epoch=2")):
            distill(tmp_path / "run", experts, objective, **options, syn_steps=4, max_start_epoch=3)
        with pytest.raises(ValueError, match=naming(f"{objective} 3 epochs 4 expert_epochs epochs=4")):
            distill(tmp_path / "run", experts, objective, syn_steps=4, expert_epochs=4, max_start_epoch=1)
    assert not (tmp_path / "run").exists()
    assert distill(tmp_path / "run", experts, objective, **options, syn_steps=4, max_start_epoch=2).path.exists()


TOO_LATE = [
    *[(name, {"max_start_epoch": 9}) for name in ("mtt", "ast", "datm")],
    *[(name, {"max_start_epoch": 2, "expert_epochs": 7}) for name in ("mtt", "ast", "datm")],
    ("datm", {"max_start_epoch": 9, "first_max_start_epoch": 7}),
    ("datm", {"max_start_epoch": 9, "min_start_epoch": 5}),
    ("datm", {"max_start_epoch": 9, "first_max_start_epoch": 9, "min_start_epoch": 2}),
    ("datm", {"max_start_epoch": 9, "first_max_start_epoch": 1}),
]


@pytest.mark.parametrize(("objective", "options"), TOO_LATE)
def test_what_the_message_advises_is_all_that_is_to_be_changed(experts, tmp_path, objective, options):
    with pytest.raises(ValueError, match="give -o") as error:
        distill(tmp_path / "run", experts, objective, syn_steps=8, **options)
    advised = dict(re.findall(r"-o (\w+)=(\d+)", str(error.value).partition(", or ")[0]))
    assert advised
    assert distill(tmp_path / "run", experts, objective, **{"syn_steps": 8, **options, **advised}).path.exists()


def test_the_shortest_of_the_experts_decides(experts, monkeypatch):
    opened = Experts(experts)
    longer = SimpleNamespace(epochs=9)
    for listed in ([*opened.experts, longer], [longer, *opened.experts]):
        monkeypatch.setattr(opened, "experts", listed)
        assert opened.epochs == 3


@pytest.mark.parametrize(("name", "value"), [("labels", "logits"), ("initialization", "correct")])
def test_settings_that_need_experts_say_so_at_once(name, value):
    with pytest.raises(ValueError, match=naming(f"{name} {value} --experts FOLDER")):
        DistillSettings(**{name: value})
    assert getattr(DistillSettings(**{name: value}, experts="folder"), name) == value
