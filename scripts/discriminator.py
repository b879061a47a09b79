"""The discriminator that trains a generator: residual, class-conditional by projection (Miyato & Koyama, ICLR 2018)."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions and a halving of the resolution beside a linear path."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, inside, 3, padding=1)
        self.second = nn.Conv2d(inside, outside, 3, padding=1)
        self.skip = nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inside, H, W] to [N, outside, H/2, W/2]."""
        y = F.avg_pool2d(self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2)), 2)
        return (y + self.skip(F.avg_pool2d(x, 2))) / math.sqrt(2)


class Discriminator(nn.Module):
    """Images [N, C, R, R] in [-1, 1] and labels [N] to logits [N]; unconditional when ``classes`` is 0."""

    def __init__(self, channels: int, resolution: int, classes: int, width: int = 32, most: int = 160) -> None:
        super().__init__()
        widths = [min(width * 2**i, most) for i in range(int(math.log2(resolution // 4)) + 1)]
        self.start = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
        self.end = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.dense = nn.Linear(widths[-1] * 16, widths[-1])
        self.score = nn.Linear(widths[-1], 1)
        self.classes = nn.Embedding(max(classes, 1), widths[-1])

    def initialise(self, rng: torch.Generator) -> "Discriminator":
        """He initialisation from ``rng``; the class embedding starts at zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.data.normal_(generator=rng).mul_(math.sqrt(2 / fan_in))
                if module.bias is not None:
                    module.bias.data.zero_()
        self.classes.weight.data.zero_()
        return self

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Realness of each image as one of its class."""
        x = F.leaky_relu(self.blocks(self.start(images)), 0.2)
        spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()  # of the batch, against collapse
        x = torch.cat([x, spread.expand(x.shape[0], 1, *x.shape[2:])], 1)
        x = F.leaky_relu(self.dense(F.leaky_relu(self.end(x), 0.2).flatten(1)), 0.2)
        return self.score(x)[:, 0] + (self.classes(labels) * x).sum(1) / math.sqrt(x.shape[1])
