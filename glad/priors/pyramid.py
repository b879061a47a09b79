"""A pyramid of images, the parameterization of LGM (Cazenavette, Torralba & Sitzmann, NeurIPS 2025).

An image is a sum of levels of 1, 2, 4, ... pixels a side, each enlarged bilinearly, whose colors are then mixed and
brought into [0, 1] by a sigmoid. The paper switches the levels on one by one; a prior here does not know the iteration,
and all levels learn from the start. It is not for saving: the levels are a third more numbers than the image.

The colors that learn are decorrelated: gray, red against blue, and green against both (Ohta, Kanade & Sakai, 1980), of
which natural images vary least in the last. How much less is rounded here to a fourth and an eighth.
"""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from glad.rng import normal

FIRST = 0.1  # deviation of every level at the start
INSIDE = 1e-3  # of [0, 1]: how near real images come to its ends, where a sigmoid is infinitely far out


class Pyramid:
    """Sums of enlarged levels: ``{"pyramid": [N, P]}``, of which each row holds the levels, the smallest first.

    Args:
        normalize: Maps pixels in [0, 1] to what networks see.
        denormalize: The inverse of ``normalize``.
        resolution: Side of an image in pixels.
        channels: Channels of an image.
    """

    conditional = False
    optimizers: ClassVar[Mapping[str, str]] = {"pyramid": "adam"}
    learning_rates: ClassVar[Mapping[str, float]] = {"pyramid": 2e-3}

    def __init__(
        self,
        normalize: Callable[[Tensor], Tensor],
        denormalize: Callable[[Tensor], Tensor],
        resolution: int,
        channels: int,
    ) -> None:
        self._normalize, self._denormalize = normalize, denormalize
        self.sides = [2**level for level in range(math.ceil(math.log2(resolution)))] + [resolution]
        self.resolution, self.channels = resolution, channels
        self.floats_per_row = channels * sum(side**2 for side in self.sides)
        self.colors = color_basis() if channels == 3 else torch.eye(channels)

    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Levels of noise."""
        return {"pyramid": FIRST * normal([len(classes), self.floats_per_row], rng)}

    def __call__(self, pyramid: Tensor) -> Tensor:
        """Normalized images [N, C, H, W]."""
        parts = pyramid.split([self.channels * side**2 for side in self.sides], 1)
        levels = [part.unflatten(1, (self.channels, side, side)) for part, side in zip(parts, self.sides, strict=True)]
        size = [self.resolution] * 2
        total = levels.pop()
        for level in levels:
            total = total + F.interpolate(level, size=size, mode="bilinear", align_corners=False)
        mixed = torch.einsum("ij,njhw->nihw", self.colors.to(total), total)
        return self._normalize(mixed.sigmoid())

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """The rows that render ``images``, normalized [N, C, H, W]: all in the last level, which is as large."""
        pixels = self._denormalize(images).clamp(INSIDE, 1 - INSIDE)
        last = torch.einsum("ij,njhw->nihw", torch.linalg.inv(self.colors).to(pixels), pixels.logit()).flatten(1)
        return {"pyramid": F.pad(last, (self.floats_per_row - last.shape[1], 0))}

    def provenance(self) -> None:
        """There are no weights behind levels."""

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is shared."""
        return {}


def color_basis() -> Tensor:
    """Red, green and blue of each decorrelated color, in its columns, float32 [3, 3]."""
    basis = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    return (basis / basis.norm(dim=1, keepdim=True)).t() * torch.tensor([1.0, 1 / 4, 1 / 8])
