"""TAESD against what diffusers makes of the same weights, and as a prior: sizes, start, weights that are replaced."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from distilled_sets import fails, invoke
from errors import naming
from safetensors.torch import load_file, save_file
from tiny_autoencoder import random_state, weights_file, write_weights
from torch.nn import functional as F

from generators.files import WeightsError
from glad.formats.load import load_distilled
from glad.priors import TAESD
from glad.priors.description import PriorDescription
from glad.rng import normal, rng_for

CPU = torch.device("cpu")
EXPECTED = np.load(Path(__file__).parents[1] / "golden" / "taesd.npz")
SMALL = [
    "--classes",
    0,
    "--classes",
    1,
    "--limit",
    20,
    "--resolution",
    16,
    "-o",
    "batch=2",
    "--network-option",
    "width=4",
]


def made(resolution, channels=3, real=None):
    return TAESD(real, lambda x: 3 * x - 1, lambda x: (x + 1) / 3, resolution, channels, CPU, weights_file())


def test_the_networks_are_those_of_diffusers():
    """Its images are in [-1, 1], those of the networks in [0, 1]."""
    prior = made(8)
    latents = 2.5 * normal([1, 4, 3, 2], rng_for("taesd", "latents"))
    images = 0.5 * normal([1, 3, 16, 24], rng_for("taesd", "images"))
    with torch.no_grad():
        decoded, encoded = prior.decoder(3 * (latents / 3).tanh()), prior.encoder((images + 1) / 2)
    torch.testing.assert_close(2 * decoded - 1, torch.from_numpy(EXPECTED["decoded"]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoded, torch.from_numpy(EXPECTED["encoded"]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("resolution", "numbers"), [(28, 196), (32, 256), (64, 256), (128, 1024), (20, 100)])
def test_a_latent_has_four_numbers_for_eight_by_eight_pixels(resolution, numbers):
    assert made(resolution).floats_per_row == numbers


@pytest.mark.parametrize(("resolution", "channels"), [(8, 1), (36, 3)])
def test_images_are_decoded_and_brought_to_their_size(resolution, channels):
    prior = made(resolution, channels)
    side = {8: 2, 36: 5}[resolution]
    latent = normal([2, 4, side, side], rng_for("latent"))
    with torch.no_grad():
        images, whole = prior(latent), prior.decoder(3 * (latent / 3).tanh())
    if channels == 1:
        whole = whole.mean(1, keepdim=True)
    halved = F.avg_pool2d(whole, 2) if resolution == 8 else F.adaptive_avg_pool2d(whole, 36)
    assert images.shape == (2, channels, resolution, resolution)
    torch.testing.assert_close(images, 3 * halved - 1, rtol=1e-5, atol=1e-5)


def test_the_start_is_real_images_encoded():
    stored = torch.rand(2, 3, 1, 16, 16, generator=rng_for("real"))

    def real(c, n, rng):
        return 3 * stored[c, torch.randperm(3, generator=rng)[:n]] - 1

    prior, classes = made(16, 1, real), torch.tensor([1, 0, 1])
    latents = prior.init(classes, rng_for("start"))["latent"]
    large = F.interpolate(stored.flatten(0, 1).expand(-1, 3, -1, -1), size=[32, 32], mode="bilinear")
    of_all = prior.encoder(large).unflatten(0, (2, 3))
    found = [(of_all[c] - latent).flatten(1).abs().amax(1).argmin() for c, latent in zip(classes, latents, strict=True)]
    for c, latent, i in zip(classes, latents, found, strict=True):
        torch.testing.assert_close(latent, of_all[c, i], rtol=1e-5, atol=1e-5)
    assert found[0] != found[2]


def test_images_have_a_second_derivative():
    prior = made(8, 1)
    prior.decoder.double()
    latent = normal([1, 4, 2, 2], rng_for("second")).double().requires_grad_()
    assert torch.autograd.gradgradcheck(prior, [latent], fast_mode=True)


def test_other_files_are_refused_in_one_line(tmp_path):
    state = random_state()
    save_file({**state, "decoder.layers.3.conv.4.bias": torch.zeros(3)}, tmp_path / "other.safetensors")
    del state["encoder.layers.0.bias"]
    save_file(state, tmp_path / "part.safetensors")
    (tmp_path / "text.safetensors").write_text("none")
    for name, said in (("other", "3.conv.4.bias"), ("part", "0.bias"), ("text", "weights"), ("no", "weights")):
        with pytest.raises(WeightsError, match=naming(f"{name}.safetensors: {said}")):
            TAESD(None, None, None, 8, 1, CPU, str(tmp_path / f"{name}.safetensors"))


def test_a_run_its_codes_and_weights_that_are_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(weights_file(), "tiny.safetensors")
    command = ["distill", *SMALL, "--prior", "taesd", "-p", f"weights={tmp_path}/tiny.safetensors", "--out", "run"]
    invoke(*command, "--iterations", 2)
    inputs = json.loads(Path("run/inputs.json").read_text())
    assert inputs["weights"]["name"] == "taesd" and inputs["weights"]["license"]["redistribution"] is None
    assert inputs["weights_bytes"] == Path("tiny.safetensors").stat().st_size
    first, last = (load_file(f"run/{name}.safetensors")["latents/latent"] for name in ("initial", "synset"))
    assert last.shape == (2, 4, 4, 4) and 0 < float((last - first).abs().max()) < 0.03  # two steps of Adam
    invoke("export", "run", "--format", "codes", "--out", "codes.safetensors")
    assert str(tmp_path).encode() not in Path("codes.safetensors").read_bytes()
    write_weights("other.safetensors", seed=1)
    Path("tiny.safetensors").rename("moved.safetensors")
    assert "--prior FILE" in fails("render", "codes.safetensors", "-o", "images")
    assert "another generator" in fails("render", "codes.safetensors", "-o", "images", "--prior", "other.safetensors")
    again = load_distilled("codes.safetensors", prior="moved.safetensors")
    assert torch.equal(again.images, load_file("run/synset.safetensors")["images"])
    invoke("compress", "codes.safetensors", "--bits", 8, "--prior", "moved.safetensors")
    assert "--prior FILE" in fails("compress", "run", "--bits", 8)
    invoke("compress", "run", "--bits", 8, "--prior", "moved.safetensors")
    assert "hash of weights" in fails(*_with(command, "other.safetensors"), "--iterations", 3)


def _with(command, file):
    shutil.copy(file, "tiny.safetensors")
    return command


def test_a_license_that_the_file_states_is_recorded(tmp_path):
    file = write_weights(tmp_path / "mine.safetensors", license="mit")
    weights = PriorDescription(TAESD(None, None, None, 8, 1, CPU, str(file))).weights
    assert (weights.license.id, weights.license.redistribution, weights.file) == ("mit", True, str(file))
