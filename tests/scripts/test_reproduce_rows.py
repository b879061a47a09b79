"""Rows of the tables of published settings and of AST have the objective, the rates and the sizes that they name."""

from types import SimpleNamespace

import pytest
import reproduce_ast
import reproduce_cifar10

import glad


@pytest.fixture
def asked(monkeypatch):
    """What distilling and training experts were asked for, by function."""
    calls = {}
    monkeypatch.setattr(glad, "distill", lambda *values, **options: calls.update(distill=(values, options)))
    monkeypatch.setattr(glad, "train_experts", lambda *values, **options: calls.update(experts=(values, options)))
    return calls


@pytest.mark.parametrize(
    "row, objective, rates, options",
    [
        ("DC", "dc", {"pixels": 0.1}, {"batch": 64, "distance": "layers"}),
        ("DSA", "dc", {"pixels": 0.1}, {"batch": 64}),
        ("DM", "dm", {"pixels": 1.0}, {"batch": 256}),
        ("MTT", "mtt", {"pixels": 1e3, "step_size": 1e-5}, {"syn_steps": 50, "max_start_epoch": 2}),
        ("AST", "ast", {"pixels": 333.0, "step_size": 1e-5}, {"syn_steps": 50, "max_start_epoch": 2}),
    ],
)
def test_a_row_of_cifar10_is_its_preset_but_for_what_it_names(row, objective, rates, options, asked, tmp_path):
    reproduce_cifar10.distill(row, 1, 5, "my/images", "data", tmp_path)
    settings = asked["distill"][1]
    assert (settings["objective"], settings["data"], settings["ipc"]) == (objective, "my/images", 1)
    assert settings["learning_rate"] == rates and settings["iterations"] == reproduce_cifar10.CUT[row]
    assert options.items() <= settings["objective_options"].items() and "preset" not in settings
    assert ("experts" in asked) == (row in ("MTT", "AST"))


def test_ast_has_its_own_published_settings_at_ten_images_per_class(asked, tmp_path):
    reproduce_cifar10.distill("AST", 10, 0, "my/images", "data", tmp_path)
    settings = asked["distill"][1]
    assert (settings["objective"], settings["initialization"], settings["zca"]) == ("ast", "representative", True)
    assert settings["learning_rate"] == {"pixels": 1e3, "step_size": 1e-5}
    assert settings["objective_options"]["step_size"] == 1e-2 and settings["objective_options"]["bias_correction"] == 0


@pytest.mark.parametrize("row, rate", [("MTT", 1e4), ("AST", 1e3)])
def test_at_ten_images_of_cifar10_both_students_take_the_same_steps_along_as_many_experts(row, rate, asked, tmp_path):
    reproduce_cifar10.distill(row, 10, 0, "my/images", "data", tmp_path)
    settings, (_, trained) = asked["distill"][1], asked["experts"]
    options = {"syn_steps": 30, "expert_epochs": 2, "max_start_epoch": 8, "batch_syn": 50, "step_size": 1e-2}
    assert options.items() <= settings["objective_options"].items()
    assert settings["learning_rate"] == {"pixels": rate, "step_size": 1e-5}
    assert settings["iterations"] == reproduce_cifar10.CUT_AT_TEN[row] and trained["count"] == 2


@pytest.mark.parametrize("row", ["MTT", "AST"])
@pytest.mark.parametrize("ipc", [1, 10])
def test_experts_of_cifar10_are_long_enough_for_the_starts_of_the_preset(row, ipc, asked, tmp_path):
    reproduce_cifar10.distill(row, ipc, 0, "my/images", "data", tmp_path)
    matched, (values, trained) = asked["distill"][1]["objective_options"], asked["experts"]
    assert trained["recipe_options"]["epochs"] >= matched["max_start_epoch"] + matched["expert_epochs"]
    assert asked["distill"][1]["experts"] == values[1] == tmp_path / ("experts" if ipc == 1 else "experts-10")


@pytest.mark.parametrize(
    "row, changes",
    [("DC", {"protocol": "dc", "augmentation": "none"}), ("DSA", {"protocol": "dc"}), ("MTT", {})],
)
def test_networks_are_trained_as_the_paper_of_the_row_has_it(row, changes, monkeypatch):
    given = {}
    monkeypatch.setattr(glad, "evaluate", lambda *_, **options: given.update(options) or {"rows": [], "cells": []})
    run = SimpleNamespace(settings=SimpleNamespace(seed=0), name="run")
    assert reproduce_cifar10.evaluate(row, run, ["convnet"], "data") == {}
    assert {name: given[name] for name in ("protocol", "augmentation") if name in given} == changes


@pytest.mark.parametrize(
    "row, ipc, rates",
    [
        ("MTT", 1, {"pixels": 1e3}),
        ("AST", 10, {"pixels": 3330.0}),
        ("AST, images at MTT's rate", 10, {"pixels": 1e4}),
        ("AST less bias correction", 1, {"pixels": 333.0, "step_size": 2.8e-7}),
    ],
)
def test_ten_images_per_class_have_ten_times_the_rate(row, ipc, rates, asked, tmp_path):
    reproduce_ast.distill(row, ipc, 0, "data", tmp_path)
    settings = asked["distill"][1]
    assert settings["ipc"] == ipc and settings["learning_rate"] == pytest.approx(rates)
