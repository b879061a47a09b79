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


def percents(text: str) -> list[float]:
    """``1,5,10`` as numbers; ``ValueError`` unless all are above 0 and at most 100."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    check(values or [0.0], text)
    return values


def check(values: list[float], told: object) -> None:
    """``ValueError`` naming ``told`` unless all ``values`` are shares in per cent."""
    if not all(0 < value <= 100 for value in values):
        raise ValueError(f"hybrid is {told}: name shares of the real images in per cent, such as 1,5,10")
