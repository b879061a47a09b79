"""DDiF: images as sine networks of their coordinates (Shin et al., ICLR 2025).

An image is a small network from a place in [-1, 1]^2 to a color, with sines between its layers (SIREN: Sitzmann et al.,
NeurIPS 2020); its weights are what is stored and learned, by Adam. All rows are rendered in batched matrix products,
where the release runs network after network. The published start is fitted to real images, for 5,000 steps at the rate
5e-4; here ``--initialization fit`` begins ten times as fast and falls along a cosine, and 2,000 steps come nearer
(mean squared error 0.157 against 0.166).
Published are rates for DC and DM (5e-5) and MTT (1e-4, which AST takes too). Adam moves a number by no more than its
rate in an iteration: at 5e-5 the thousands of the release get somewhere, 60 do not (docs/PARAMETERIZATIONS.md). So the
default is 1e-3, but for DC, MTT and AST.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from glad.rng import uniform

SMALL = 32  # pixels up to which two layers of 6 are published; above, three of 20
FIRST, HIDDEN = 30.0, {True: 10.0, False: 40.0}  # frequencies of the sines: of the first layer, of the others by size


class DDiF:
    """Images of sine networks, a row of weights each: ``{"field": [N, P]}``.

    P = 3 d + (L - 1)(d^2 + d) + C (d + 1) for L layers of d sines and C channels.

    Args:
        resolution: Side of an image in pixels.
        channels: Channels of an image.
        device: Where images are rendered.
        width: Sines of a layer; by default the published 6 up to 32 pixels, 20 above.
        layers: Layers with sines; by default the published 2 up to 32 pixels, 3 above.
    """

    conditional = False
    optimizers: ClassVar[Mapping[str, str]] = {"field": "adam"}
    learning_rates: ClassVar[Mapping[str, Any]] = {
        "field": 1e-3,
        "dc": {"field": 5e-5},
        "mtt": {"field": 1e-4},
        "ast": {"field": 1e-4},
    }
    fit_rate = 5e-3

    def __init__(
        self,
        resolution: int,
        channels: int,
        device: torch.device,
        width: int | None = None,
        layers: int | None = None,
    ) -> None:
        small = resolution <= SMALL
        width = width if width is not None else 6 if small else 20
        layers = layers if layers is not None else 2 if small else 3
        if width < 1 or layers < 1:
            raise ValueError(f"ddif needs at least 1 layer of 1 sine, not {layers} of {width}")
        sizes = [2, *[width] * layers, channels]
        self.shapes = list(zip(sizes[1:], sizes[:-1], strict=True))  # [outputs, inputs] of each layer
        self.floats_per_row = sum(out * (into + 1) for out, into in self.shapes)
        self.frequencies = [FIRST, *[HIDDEN[small]] * (layers - 1)]
        self.resolution, self.channels, self.device = resolution, channels, device
        line = torch.linspace(-1, 1, resolution, device=device)
        self.places = torch.stack(torch.meshgrid(line, line, indexing="ij")).flatten(1)  # [2, H * W], rows first

    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Random networks: the first layer's weights in +-1/2, the others' in +-sqrt(6 / inputs) / frequency."""
        first, *others = self.shapes
        within = [torch.full([first[0] * (first[1] + 1)], 0.5)]
        for out, into in others:
            within.append(torch.full([out * (into + 1)], math.sqrt(6 / into) / HIDDEN[self.resolution <= SMALL]))
        drawn = uniform([len(classes), self.floats_per_row], -1, 1, rng)
        return {"field": (drawn * torch.cat(within)).to(self.device)}

    def __call__(self, field: Tensor) -> Tensor:
        """Normalized images [N, C, H, W]."""
        values = self.places.to(field.dtype).expand(len(field), -1, -1)
        parts = field.split([out * (into + 1) for out, into in self.shapes], 1)
        for i, (part, (out, into)) in enumerate(zip(parts, self.shapes, strict=True)):
            weight, bias = part[:, : out * into].unflatten(1, (out, into)), part[:, out * into :, None]
            values = torch.baddbmm(bias, weight, values)
            if i < len(self.frequencies):
                values = (self.frequencies[i] * values).sin()
        return values.unflatten(2, (self.resolution, self.resolution))

    def provenance(self) -> None:
        """There are no pretrained weights: the networks are the set."""

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is shared."""
        return {}
