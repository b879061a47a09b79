"""Training a generator: that it learns, resuming, what is written, and what is refused."""

import json
import os
import shlex
import signal

import pytest
import torch
from click.testing import CliRunner
from errors import mentions
from flat_images import folder
from PIL import Image
from safetensors.torch import load_file

from generators import weights
from generators.prior import StyleGANPrior
from generators.training import budget, gan, train
from glad.cli import main
from glad.rng import rng_for

TINY = ("--batch", "8", "--channels", "8", "--channel-base", "64", "--layers", "4", "--w-dim", "16")
QUICK = (*TINY, "--feature-steps", "2")


@pytest.fixture(autouse=True)
def few_steps_are_timed(monkeypatch):
    monkeypatch.setattr(budget, "TIMED", 1)


def run(out, data, *options):
    """The command, in this process."""
    return CliRunner().invoke(main, ["weights", "train", "--data", str(data), "--out", str(out), *options])


def test_the_two_classes_come_apart(tmp_path):
    """Thirty steps are enough to make the light class lighter than the dark one."""
    result = run(
        tmp_path / "out", folder(tmp_path / "data"), *TINY, "--feature-steps", "10", "--steps", "30", "--lr", "0.01"
    )
    assert result.exit_code == 0, result.output
    network, _ = weights.load(tmp_path / "out" / "generator.safetensors")
    labels = torch.arange(20) % 2
    images = network(torch.randn(20, gan.Z_DIM, generator=rng_for(3)), labels)
    assert images[labels == 1].mean() > images[labels == 0].mean() + 0.2


def test_the_command_that_is_printed_runs_on_the_data_of_the_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = folder(tmp_path / "my data", ("dark", "middle", "light"))
    chosen = ["--classes", "dark", "--classes", "light", "--limit", "14", "--resolution", "16", "--drop-duplicates"]
    said = run("out", data, *QUICK, "--steps", "1", *chosen)
    assert said.exit_code == 0, said.output
    _, name, *words = shlex.split(said.output.split("`")[1])
    assert words[:2] == ["--data", str(data)] and {*chosen} <= {*words}
    short = ["--iterations", "1", "--network-option", "width=4", "-o", "batch=4", "--device", "cpu", "--out", "run"]
    found = CliRunner().invoke(main, [name, *words, *short])
    assert found.exit_code == 0, found.output
    assert json.loads((tmp_path / "run" / "inputs.json").read_text())["classes"] == ["dark", "light"]


def test_no_command_is_printed_where_there_is_one_class(tmp_path):
    said = run(tmp_path / "out", folder(tmp_path / "data", ("all",)), *QUICK, "--steps", "1")
    assert said.exit_code == 0 and "use it with `--prior" in said.output


@pytest.mark.parametrize("classes", [("dark", "light"), ("all",)])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, monkeypatch, classes):
    monkeypatch.setattr(train, "SNAPSHOT", 2)
    data = folder(tmp_path / "data", classes)
    for steps in ("3", "5"):
        result = run(tmp_path / "twice", data, *QUICK, "--steps", steps)
        assert result.exit_code == 0, result.output
    assert "continuing at step 3" in result.output
    assert run(tmp_path / "once", data, *QUICK, "--steps", "5").exit_code == 0
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("once", "twice"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {"samples_000002.png", "samples_000004.png", "samples.png"} <= {
        p.name for p in (tmp_path / "twice").iterdir()
    }
    assert list((tmp_path / "once" / "tensorboard").iterdir())


def test_sigterm_ends_a_training_after_its_step_with_its_state(tmp_path, monkeypatch):
    data, step = folder(tmp_path / "data"), train.train_step

    def ended(n, *arguments):
        if n.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(n, *arguments)

    monkeypatch.setattr(train, "train_step", ended)
    result = run(tmp_path / "cut", data, *QUICK, "--steps", "5")
    assert result.exit_code == 143 and "Terminated. What is finished is saved" in result.output
    monkeypatch.setattr(train, "train_step", step)
    result = run(tmp_path / "cut", data, *QUICK, "--steps", "5")
    assert "continuing at step 3" in result.output
    assert run(tmp_path / "once", data, *QUICK, "--steps", "5").exit_code == 0
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("once", "cut"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(("classes", "mode", "side"), [(("a", "b"), "RGB", 20), (("all",), "L", 16)])
def test_what_is_written_is_a_prior_for_the_same_data(tmp_path, classes, mode, side):
    data = folder(tmp_path / "data", classes, side, mode)
    result = run(tmp_path / "out", data, *QUICK, "--steps", "1", "--rates", '{"dm": {"w": 0.5}}')
    assert result.exit_code == 0, result.output
    network, metadata = weights.load(tmp_path / "out" / "generator.safetensors")
    assert network.mapping.c_dim == (len(classes) if len(classes) > 1 else 0)
    assert json.loads(metadata["learning_rates"]) == {"dm": {"w": 0.5}}
    assert int(metadata["frame"]) == (6 if side == 20 else 0)
    channels = 3 if mode == "RGB" else 1
    prior = StyleGANPrior(network, lambda x: x, side, channels, range(len(classes)), frame=int(metadata["frame"]))
    images = prior(**prior.init(torch.arange(len(classes)), rng_for(0)))
    assert images.shape == (len(classes), channels, side, side)
    assert images.isfinite().all()


def test_a_run_is_not_continued_with_another_recipe_or_other_images(tmp_path):
    data = folder(tmp_path / "data")
    assert run(tmp_path / "out", data, *QUICK, "--steps", "1").exit_code == 0
    result = run(tmp_path / "out", data, *QUICK, "--steps", "2", "--channels", "4", "--w-dim", "8")
    assert result.exit_code == 1
    assert "channels 8, not 4; w_dim 16, not 8" in result.output
    Image.new("RGB", (16, 16), "red").save(data / "dark" / "red.png")
    result = run(tmp_path / "out", data, *QUICK, "--steps", "2")
    assert result.exit_code == 1
    assert "other training images" in result.output


def test_rates_may_change_under_way_and_the_file_says_when(tmp_path):
    data = folder(tmp_path / "data")
    for steps, r1 in (("1", "1.0"), ("3", "0.5"), ("4", "0.5")):
        result = run(tmp_path / "out", data, *QUICK, "--steps", steps, "--r1", r1)
        assert result.exit_code == 0, result.output
    _, metadata = weights.load(tmp_path / "out" / "generator.safetensors")
    history = json.loads(metadata["recipes"])
    assert [(entry["step"], entry["r1"]) for entry in history] == [(0, 1.0), (1, 0.5)]


def test_a_run_that_diverges_says_so_and_keeps_the_last_state(tmp_path):
    data = folder(tmp_path / "data")
    assert run(tmp_path / "out", data, *QUICK, "--steps", "1").exit_code == 0
    kept = (tmp_path / "out" / "state.safetensors").read_bytes()
    result = run(tmp_path / "out", data, *QUICK, "--lr", "1e30", "--steps", "9")
    assert result.exit_code == 1
    assert "diverged at step" in result.output
    assert "--lr" in result.output
    assert (tmp_path / "out" / "state.safetensors").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rates", "{"), "rates JSON"),
        (("--minutes", "0"), "minutes 0.0 0"),
        (("--minutes", "inf"), "minutes inf 0"),
        (("--steps", "0"), "steps 0 1"),
        (("--rates", '{"dm": 1}'), "rates JSON"),
        (("--rates", '{"dm": {"w": -1}}'), "learning_rates -1.0 dm w"),
        (("--device", "gpu"), "'gpu' cuda"),
        (("--augment", "hue"), "augmentation 'hue'"),
        (("--resolution", "27"), "--resolution"),
        (("--layers", "3"), "layers 4 3"),
    ],
)
def test_bad_options_are_one_line(tmp_path, options, said):
    result = run(tmp_path / "out", folder(tmp_path / "data"), *QUICK, *options)
    assert result.exit_code
    assert isinstance(result.exception, SystemExit)
    assert mentions(result.output, said)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--augment", "flip_bogus", "bogus"),
        ("--rates", '{"dm": {"w": -1}}', "learning_rates"),
        ("--device", "gpu", "gpu"),
        ("--lr", "nan", "learning_rate 0 nan"),
        ("--r1", "-1", "r1 0 -1.0"),
        ("--guidance", "-1", "guidance 0 -1.0"),
        ("--channel-base", "-1", "channel_base 0 -1.0"),
        ("--channel-base", "8", "channel_base 8 16 8"),
    ],
)
def test_what_can_be_seen_beforehand_is_refused_before_a_folder_is_begun(tmp_path, option, value, said):
    result = run(tmp_path / "out", folder(tmp_path / "data"), *QUICK, option, value)
    assert isinstance(result.exception, SystemExit)
    assert mentions(result.output, said) and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_device_may_be_chosen_by_the_machine(tmp_path):
    assert run(tmp_path / "out", folder(tmp_path / "data"), *QUICK, "--steps", "1", "--device", "auto").exit_code == 0


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "state.safetensors").write_bytes(b"no tensors")
    result = run(tmp_path / "out", folder(tmp_path / "data"), *QUICK)
    assert result.exit_code == 1
    assert "state.safetensors" in result.output
