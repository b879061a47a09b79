"""Priors that a user may write, as a module that a run can import by ``own_priors:Class``."""

from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file

from glad.priors import License, Weights

HARD_CODED = Path("decoder.safetensors")


def low(classes, rng):
    """Latents [N, 4], a function of ``rng``."""
    return {"code": torch.randn(len(classes), 4, generator=rng)}


class Silent:
    """Loads a file that no option names, and says nothing of it."""

    def __init__(self, channels, resolution):
        self.shape, self.weight = (-1, channels, resolution, resolution), load_file(HARD_CODED)["weight"]

    def init(self, classes, rng):
        return low(classes, rng)

    def __call__(self, code):
        return (code @ self.weight).view(self.shape)

    def tensors(self):
        return {}


class Decoder(Silent):
    """Loads the file that its option names, hidden from whoever looks for tensors; has rates and an optimizer."""

    learning_rates: ClassVar = {"code": 0.5, "dc": {"code": 0.25}}
    optimizers: ClassVar = {"code": "adam"}

    def __init__(self, channels, resolution, device, file: Path):
        self.shape, weight = (-1, channels, resolution, resolution), load_file(file)["weight"].to(device)
        self.decode = lambda code: code @ weight

    def __call__(self, code):
        return self.decode(code).view(self.shape)


class Stated(Decoder):
    """Says what it loads."""

    def provenance(self):
        return Weights("a decoder", "https://example.com", "", License("mit", "MIT", True, True))


class Plain(Silent):
    """Says that it has no weights, though it holds tensors."""

    def __init__(self, channels, resolution):
        self.shape = (-1, channels, resolution, resolution)
        self.weight = torch.eye(4).repeat(1, channels * resolution**2 // 4)

    def provenance(self):
        return None


class Tiled(Plain):
    """Renders two images a row, the second one the negative of the first."""

    images_per_row = 2
    learning_rates: ClassVar = {"code": 1.0}

    def __call__(self, code):
        one = super().__call__(code)
        return torch.stack([one, -one], 1).flatten(0, 1)


class Masked(Tiled):
    """Two images a row, of the numbers that a mask lets through, which stay between -1 and 1."""

    def init(self, classes, rng):
        mask = torch.rand(len(classes), 4, generator=rng) < 0.5
        mask[:, 0] = True
        return {**low(classes, rng), "mask": mask, "place": torch.arange(len(classes), dtype=torch.int16)}

    def __call__(self, code, mask, place):
        return super().__call__(code * mask)

    def project(self, code, **fixed):
        return {"code": code.clamp(-1, 1)}
