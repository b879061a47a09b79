"""The headline path once: 128 px, the full ImageNet geometry of 159 M parameters with random weights, F_12."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torchvision.utils import save_image

from generators import weights
from generators.configurations import random_generator
from glad.rng import rng_for

WATCHED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print("PEAK_KIB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generator, ``imagenet128.safetensors``, and images of two classes, ``data``."""
    folder = tmp_path_factory.mktemp("headline")
    network = random_generator("imagenet128", classes=1000)
    assert 158e6 < sum(parameter.numel() for parameter in network.parameters()) < 160e6
    weights.save(folder / "imagenet128.safetensors", network, torch.float16)
    for name in ("left", "right"):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(24):
            image = torch.rand(3, 128, 128, generator=rng_for(name, i)) * 0.3
            image[:, :, :64] += 0.7 * (name == "left")
            save_image(image, folder / "data" / name / f"{i}.png")
    return folder


def glad(*words: str) -> float:
    """Run a command of glad and return its peak memory in GiB."""
    began = time.monotonic()
    watched = [sys.executable, "-c", WATCHED, sys.executable, "-m", "glad", *words]
    done = subprocess.run(watched, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    peak = int(done.stdout.split("PEAK_KIB")[1]) / 2**20
    print(f"{done.stdout}\n{(time.monotonic() - began) / 60:.1f} minutes, {peak:.1f} GiB")
    return peak


def distilled(made: Path, run: Path, iterations: int, *options: str) -> None:
    """Distil the images at F_12 within 12 GiB; latents and images change and are finite."""
    prior = ["--prior", str(made / "imagenet128.safetensors"), "-p", "layer=12", "--chunk", "1"]
    where = ["--data", str(made / "data"), "--out", str(run), "--iterations", str(iterations)]
    assert glad("distill", *where, *prior, *options) < 12
    before, after = (load_file(run / f"{kind}.safetensors") for kind in ("initial", "synset"))
    assert before["latents/f"].shape == (2, 1024, 52, 52)
    for latent in ("latents/w", "latents/f", "images"):
        assert after[latent].isfinite().all()
        assert not torch.equal(before[latent], after[latent])


@pytest.mark.slow
def test_two_steps_of_dm_through_the_full_geometry(made: Path, tmp_path: Path) -> None:
    distilled(made, tmp_path / "run", 2, "-o", "batch=8")


@pytest.mark.slow
def test_a_step_of_mtt_through_the_full_geometry(made: Path, tmp_path: Path) -> None:
    experts = str(tmp_path / "experts")
    glad("experts", "train", "--data", str(made / "data"), "--out", experts, "--count", "1", "-o", "epochs=2")
    options = ["-o", "syn_steps=10", "-o", "expert_epochs=1", "-o", "max_start_epoch=1"]
    distilled(made, tmp_path / "run", 1, "--objective", "mtt", "--experts", experts, *options)


ROUND_TRIP = """
import sys, torch
from generators import weights
from generators.configurations import random_generator
generator = random_generator("imagenet128", classes=1000, seed=3)
print(sum(parameter.numel() for parameter in generator.parameters()))
print(" ".join(generator.synthesis.layer_names))
z, labels = torch.ones(1, 64), torch.tensor([207])
before = rng_for(z, labels)
weights.save(sys.argv[1], generator)
del generator
loaded, _ = weights.load(sys.argv[1])
after = loaded(z, labels)
assert after.shape == (1, 3, 128, 128) and after.isfinite().all() and after.std() > 0
assert torch.equal(before, after)
"""


@pytest.mark.slow
def test_the_full_geometry_is_built_saved_loaded_and_rendered_within_8_gib(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WATCHED, sys.executable, "-c", ROUND_TRIP, str(tmp_path / "g.safetensors")]
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    parameters, names, peak = done.stdout.splitlines()
    assert round(int(parameters) / 1e6, 1) == 158.7
    assert names.split()[8:11] == ["L9_36_1024", "L10_52_1024", "L11_52_1024"] and names.endswith("L26_128_3")
    print(f"{int(peak.split()[1]) / 2**20:.1f} GiB")
    assert int(peak.split()[1]) / 2**20 < 8
