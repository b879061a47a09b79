"""TAESD: images out of the decoder of a tiny autoencoder (O. B. Bohan, 2023; ``AutoencoderTiny`` of diffusers).

A latent has 4 numbers for each 8 x 8 pixels and imitates those of Stable Diffusion's autoencoder (Rombach et al., CVPR
2022), from which the network was distilled: convolutions and ReLU alone, 1.2 million parameters a side. Its encoder
makes the start. Up to 32 pixels images are decoded at twice their size and halved. Nobody published learning rates for
distillation in this space: latents are learned by Adam, whose steps do not depend on the scale of a loss.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.provenance import Weights
from glad.priors.weights_file import find_weights

SMALL = 32  # pixels up to which images are decoded at twice their size
PATCH, BOUND, AT_ONCE = 8, 3.0, 50  # pixels of a latent's place, its soft limit; images that are encoded at a time
_conv = partial(nn.Conv2d, kernel_size=3, padding=1)
_same = partial(_conv, 64, 64)


class TAESD:
    """Images of a decoder: ``{"latent": [N, 4, S, S]}``, where S is an eighth of the side that is decoded.

    Args:
        real: ``real(c, n, rng)`` gives n normalized images of class c, [n, C, H, W], distinct.
        normalize: Maps pixels in [0, 1] to what networks see.
        denormalize: Undoes ``normalize``.
        resolution: Side of an image in pixels.
        channels: Channels of an image.
        device: Where images are rendered.
        weights: ``taesd``, which is downloaded once; ``org/repo:file[@revision]`` on the Hub, or a safetensors file of
            the same form.

    Raises:
        WeightsError: The weights cannot be had, or are those of another network.
    """

    optimizers: ClassVar[Mapping[str, str]] = {"latent": "adam"}
    learning_rates: ClassVar[Mapping[str, float]] = {"latent": 1e-2}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        normalize: Callable[[Tensor], Tensor],
        denormalize: Callable[[Tensor], Tensor],
        resolution: int,
        channels: int,
        device: torch.device,
        weights: str = "taesd",
    ) -> None:
        self._real, self._normalize, self._denormalize = real, normalize, denormalize
        self.resolution, self.channels = resolution, channels
        self.side = -(-resolution * (2 if resolution <= SMALL else 1) // PATCH)
        self.floats_per_row = 4 * self.side**2
        found = find_weights(weights)
        self.encoder, self.decoder = encoder(), decoder()
        parts = {"encoder.layers.": self.encoder, "decoder.layers.": self.decoder}
        self._weights = replace(found.describe(found.load_into(parts, device)), name="taesd")
        self._device = device

    @torch.no_grad()
    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """The latents of real images, distinct ones of one class."""
        images = torch.cat([self._real(c, int((classes == c).sum()), rng) for c in classes.unique().tolist()])
        return {"latent": self.encode(images.to(self._device))["latent"][classes.argsort(stable=True).argsort()]}

    def __call__(self, latent: Tensor) -> Tensor:
        """Normalized images [N, C, H, W]."""
        images = F.adaptive_avg_pool2d(self.decoder(BOUND * (latent / BOUND).tanh()), self.resolution)
        return self._normalize(_with_channels(images, self.channels))

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """The latents of ``images``, normalized [N, C, H, W]."""
        pixels = F.interpolate(_with_channels(self._denormalize(images), 3), [PATCH * self.side] * 2, mode="bilinear")
        return {"latent": torch.cat([self.encoder(some) for some in pixels.split(AT_ONCE)])}

    def provenance(self) -> Weights:
        """Where the weights are from, and their license."""
        return self._weights

    def tensors(self) -> dict[str, Tensor]:
        """The decoder does not learn."""
        return {}


class _TinyBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_same(), nn.ReLU(), _same(), nn.ReLU(), _same())

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


def encoder() -> nn.Sequential:
    """Pixels in [0, 1] [N, 3, 8 S, 8 S] to latents [N, 4, S, S]; parts are numbered as the public file names them."""
    groups = [[_same(stride=2, bias=False), *(_TinyBlock() for _ in range(3))] for _ in range(3)]
    return nn.Sequential(_conv(3, 64), _TinyBlock(), *(part for group in groups for part in group), _conv(64, 4))


def decoder() -> nn.Sequential:
    """Bounded latents [N, 4, S, S] to pixels in [0, 1] [N, 3, 8 S, 8 S]; parts are numbered as in the public file."""
    groups = [[*(_TinyBlock() for _ in range(3)), nn.Upsample(scale_factor=2), _same(bias=False)] for _ in range(3)]
    return nn.Sequential(_conv(4, 64), nn.ReLU(), *(p for group in groups for p in group), _TinyBlock(), _conv(64, 3))


def _with_channels(images: Tensor, channels: int) -> Tensor:
    return images if images.shape[1] == channels else images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
