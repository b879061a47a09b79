"""A run whose experts are missing: the command that trains those that it needs, before data are loaded."""

import pytest
from click.testing import CliRunner
from errors import mentions, naming

import glad
from glad.cli import main
from glad.settings.distill import DistillSettings
from glad.settings.experts import MissingExpertsError, training_command

DATA = ["--data", "cifar10", "--zca", "--limit", "500", "--network-option", "width=32"]  # which is not here


def refused(*options):
    result = CliRunner().invoke(main, ["distill", *options])
    assert result.exit_code == 1, result.output
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("options", "recipe"),
    [
        (["--objective", "mtt"], ""),
        (["--objective", "ast"], "--recipe smooth "),
        (["--objective", "ast", "--initialization", "representative"], "--count 1 --recipe smooth "),
        (["--initialization", "correct"], "--count 1 "),
        (["--labels", "logits", "--objective", "datm"], "--count 1 "),
    ],
)
def test_the_command_carries_the_runs_data_network_and_recipe(options, recipe):
    said = refused(*options, "--prior", "pixels", *DATA)
    assert f"`glad experts train --out FOLDER {recipe}--data cifar10 --limit 500 --zca --network-option" in said


def test_a_folder_without_experts_is_said_before_data_are_loaded(tmp_path):
    said = refused("--objective", "mtt", "--prior", "pixels", *DATA, "--experts", str(tmp_path))
    assert f"there are no experts in {tmp_path}: train some with `glad experts train --out {tmp_path} --data" in said


@pytest.mark.parametrize(("name", "size"), [("mtt-cifar10-pixels", " --ipc 10"), ("datm-cifar10-pixels", " --ipc 1")])
def test_a_preset_points_to_its_own_commands(name, size):
    said = refused("--preset", name, *size.split())
    assert f"`glad presets show {name}{size}`" in said and "glad experts train" not in said


def test_the_command_repeats_lists_and_leaves_defaults_and_objects_out():
    settings = DistillSettings(objective="mtt", classes=("a b", 2), resolution=16)
    command = training_command(settings)
    assert command == "glad experts train --out FOLDER --classes 'a b' --classes 2 --resolution 16"
    splits = glad.load_data("fashion-mini", limit=20)
    with pytest.raises(MissingExpertsError, match=naming("mtt `glad experts train --out FOLDER`")) as error:
        glad.distill(splits, "mtt", "pixels")
    assert not mentions(error.value, "--data")
