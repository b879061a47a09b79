"""Presets by the size of the set: whose numbers it takes, what is said of it, and which experts it has."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from errors import mentions
from preset_commands import run

from glad.cli import main
from glad.cli.presets import commands
from glad.presets import all_presets, load


def test_the_images_per_class_may_stand_before_the_command_and_are_refused_as_by_distill() -> None:
    assert (
        run("presets", "list", "--ipc", "10") == run("presets", "--ipc", "10", "list") == run("presets", "--ipc", "10")
    )
    shown = run("presets", "show", "mtt-cifar10-pixels", "--ipc", "50")
    assert (
        run("presets", "--ipc", "50", "show", "mtt-cifar10-pixels")
        == shown
        != run("presets", "show", "mtt-cifar10-pixels")
    )
    assert run("presets", "--ipc", "10", "show", "mtt-cifar10-pixels", "--ipc", "50") == shown
    commands = (["presets"], ["presets", "list"], ["presets", "show", "dc-svhn-pixels"], ["distill"])
    for number in ("0", "-3"):
        refused = {run(*command, "--ipc", number, code=1) for command in commands}
        assert refused == {f"Error: ipc must be at least 1, not {number}"}


def test_numbers_follow_the_size_of_the_set_and_unpublished_sizes_are_said(settings: Any) -> None:
    asked, preset = settings("--preset", "mtt-cifar10-pixels", "--budget", "10"), load("mtt-cifar10-pixels")
    for name in ("learning_rate", "objective_options", "zca"):
        assert asked[name] == preset.settings(10)[name]
    rates = settings("--lr", "pixels=5", "--preset", "mtt-cifar10-pixels", "--ipc", "50")["learning_rate"]
    assert rates == {"pixels": 5, "step_size": 1e-5}  # those of 50, although --ipc stands behind
    line = "Note: mtt-cifar10-pixels has settings for 1, 10 and 50 images per class;"
    for size, taken in (("20", 10), ("60", 50)):
        for command in (["distill", "--preset"], ["presets", "show"]):
            result = CliRunner().invoke(main, [*command, "mtt-cifar10-pixels", "--ipc", size])
            assert result.exit_code == 0 and result.stderr == f"{line} {size} takes those of {taken}\n"
    result = CliRunner().invoke(main, ["distill", "--preset", "mtt-cifar10-pixels", "--budget", "2.5"])
    assert result.stderr == f"{line} 2.5 takes those of 1\n"
    assert mentions(CliRunner().invoke(main, ["presets", "--ipc", "20"]).stderr, "20")
    for said in (["--ipc", "10"], ["--budget", "50"], []):
        assert not CliRunner().invoke(main, ["distill", "--preset", "mtt-cifar10-pixels", *said]).stderr
    assert not CliRunner().invoke(main, ["distill", "--preset", "dm-cifar10-pixels", "--ipc", "20"]).stderr


def test_numbers_of_another_size_are_not_shown_as_published_for_this_one() -> None:
    preset = load("dc-cifar10-pixels")
    published = preset.source("iterations")
    assert preset.source("iterations", 10) == preset.source("momentum", 20) == published
    assert preset.source("iterations", 20) == f"{published}, for 10 images per class"
    assert f"│ 10000 │ {published}, for 10 images per class │" in run("presets", "show", preset.name, "--ipc", "20")


@pytest.mark.parametrize(
    ("name", "ipc", "published"), [("ast-cifar10-pixels", 1, 10), ("dm-cifar10", 50, 1), ("dm-cifar10-pixels", 60, 50)]
)
def test_numbers_beyond_all_that_was_published_are_said_to_be_of_other_sizes(
    name: str, ipc: int, published: int, settings: Any
) -> None:
    preset = load(name)
    Path("cifar10.safetensors").touch()
    for command in (["distill", "--experts", "e", "--preset"], ["presets", "show"]):
        said = CliRunner().invoke(main, [*command, name, "--ipc", str(ipc)]).stderr
        assert said == f"Note: {preset.remark(ipc)}\n" and mentions(said, f"{name} {published} {ipc}")
        assert not CliRunner().invoke(main, [*command, name, "--ipc", str(published)]).stderr
    assert (
        preset.source("momentum", ipc)
        == f"{preset.source('momentum')}, for {published} image{'s' * (published != 1)} per class"
    )
    assert preset.source("momentum", published) == preset.source("momentum")


@pytest.mark.parametrize(
    "preset", [preset for preset in all_presets().values() if preset.experts], ids=lambda preset: preset.name
)
def test_experts_that_differ_have_folders_that_differ_and_equal_ones_share_theirs(preset: Any) -> None:
    trained = {commands(preset, ipc)[0] for ipc in preset.ipc}
    assert len({command.split()[-1] for command in trained}) == len(trained)
    assert all(commands(preset, ipc)[1].split()[-1] == commands(preset, ipc)[0].split()[-1] for ipc in preset.ipc)
    if preset.name == "mtt-cifar10-pixels":
        folders = [commands(preset, ipc)[0].split()[-1] for ipc in (1, 10, 50)]
        assert folders == [f"experts/{preset.name}-zca", f"experts/{preset.name}-zca", f"experts/{preset.name}"]


@pytest.mark.parametrize("order", [["--ipc", "50", "--preset"], ["--preset"]])
def test_iterations_follow_the_images_per_class_wherever_they_are_said(order: list[str], settings: Any) -> None:
    rest = [] if "--ipc" in order else ["--ipc", "50"]
    assert settings(*order, "dsa-mnist-pixels", *rest)["iterations"] == 50000
    assert settings(*order, "dsa-mnist-pixels", *rest, "--iterations", "7")["iterations"] == 7


def test_a_budget_takes_the_place_of_a_presets_images_per_class(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "half.yaml").write_text("budget: 0.5\n")
    for size, said in ((2.0, ["--budget", "2"]), (0.5, ["--config", "half.yaml"])):
        asked = settings(*said, "--preset", "dsa-mnist-pixels", "--prior", "ddif")
        assert (asked["ipc"], asked["budget"]) == (None, size) and asked["iterations"] == 1000
    with pytest.raises(AssertionError, match="give one of them"):
        settings("--preset", "dsa-mnist-pixels", "--ipc", "1", "--budget", "1")


def test_numbers_go_by_images_per_class() -> None:
    preset = load("dc-cifar10-pixels")
    found = [preset.settings(ipc)["iterations"] for ipc in (0, 1, 5, 10, 49, 50, 100)]
    assert found == [1000, 1000, 1000, 10000, 10000, 50000, 50000]
    assert load("dsa-cifar10-pixels").settings(10)["iterations"] == 10000
    assert load("dm-cifar10-pixels").settings(10)["iterations"] == 20000
    of_mtt = [load("mtt-cifar10-pixels").settings(ipc) for ipc in (1, 10, 50)]
    assert [found["zca"] for found in of_mtt] == [True, True, False]
    assert [found["objective_options"]["max_start_epoch"] for found in of_mtt] == [2, 20, 40]
    assert [found["learning_rate"]["pixels"] for found in of_mtt] == [100, 100, 1000]
