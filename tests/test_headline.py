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

from generators import geometry, weights
from generators.stylegan_xl import Generator, Mapping, Synthesis
from glad.randomness import generator

WATCHED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print("PEAK_KIB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def imagenet128() -> Generator:
    specs = geometry.stem(16, 10, kernel=1, radial=True)
    for _ in range(3):
        specs = geometry.superres(specs, 7)
    return Generator(Mapping(len(specs) + 1, c_dim=1000), Synthesis(specs)).initialise(generator("headline"))


@pytest.mark.slow
def test_two_steps_of_dm_through_the_full_geometry(tmp_path: Path) -> None:
    network = imagenet128()
    assert 158e6 < sum(parameter.numel() for parameter in network.parameters()) < 160e6
    weights.save(tmp_path / "imagenet128.safetensors", network, torch.float16)
    del network
    for name in ("left", "right"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(24):
            image = torch.rand(3, 128, 128, generator=generator(name, i)) * 0.3
            image[:, :, :64] += 0.7 * (name == "left")
            save_image(image, tmp_path / "data" / name / f"{i}.png")
    options = ["--prior", str(tmp_path / "imagenet128.safetensors"), "-p", "layer=12", "--chunk", "1"]
    command = [sys.executable, "-m", "glad", "distill", "--data", str(tmp_path / "data"), *options]
    command += ["-o", "batch=8", "--iterations", "2", "--out", str(tmp_path / "run")]
    began = time.monotonic()
    watched = [sys.executable, "-c", WATCHED, *command]
    done = subprocess.run(watched, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    peak = int(done.stdout.split("PEAK_KIB")[1]) / 2**20
    print(f"{done.stdout}\n{(time.monotonic() - began) / 60:.1f} minutes, {peak:.1f} GiB")
    assert peak < 12
    before, after = (load_file(tmp_path / "run" / f"{kind}.safetensors") for kind in ("initial", "synset"))
    assert before["latents/f"].shape == (2, 1024, 52, 52)
    for latent in ("latents/w", "latents/f", "images"):
        assert after[latent].isfinite().all()
        assert not torch.equal(before[latent], after[latent])
