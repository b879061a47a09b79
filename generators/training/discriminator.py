"""The discriminator that trains a generator: small heads on the frozen features of a classifier of the same images.

A discriminator that sees features in place of pixels learns from a tenth of the images (Sauer et al., Projected GANs,
NeurIPS 2021, and StyleGAN-XL, SIGGRAPH 2022). Those take a network trained on ImageNet; this one is trained in a few
minutes on the generator's own training images, so that nothing else is needed and nothing else leaks in. Each head is
conditional by projection (Miyato & Koyama, ICLR 2018).
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.training.settings import GROUP

SLOPE = 0.2
SMALLEST = 4  # pixels a side of the last map


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(x, SLOPE)


def initialize(module: nn.Module, rng: torch.Generator) -> None:
    """He initialization of convolutions and dense layers from ``rng``; embeddings and biases start at zero."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data.normal_(generator=rng).mul_(math.sqrt(2 / (1 + SLOPE**2) / part.weight[0].numel()))
            if part.bias is not None:
                part.bias.data.zero_()
        elif isinstance(part, nn.Embedding):
            part.weight.data.zero_()
    module.to(memory_format=torch.channels_last)


class Block(nn.Module):
    """Halving of the resolution, then two convolutions beside a linear path."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.skip = nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inside, H, W] to [N, outside, H/2, W/2]."""
        x = F.avg_pool2d(x, 2)
        return (self.second(activate(self.first(activate(x)))) + self.skip(x)) / math.sqrt(2)


class Features(nn.Module):
    """A residual classifier, for its maps: images [N, C, R, R] in [-1, 1] to maps of R, R/2, ... 4 pixels a side."""

    def __init__(self, channels: int, resolution: int, classes: int, width: int = 32, most: int = 256) -> None:
        super().__init__()
        halvings = int(math.log2(resolution // SMALLEST))
        self.widths = [min(width * 2**i, most) for i in range(halvings + 1)]
        self.start = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in pairwise(self.widths))
        self.classes = nn.Linear(self.widths[-1] * SMALLEST**2, classes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps, from fine to coarse."""
        maps = [self.start(images)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps

    def classify(self, maps: list[Tensor]) -> Tensor:
        """Logits [N, classes] from the maps."""
        return self.classes(activate(maps[-1]).flatten(1))


class Score(nn.Module):
    """Features [N, C] or [N, C, h, w] and labels [N] to realness per image and position, [N, h * w]."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)
        self.classes = nn.Embedding(classes, width)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """A linear score, plus the projection on the class."""
        x = x.flatten(2) if x.ndim == 4 else x[:, :, None]  # [N, C, h, w] -> [N, C, positions]
        direction = self.score.weight + self.classes(labels) / math.sqrt(x.shape[1])  # [N, C]
        return torch.einsum("ncp,nc->np", x, direction) + self.score.bias


class Discriminator(nn.Module):
    """Maps of ``Features`` and labels to logits: a list of [N, positions], one per map and one for all of it.

    Of ``GROUP`` images that follow each other, all of a class, the last head also sees the spread (Karras et al., ICLR
    2018).
    """

    def __init__(self, widths: list[int], classes: int, width: int = 64, dense: int = 128) -> None:
        super().__init__()
        self.local = nn.ModuleList()
        for i, inside in enumerate(widths):
            kernel, stride = (4, 2) if i == 0 else (3, 1)  # the finest map at half its resolution: it is the dearest
            mix = nn.Conv2d(inside, width, 1), nn.LeakyReLU(SLOPE)
            self.local.append(nn.Sequential(*mix, nn.Conv2d(width, width, kernel, stride, 1), nn.LeakyReLU(SLOPE)))
        self.local_scores = nn.ModuleList(Score(width, classes) for _ in widths)
        self.whole = nn.Sequential(
            nn.Conv2d(widths[-1] + 1, dense, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(dense * SMALLEST**2, dense),
            nn.LeakyReLU(SLOPE),
        )
        self.whole_score = Score(dense, classes)

    def forward(self, maps: list[Tensor], labels: Tensor) -> list[Tensor]:
        """Realness of each image as one of its class, where the maps see it and as a whole."""
        pairs = zip(self.local, self.local_scores, maps, strict=True)
        logits = [score(head(x), labels) for head, score, x in pairs]
        x = activate(maps[-1])
        groups = x.unflatten(0, (-1, GROUP))
        spread = (groups.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))  # of each group, against collapse
        spread = spread.repeat_interleave(GROUP)[:, None, None, None]
        x = torch.cat([x, spread.expand(-1, -1, *x.shape[2:])], 1)
        return [*logits, self.whole_score(self.whole(x), labels)]
