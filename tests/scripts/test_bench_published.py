"""The benchmark against the published code, driven whole on a stand-in for a checkout; the real one was not at hand."""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import bench_builds
import bench_published
import click
import forked
import pytest
import torch
from bench_published import TARGETS, compare, main
from click.testing import CliRunner
from errors import mentions, naming
from published_standin import write_checkout

SCRIPTS = Path(bench_published.__file__).parent
TINY = ("--resolution", 16, "--width", 4, "--batch", 3, "--steps", 2, "--rounds", 1)
TINY += ("--channel-base", 128, "--channel-max", 4, "--generator-layers", 10)
CODE = """
import runpy, sys
sys.stdin, sys.stdout = open(sys.argv[1]), open(sys.argv[2], "w")
del sys.argv[:3]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class ForkedProcess:
    """What ``Turns`` needs of a process, forked from one that has torch imported."""

    def __init__(self, command, stdin, stdout, text, env):
        env |= {"PYTHONPATH": f"{forked.OURS}{os.pathsep}{SCRIPTS}"}
        with tempfile.TemporaryDirectory() as folder:
            pipes = [Path(folder) / name for name in ("stdin", "stdout")]
            for pipe in pipes:
                os.mkfifo(pipe)
            self.forked = forked.start(CODE, *pipes, *command[1:], **env)
            self.stdin, self.stdout = pipes[0].open("w"), pipes[1].open()

    def wait(self):
        self.stdout.close()
        return self.forked.returncode


@pytest.fixture
def run(monkeypatch):
    """Run the command; its processes are forks."""
    monkeypatch.setattr(bench_builds, "subprocess", SimpleNamespace(Popen=ForkedProcess, PIPE=None, run=subprocess.run))
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


def test_every_step_is_timed_and_computes_the_same(run, tmp_path):
    out = tmp_path / "found.json"
    done = run(write_checkout(tmp_path / "published"), *TINY, "--layer", -1, "--out", out)
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert [*written["rows"]] == [f"{method} W+" for method in TARGETS]
    for method, row in zip(TARGETS, written["rows"].values(), strict=True):
        assert len(row["ratios"]) == 1 and all(s > 0 for side in ("published", "ours") for s in row[side]["seconds"])
        assert row["target"] == TARGETS[method]
        assert row["apart"]["images"] < 1e-4 and row["apart"]["loss"] < 1e-2 and row["apart"]["gradient"] < 0.1
    assert done.output.count("\n| ") == 5 and mentions(done.output, ">= 3.5 1229 MiB")


def test_features_and_a_class_table_of_the_checkout(run, tmp_path):
    checkout = write_checkout(tmp_path, takes_random_table=False)
    done = run(checkout, *TINY, "--only", "mtt", "--layer", 8, "--unroll", "full")
    assert done.exit_code == 0, done.output
    assert mentions(done.output, "| mtt F_8 not comparable") and ">=" not in done.output


def compare_sides(folder, images, loss):
    """Compare a side whose loss is 1 with one of this loss, whose images are ``images`` apart."""
    (folder / "ours").mkdir()
    torch.save({"images": torch.zeros(3)}, folder / "start.pt")
    torch.save({"loss": torch.tensor(1.0), "w": torch.ones(2), "network": torch.ones(9)}, folder / "results.pt")
    ours = {"images": torch.full((3,), images), "loss": torch.tensor(loss), "w": torch.tensor([1.0, 2.0])}
    torch.save(ours, folder / "ours" / "results.pt")
    return compare(folder, folder / "ours")


def test_distances_are_of_images_loss_and_gradients(tmp_path):
    assert compare_sides(tmp_path, 0.005, 1.005) == pytest.approx({"images": 0.005, "loss": 0.005, "gradient": 2**-0.5})


@pytest.mark.parametrize(
    ("images", "loss", "said"), [(0.02, 1, "images"), (0, 1.02, "loss"), (0, math.nan, "loss nan")]
)
def test_sides_that_do_not_compute_the_same_are_an_error(tmp_path, images, loss, said):
    with pytest.raises(click.ClickException, match=naming(f"{said} 0.01 not comparable")):
        compare_sides(tmp_path, float(images), float(loss))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("stylegan_xl/sg_forward.py", None, "no checkout stylegan_xl/sg_forward.py missing"),
        ("utils.py", "import no_such_package\n", "utils.py no_such_package pip install"),
        ("glad_utils.py", "latent_to_im = gan_backward = get_optimizer_img = 1\n", "glad_utils.py prepare_latents"),
        ("shared_args.py", "def add_shared_args(): return [][0]\n", "IndexError shared_args.py:1"),
    ],
)
def test_what_a_checkout_lacks_is_one_line(run, tmp_path, file, text, said):
    checkout = write_checkout(tmp_path)
    (checkout / file).unlink()
    if text is not None:
        (checkout / file).write_text(text)
    done = run(checkout, *TINY, "--only", "dm")
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1
    assert mentions(done.output, f"Error: {checkout} {said}")


def test_a_layer_that_the_generator_lacks_is_named(tmp_path):
    done = CliRunner().invoke(main, [str(tmp_path), "--layer", "12"])
    assert done.exit_code == 2 and mentions(done.output, "12 10 --layer")


@pytest.mark.slow
def test_the_command_runs_in_processes_of_its_own(tmp_path):
    command = [sys.executable, SCRIPTS / "bench_published.py", write_checkout(tmp_path), *TINY]
    command += ["--only", "dc", "--layer", 8]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0 and mentions(done.stdout, "dc F_8"), done.stderr
