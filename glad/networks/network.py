"""The one shape every student network has: a chain of blocks, a read-out and a linear classifier."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from glad.networks.initialization import fan_in_uniform


class Network(nn.Module):
    """A classifier of images [N, C, H, W] that shows its features.

    ``blocks`` map feature map to feature map, ``readout`` maps the last one to ``features`` numbers per sample (after
    flattening), ``fill`` draws the initial weights.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        readout: nn.Module,
        features: int,
        classes: int,
        fill: Callable[[nn.Module, torch.Generator], None] = fan_in_uniform,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.readout = readout
        self.classifier = nn.Linear(features, classes)
        self._fill = fill

    def initialize(self, rng: torch.Generator) -> None:
        """Draw all weights anew, in place, from ``rng``."""
        self._fill(self, rng)

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps [N, C_i, H_i, W_i], one per block."""
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def embed(self, x: Tensor) -> Tensor:
        """Return the features before the classifier, [N, D]."""
        return self.readout(self.stages(x)[-1]).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [N, classes]."""
        return self.classifier(self.embed(x))


NORMS = ("instance", "batch", "none")


def norm_layer(kind: str, channels: int) -> nn.Module:
    """Return the normalization ``kind`` ("instance", "batch" or "none") of maps with ``channels`` channels."""
    if kind == "instance":
        return nn.GroupNorm(channels, channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"unknown norm {kind!r}; known: {', '.join(NORMS)}")


def stem_padding(kernel: int, channels: int, resolution: int) -> int:
    """Return the first convolution's padding: it keeps the size, but makes 32 pixels of gray 28 as the field does."""
    return kernel // 2 + (2 if (channels, resolution) == (1, 28) else 0)
