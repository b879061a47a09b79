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
    "row, objective, iterations, rates, options",
    [
        ("DC", "dc", 1000, {"pixels": 0.1}, {"batch": 64, "distance": "layers"}),
        ("DSA", "dc", 1000, {"pixels": 0.1}, {"batch": 64}),
        ("DM", "dm", 1000, {"pixels": 1.0}, {"batch": 256}),
        ("MTT", "mtt", 500, {"pixels": 1e3, "step_size": 1e-5}, {"syn_steps": 50, "max_start_epoch": 2}),
        ("AST", "ast", 500, {"pixels": 333.0, "step_size": 1e-5}, {"syn_steps": 50, "max_start_epoch": 2}),
    ],
)
def test_a_row_of_cifar10_is_its_preset_but_for_what_it_names(
    row, objective, iterations, rates, options, asked, tmp_path
):
    reproduce_cifar10.distill(row, 1, 5, "my/images", "data", tmp_path)
    settings = asked["distill"][1]
    assert (settings["objective"], settings["data"], settings["ipc"]) == (objective, "my/images", 1)
    assert settings["learning_rate"] == rates and settings["iterations"] == iterations
    assert options.items() <= settings["objective_options"].items() and "preset" not in settings
    assert ("experts" in asked) == (row in ("MTT", "AST"))


def test_ast_at_ten_images_per_class_is_mtt_but_for_its_start_its_rate_and_its_own_student(asked, tmp_path):
    reproduce_cifar10.distill("MTT", 10, 0, "my/images", "data", tmp_path)
    mtt = asked["distill"][1]
    reproduce_cifar10.distill("AST", 10, 0, "my/images", "data", tmp_path)
    ast = asked["distill"][1]
    assert (ast["objective"], ast["initialization"], ast["zca"]) == ("ast", "representative", True)
    assert ast["learning_rate"] == {"pixels": 3333.0, "step_size": 1e-5} and ast["prior_options"] == {}
    changed = {"objective", "initialization", "learning_rate", "prior_options", "out"}
    assert {name for name in ast | mtt if ast.get(name) != mtt.get(name)} == changed


@pytest.mark.parametrize("row", ["DC", "DSA"])
def test_two_hundred_iterations_at_ten_images_per_class_take_ten_times_the_rate(row, asked, tmp_path):
    reproduce_cifar10.distill(row, 10, 0, "my/images", "data", tmp_path)
    settings = asked["distill"][1]
    assert (settings["iterations"], settings["learning_rate"]) == (200, {"pixels": 1.0})
    assert settings["objective_options"] == {"batch": 64, "distance": "layers"} and settings["momentum"] == 0.5


@pytest.mark.parametrize("row, rate", [("MTT", 1e4), ("AST", 3333.0)])
def test_at_ten_images_of_cifar10_both_students_take_the_same_steps_along_as_many_experts(row, rate, asked, tmp_path):
    reproduce_cifar10.distill(row, 10, 0, "my/images", "data", tmp_path)
    settings, (_, trained) = asked["distill"][1], asked["experts"]
    options = {"syn_steps": 30, "expert_epochs": 2, "max_start_epoch": 8, "batch_syn": 50, "step_size": 1e-2}
    assert options.items() <= settings["objective_options"].items()
    assert settings["learning_rate"] == {"pixels": rate, "step_size": 1e-5}
    assert settings["iterations"] == 150 and trained["count"] == 2


@pytest.mark.parametrize("row", ["MTT", "AST"])
@pytest.mark.parametrize("ipc", [1, 10])
def test_experts_of_cifar10_are_long_enough_for_the_starts_of_the_preset(row, ipc, asked, tmp_path):
    reproduce_cifar10.distill(row, ipc, 0, "my/images", "data", tmp_path)
    matched, (values, trained) = asked["distill"][1]["objective_options"], asked["experts"]
    assert trained["recipe_options"]["epochs"] >= matched["max_start_epoch"] + matched["expert_epochs"]
    assert asked["distill"][1]["experts"] == values[1] == tmp_path / ("experts" if ipc == 1 else "experts-10")


@pytest.mark.parametrize(
    "row, changes",
    [("DC", {"protocol": "dc", "augmentation": "none"}), ("DSA", {"protocol": "dc", "epochs": 1000}), ("MTT", {})],
)
def test_networks_are_trained_as_the_paper_of_the_row_has_it(row, changes, monkeypatch):
    given = {}
    monkeypatch.setattr(glad, "evaluate", lambda *_, **options: given.update(options) or {"rows": [], "cells": []})
    run = SimpleNamespace(settings=SimpleNamespace(seed=0), name="run")
    assert reproduce_cifar10.evaluate(row, run, ["convnet"], "data") == {}
    assert {name: given[name] for name in ("protocol", "augmentation", "epochs") if name in given} == changes


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
