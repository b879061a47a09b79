"""Rows of what a generator makes, for sheets."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from generators.draws import normal
from generators.prior import StyleGANPrior
from glad.runs.image_grid import MOST, Row, eight_bit

COLUMNS, STEPS = 10, 8  # samples of a class, steps between two codes
MIXED = 5  # rows between two classes
CHUNK = 250  # images rendered at once


@torch.no_grad()
def render(prior: StyleGANPrior, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Fresh samples of the classes ``labels`` (int64 [N]), rounded to 8 bits as real images are: uint8 [N, C, H, W]."""
    return torch.cat([eight_bit(prior(**prior.init(part, rng))) for part in labels.split(CHUNK)])


def sample_rows(prior: StyleGANPrior, groups: Sequence[str], rng: torch.Generator) -> list[Row]:
    """Ten samples of each class."""
    return [(name, render(prior, torch.full([COLUMNS], c), rng)) for c, name in enumerate(groups[:MOST])]


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points [steps, D] on the arc from ``start`` to ``end`` [D], ends included (Shoemake, SIGGRAPH 1985)."""
    t = torch.linspace(0, 1, steps)[:, None]
    angle = F.cosine_similarity(start, end, dim=0).clamp(-1, 1).arccos()
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


@torch.no_grad()
def interpolation_rows(prior: StyleGANPrior, groups: Sequence[str], rng: torch.Generator) -> list[Row]:
    """Ways between two samples of a class, on an arc in z, then between two classes, on a line in W."""
    mapping = prior.generator.mapping
    rows = []
    for c, name in enumerate(groups[:MOST]):
        start, end = normal([2, mapping.z_dim], rng)
        labels = prior.class_ids[torch.full([STEPS], c)]
        rows.append((name, eight_bit(prior(mapping(slerp(start, end, STEPS), labels)))))
    t = torch.linspace(0, 1, STEPS)[:, None, None]
    for c in range(0, len(groups[:MOST]) - 1, 2)[:MIXED]:
        start, end = prior.init(torch.tensor([c, c + 1]), rng)["w"]
        rows.append((f"{groups[c]} to {groups[c + 1]}", eight_bit(prior(torch.lerp(start, end, t)))))
    return rows


def nearest_rows(images: Tensor, labels: Tensor, found: Tensor, distances: Tensor, groups: Sequence[str]) -> list[Row]:
    """Two rows per class: samples, those with the closest training image first, and below each that image.

    ``found`` [N, C, H, W] are the training images nearest to ``images``, at ``distances`` [N].
    """
    rows = []
    for c, name in enumerate(groups[:MOST]):
        members = (labels == c).nonzero().flatten()
        members = members[distances[members].argsort(stable=True)][:COLUMNS]
        rows += [(name, images[members]), ("nearest training image", found[members])]
    return rows
