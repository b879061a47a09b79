"""A distilled set with a share of the real images, and that share alone: does distilling still help where data is?"""

import torch

from glad.data.coresets import Labeled
from glad.data.dataset import ImageData
from glad.rng import rng_for


def share_of(data: ImageData, percent: float, seed: int) -> Labeled:
    """``percent`` of the images of each class, rounded, and at least one: normalized [n, C, H, W], labels int64 [n].

    Classes come one after the other. The images are a function of ``seed``; a smaller share is part of a larger one.
    """
    chosen = []
    for c in range(len(data.classes)):
        own = data.of_class(c)
        order = torch.randperm(len(own), generator=rng_for(seed, "hybrid", c))
        chosen.append(own[order[: max(1, round(percent / 100 * len(own)))]])
    indices = torch.cat(chosen)
    return data.batch(indices), data.labels[indices]


def join_sets(one: Labeled, other: Labeled) -> Labeled:
    """The images and labels of both."""
    return torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]])
