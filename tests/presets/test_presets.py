"""Published settings: every file complete and understood, listed and shown, and run with what was said on top."""

import json
import shlex
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import measure_presets
import pytest
import torch
from click.testing import CliRunner
from errors import mentions
from preset_commands import run

from generators.prior import StyleGANPrior
from glad.cli.distill import distill
from glad.cli.experts import train
from glad.cli.presets import commands
from glad.data.readers import known_sources
from glad.data.splits import load_data
from glad.experts import RECIPES, Experts
from glad.networks import NETWORKS, make_network
from glad.objectives import OBJECTIVES
from glad.presets import MEASURED, all_presets, files, leaves, load
from glad.priors import PRIORS
from glad.priors.stylegan import RATES
from glad.registry import RESERVED, construct, options_of
from glad.settings.distill import Initialization

NAMES = {"data", "objective", "prior"}  # what a preset is about, and no number


def options(preset: Any) -> set[str]:
    """The options that a preset sets, as its sources name them."""
    by_ipc = [leaves(preset.settings(ipc)) for ipc in preset.ipc]
    return {*chain(*by_ipc)} - NAMES - {"ipc"} | {f"experts.{name}" for name in preset.experts}


@pytest.mark.parametrize("preset", all_presets().values(), ids=all_presets())
def test_every_number_has_one_source_and_every_source_a_number(preset: Any) -> None:
    listed = [option for sourced in preset.sources.values() for option in sourced]
    assert all(preset.source(option) for option in options(preset))
    for option in listed:
        assert any(option in (set_, set_.partition(".")[0]) for set_ in options(preset)), option
    assert len(set(listed)) == len(listed)
    assert not {*preset.unrecorded} & {*options(preset)}


@pytest.mark.parametrize("preset", all_presets().values(), ids=all_presets())
def test_every_option_is_one_of_the_commands_and_of_what_they_construct(preset: Any) -> None:
    settings = preset.settings()
    assert settings.keys() <= {param.name for param in distill.params}
    assert preset.experts.keys() <= {param.name for param in train.params}
    assert preset.experts.get("recipe", "mtt") in RECIPES
    assert settings["data"] in known_sources() and settings["network"] in NETWORKS
    assert settings.get("initialization", "prior") in get_args(Initialization)
    factory, prior = OBJECTIVES[settings["objective"]], PRIORS.get(settings["prior"], StyleGANPrior)
    provided = {**dict.fromkeys(RESERVED, lambda *_: torch.nn.Linear(1, 1))}
    construct(factory, provided, settings["objective_options"])
    assert settings.get("prior_options", {}).keys() <= options_of(prior).keys()
    codes = RATES[settings["objective"]] if prior is StyleGANPrior else {}
    assert settings["learning_rate"].keys() <= {*factory.learning_rates, *codes}
    assert all(isinstance(rate, float) for rate in settings["learning_rate"].values())  # YAML takes 1e-6 for a text
    places = {"objective_options": options_of(factory), "experts": {param.name for param in train.params}}
    for option in preset.unrecorded:
        place, _, name = option.rpartition(".")
        assert name in places.get(place, {param.name for param in distill.params}), option
    assert ("segment" in factory.__init__.__annotations__) == bool(preset.experts)
    assert bool(preset.needs) == settings["prior"].endswith(".safetensors")


def test_codes_are_of_the_published_layers_and_networks() -> None:
    layers = {name: load(f"{name}-imagenet-e-128").distill["prior_options"]["layer"] for name in ("mtt", "dc", "dm")}
    assert layers == {"mtt": 12, "dc": 16, "dm": 20}
    assert measure_presets.GENERATORS.keys() <= {preset.distill["prior"] for preset in all_presets().values()}
    for resolution, depth in ((32, 3), (128, 5)):
        rng = torch.Generator()
        network = make_network("convnet", channels=3, classes=10, resolution=resolution, rng=rng)
        images = torch.zeros(1, 3, resolution, resolution)
        assert [stage.shape[1] for stage in network.stages(images)] == [128] * depth


def test_a_source_has_only_what_it_states() -> None:
    of_ast = load("ast-cifar100-pixels")
    assert "CIFAR-100" in of_ast.source("objective_options.batch_syn")
    assert "defaults" in of_ast.source("objective_options.balance")
    assert load("mtt-cifar10-pixels").source("momentum") == load("mtt-cifar10-pixels").source("iterations")
    assert load("dm-cifar10-pixels").settings()["momentum"] == 0.5
    of_datm = [load("datm-cifar10-pixels").settings(ipc)["objective_options"].get("batch_syn") for ipc in (1, 10, 50)]
    assert of_datm == [None, 100, 500]
    assert not load("datm-cifar10-pixels").unrecorded


def test_all_are_listed_with_what_they_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = {preset.measure(10) for preset in all_presets().values()}
    assert (
        len(keys) == 3 + 3 + 5 + 3 * 2
    )  # codes at 128 px and 32, mtt, datm, ncfm, ast twice, two sizes of three others
    cost = {"seconds": 1.8, "gib": 2.25, "machine": "a machine", "command": "measure it"}
    (tmp_path / MEASURED).write_text(json.dumps({"dc-pixels 1x28x28 ipc10": cost}))
    monkeypatch.setattr("glad.presets.files", lambda _: tmp_path)
    output = run("presets", "--ipc", "10")
    assert all(name in output for name in all_presets())
    row = output.split("dc-mnist-pixels")[1].split("│")[1:10]
    assert [cell.strip() for cell in row] == ["dc", "mnist", "28", "10", "pixels", "10000", "1.8", "5", "2.2"]
    assert output.count("not measured") == len(all_presets()) - 2  # mnist and fashionmnist are of one size
    shown = run("presets", "show", "dc-mnist-pixels", "--ipc", "10")
    assert "Takes: 1.8 s an iteration, 5 hours for 10,000, 2.2 GiB (a machine; by `measure it`)" in shown


def test_what_was_measured_is_of_presets_and_says_how() -> None:
    measured = json.loads((files("glad.presets") / MEASURED).read_text())
    assert {key.split()[0] for key in measured} <= {preset.file for preset in all_presets().values()}
    for name in all_presets():
        cost = load(name).cost(load(name).ipc[0])
        assert cost is None or (cost.seconds > 0 and cost.gib > 0 and cost.machine and cost.command)


def test_show_has_every_setting_with_its_source_and_the_commands() -> None:
    output = run("presets", "show", "mtt-imagenet-b-128")
    row = "│ learning_rate.step_size │ 1e-06 │ Cazenavette et al., CVPR 2023 (GLaD), published defaults │"
    assert row in output
    assert "objective_options.batch_syn, experts.count" in output
    assert "a tenth of the training images is held out" in output
    assert "TESLA" in output and "a StyleGAN-XL generator of ImageNet at 128 px" in output
    first, second = commands(load("mtt-imagenet-b-128"), 10)
    assert first in output
    assert first.endswith("--resolution 128 --network convnet --recipe glad --out experts/mtt-imagenet-b-128")
    assert second.endswith("--preset mtt-imagenet-b-128 --ipc 10 --experts experts/mtt-imagenet-b-128")
    assert "--zca --recipe smooth" in commands(load("ast-cifar10-pixels"), None)[0]


@pytest.mark.parametrize("name", all_presets())
def test_the_commands_are_understood(name: str, settings: Any) -> None:
    preset = load(name)
    Path("file.safetensors").touch()
    own = ["--prior", "file.safetensors"] if preset.needs else []
    *first, last = commands(preset, preset.ipc[-1])
    for command in first:
        assert "Usage" in run(*shlex.split(command)[1:], "--help")
    Path("experts", name).mkdir(parents=True)
    asked = settings(*shlex.split(last)[2:], *own)
    expected = preset.settings(preset.ipc[-1])
    assert {
        key: asked[key] for key in ("data", "objective", "ipc", "iterations", "learning_rate")
    }.items() <= expected.items()
    assert asked["objective_options"] == expected["objective_options"]


def test_the_command_line_wins_key_by_key_and_a_config_stands_between(settings: Any, tmp_path: Path) -> None:
    asked = settings("--preset", "mtt-cifar10-pixels")
    assert asked["learning_rate"] == {"pixels": 100.0, "step_size": 1e-7} and asked["zca"]
    options = {"syn_steps": 50, "expert_epochs": 2, "max_start_epoch": 2, "step_size": 1e-2}
    assert asked["objective_options"] == options and asked["iterations"] == 5000
    asked = settings("--lr", "step_size=1e-4", "--preset", "mtt-cifar10-pixels", "-o", "syn_steps=30", "--no-zca")
    assert asked["learning_rate"] == {"pixels": 100.0, "step_size": 1e-4} and not asked["zca"]
    assert asked["objective_options"] == {**options, "syn_steps": 30}
    asked = settings("--preset", "mtt-cifar10-pixels", "--lr", "5")
    assert asked["learning_rate"] == {"*": 5, "step_size": 1e-7}  # a number is the rate of every latent, and no other's
    asked = settings("--lr", "5", "--preset", "datm-cifar10-pixels", "--ipc", "10", "--experts", "e")
    assert asked["learning_rate"] == {"*": 5, "labels": 2.0, "step_size": 1e-5}
    assert settings("--preset", "dm-cifar10-pixels", "--lr", "5")["learning_rate"] == 5
    (tmp_path / "ten.yaml").write_text("ipc: 10\n")
    for order in (["--config", "ten.yaml", "--preset", "mtt-cifar10-pixels"], ["--preset", "mtt-cifar10-pixels"]):
        asked = settings(*order, *(["--config", "ten.yaml"] if len(order) == 2 else []))
        assert asked["objective_options"]["max_start_epoch"] == 20 and asked["learning_rate"]["step_size"] == 1e-5
    (tmp_path / "mine.yaml").write_text("ipc: 10\nmomentum: 0.25\nlr: 3\n")
    for order in (["--config", "mine.yaml", "--preset"], ["--preset"]):
        rest = [] if "--config" in order else ["--config", "mine.yaml"]
        asked = settings(*order, "dc-svhn-pixels", *rest, "--momentum", "0.75")
        assert (asked["ipc"], asked["momentum"], asked["learning_rate"]) == (10, 0.75, 3)
        assert (asked["data"], asked["iterations"], asked["augmentation"]) == ("svhn", 10000, "none")


@pytest.mark.parametrize("last", ["preset", "config"])
def test_keys_of_a_config_stand_above_a_presets_one_by_one(last: str, settings: Any, tmp_path: Path) -> None:
    preset, config = ["--preset", "mtt-cifar10-pixels"], ["--config", "mine.yaml"]
    both = [*config, *preset] if last == "preset" else [*preset, *config]
    published = settings(*preset)
    rates, options = published["learning_rate"], published["objective_options"]
    for content, expected in (
        ("{step_size: 1.0e-4}", {**rates, "step_size": 1e-4}),
        ("5", {"*": 5, "step_size": 1e-7}),
    ):
        mine = f"objective_options: {{syn_steps: 30}}\nprior_options: {{}}\nlearning_rate: {content}\nclasses: [a, b]\n"
        (tmp_path / "mine.yaml").write_text(mine)
        asked = settings(*both)
        assert asked["objective_options"] == {**options, "syn_steps": 30}
        assert (asked["learning_rate"], asked["prior_options"]) == (expected, published["prior_options"])
        assert list(asked["classes"]) == ["a", "b"]
    asked = settings(*both, "-o", "syn_steps=20", "--lr", "step_size=1")
    assert asked["objective_options"] == {**options, "syn_steps": 20}
    assert asked["learning_rate"] == {"*": 5, "step_size": 1.0}
    (tmp_path / "mine.yaml").write_text("learning_rate: [pixels=1, 5]\n")
    for arguments in (both, config):
        assert "pixels=1 5: give one number for all" in run("distill", *arguments, code=2)


def test_an_unknown_name_and_a_missing_generator_give_one_line(settings: Any) -> None:
    for command in (["distill", "--preset"], ["presets", "show"]):
        output = run(*command, "dm-cifar-pixels", code=1)
        assert mentions(output, "'dm-cifar-pixels' dm-cifar10-pixels")
        assert "mtt-imagenet-b-128" not in output and "Traceback" not in output
        assert "`glad presets list`" in output
    assert mentions(run("presets", "show", "xyzzy", code=1), "'xyzzy' list")
    output = run("distill", "--preset", "mtt-imagenet-b-128", code=2)
    assert mentions(output, "StyleGAN-XL ImageNet 128 px safetensors")
    assert "imagenet128.safetensors" in output and "--prior FILE" in output
    assert settings("--preset", "dm-imagenet-a-128", "--prior", "my.safetensors")["prior"] == "my.safetensors"
    assert " at 0x" not in run("distill", "--preset", "dc-imagenet-a-128", "--help")
    Path("imagenet128.safetensors").touch()
    assert settings("--preset", "dm-imagenet-a-128")["prior"] == "imagenet128.safetensors"


def test_the_options_of_a_presets_prior_are_left_out_where_the_prior_is_another(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("prior: clothing-mini\n")
    for chosen in (["--prior", "clothing-mini"], ["--config", "mine.yaml"]):
        assert settings(*chosen, "--preset", "mtt-cifar10-pixels")["prior_options"] == {}
        asked = settings("--preset", "mtt-cifar10-pixels", "-p", "layer=2", *chosen)
        assert (asked["prior"], asked["prior_options"]) == ("clothing-mini", {"layer": 2})
    assert settings("--preset", "mtt-cifar10-pixels")["prior_options"] == {"init": "real"}
    assert settings("--preset", "dc-cifar10-pixels", "-p", "init=noise")["prior_options"] == {"init": "noise"}
    said = run("distill", "--preset", "mtt-cifar10-pixels", "--prior", "fashion-mini")
    assert mentions(said, "Note: mtt-cifar10-pixels init=real pixels fashion-mini") and said.count("Note: ") == 1
    for generator in ("fashion-mini", "my.safetensors", "org/repo:my.safetensors"):  # they have the same options
        assert settings("--preset", "dm-cifar10", "--prior", generator)["prior_options"] == {"layer": 2}
    for other in ("pixels", "taesd", "mine:Prior"):
        assert settings("--preset", "dm-cifar10", "--prior", other)["prior_options"] == {}


def test_measuring_is_of_each_file_and_size_once_and_keeps_what_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cost = {"seconds": 1.0, "gib": 2.0, "machine": "a machine", "command": "measure it"}
    asked = []
    monkeypatch.setattr(
        measure_presets, "measure", lambda preset, *numbers: asked.append((preset.name, *numbers)) or cost
    )
    notes = tmp_path / MEASURED
    notes.write_text(json.dumps({"old": cost}))
    only = ["dm-mnist-pixels", "dm-fashionmnist-pixels", "dm-cifar10", "mtt-imagenet-b-128"]
    given = [word for name in only for word in ("--only", name)]
    result = CliRunner().invoke(measure_presets.main, [*given, "--ipc", "10", "--out", str(notes)])
    assert result.exit_code == 0, result.exception
    assert asked == [("dm-mnist-pixels", 10, 3), ("mtt-imagenet-b-128", 10, 3)]
    keys = {"old", "dm-pixels 1x28x28 ipc10", "mtt-imagenet-128 3x128x128 ipc10"}
    assert json.loads(notes.read_text()) == dict.fromkeys(keys, cost)
    assert mentions(result.output, "dm-cifar10 cifar10.safetensors")


def test_measuring_has_images_for_every_batch_and_experts_for_every_start(tmp_path: Path) -> None:
    data = measure_presets.random_data(load("dm-mnist-pixels"), tmp_path / "data.npz")
    train = load_data(data).train
    assert train.images.shape[1:] == (1, 28, 28) and len(train.classes) == 10
    assert int(train.labels.bincount().min()) >= 256
    large = measure_presets.random_data(load("ncfm-cifar10-idc"), tmp_path / "large.npz")
    assert int(load_data(large).train.labels.bincount().min()) >= 1024
    preset = load("mtt-cifar10")
    experts = Experts(Path(measure_presets.random_experts(preset, {**preset.settings(), "data": data}, tmp_path / "e")))
    options = preset.distill["objective_options"]
    piece = experts.segment(torch.Generator(), options["max_start_epoch"], options["expert_epochs"])
    assert not torch.equal(piece.checkpoint(0), piece.checkpoint(options["expert_epochs"]))


def test_a_preset_runs(tmp_path: Path) -> None:
    own = ["--data", "fashion-mini", "--iterations", "1", "-o", "batch=8", "--network-option", "width=16"]
    run("distill", "--preset", "dm-fashionmnist-pixels", *own, "--device", "cpu", "--out", str(tmp_path / "run"))
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "init: real" in config and "pixels: 1.0" in config and "batch: 8" in config
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_switch_of_a_file_may_be_a_number_that_means_on_or_off(settings: Any, tmp_path: Path) -> None:
    for value, expected in (("1", True), ("0", False), ("yes", True), ("true", True)):
        (tmp_path / "mine.yaml").write_text(f"zca: {value}\n")
        assert settings("--config", "mine.yaml")["zca"] is expected
    (tmp_path / "mine.yaml").write_text("zca: 0.5\n")
    assert "0.5" in run("distill", "--config", "mine.yaml", code=2)
