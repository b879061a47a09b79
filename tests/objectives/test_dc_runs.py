"""Runs under gradient matching: resuming, the loss, the loops of codes, and the command line."""

import inspect
import json

import torch
from click.testing import CliRunner
from errors import mentions
from safetensors.torch import load_file
from torch.nn import functional as F

import glad
from glad.cli import main
from glad.objectives.dc import DC


def distill(out, iterations, learning_rate=None, **options):
    """A short run on the embedded data with a narrow network."""
    given = {"batch": 8, "outer": 3, "inner": 2, **options}
    return glad.distill(
        objective="dc", prior="pixels", network_options={"width": 8, "depth": 2}, objective_options=given,
        iterations=iterations, learning_rate=learning_rate, grid_every=100, save_every=100, out=out, device="cpu",
    )  # fmt: skip


def losses(run):
    return [json.loads(line)["loss"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_a_run_that_is_cut_off_anywhere_ends_with_the_same_bytes(tmp_path):
    whole = distill(tmp_path / "whole", 5)
    for cut in (1, 2, 3):  # before, within and after the training of the first network
        distill(tmp_path / str(cut), cut)
        resumed = distill(tmp_path / str(cut), 5)
        assert losses(resumed) == losses(whole)
        assert (resumed.path / "synset.safetensors").read_bytes() == (whole.path / "synset.safetensors").read_bytes()
        one, two = load_file(resumed.state), load_file(whole.state)
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
        assert any(name.startswith("objective/momentum/") for name in one)


def test_distilling_pixels_lowers_the_loss(tmp_path):
    found = losses(distill(tmp_path / "run", 15, learning_rate=1.0, batch=32, outer=1))
    assert sum(found[-5:]) < 0.8 * sum(found[:5])


def test_codes_of_a_generator_have_loops_of_their_own_unless_they_are_given(tmp_path):
    class Low:
        learning_rates = {"f": 1.0}  # noqa: RUF012

        def __init__(self, codes):
            self.codes = codes

        def init(self, classes, rng):
            return {"f": torch.randn(len(classes), 1, 7, 7, generator=rng)}

        def __call__(self, f):
            return F.interpolate(f, (28, 28))

        def tensors(self):
            return {}

    def recorded(name, **options):
        given, prior = {"batch": 4, **options}, Low(() if name == "own" else ("f",))
        run = glad.distill(
            objective="dc", prior="pixels" if name == "pixels" else prior, objective_options=given,
            network_options={"width": 4}, iterations=1, out=tmp_path / name, device="cpu",
        )  # fmt: skip
        return {key: run.config["objective_options"].get(key) for key in ("outer", "inner")}

    assert recorded("codes") == {"outer": 1, "inner": 1}
    assert recorded("given", outer=2) == {"outer": 2, "inner": 1}
    assert recorded("pixels") == recorded("own") == {"outer": None, "inner": None}


def test_the_command_line_knows_dc_its_options_and_batch_norm(tmp_path):
    narrow = ["--network-option", "width=4", "--network-option", "norm=batch", "--device", "cpu"]
    options = ["-o", "batch=8", "-o", "outer=2", "-o", "inner=1", "-o", "distance=cos", "--iterations", "2"]
    command = ["distill", "--objective", "dc", "--prior", "pixels", *narrow, *options, "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "objective/network/blocks.0.1.weight" in load_file(tmp_path / "run" / "state.safetensors")
    shown = CliRunner().invoke(main, ["distill", "--help"]).output
    assert "dc: batch=64 outer=None" in shown and "for codes of a generator: outer=1 inner=1" in shown
    result = CliRunner().invoke(main, [*command[:-1], str(tmp_path / "other"), "-o", "outer=0"])
    assert result.exit_code != 0 and mentions(result.output, "outer 1 0")
    assert set(inspect.signature(DC).parameters) >= {"real", "network", "augment"}
