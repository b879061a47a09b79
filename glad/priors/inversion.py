"""Inversion: latents whose images are given real ones, found by gradient descent.

As Abdal et al. (Image2StyleGAN, ICCV 2019) do it in W+: style codes first; where the prior's latents hold features too
(F_n), they begin as those of the codes found and are then optimized along with them. Priors without codes are fitted in
the second way alone.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from glad.priors.base import Prior
from glad.priors.description import PriorDescription

CODES_RATE = 0.1  # of Adam at the first step, for codes alone; for all latents it is the prior's fit_rate
Features = Callable[[Tensor], Tensor]


def invert(
    prior: Prior,
    latents: Mapping[str, Tensor],
    targets: Tensor,
    steps: int,
    features: Features | None = None,
    chunk: int = 10,
) -> dict[str, Tensor]:
    """The latents, N rows begun at ``latents``, whose images come near ``targets``.

    Targets are normalized, [N * images_per_row, C, H, W], row after row. ``steps`` of Adam, whose rate falls along a
    cosine to zero, on the squared error of the pixels plus, with ``features`` (images to [n, D]), the relative
    squared error of the features; ``steps`` for style codes, then ``steps`` for all latents where they are more than
    codes. Rows do not depend on each other, ``chunk`` of them are rendered at a time. Only latents are changed. Raises
    ``ArithmeticError`` when the loss is not finite.
    """
    found, of_row = [], targets.unflatten(0, (-1, PriorDescription(prior).images_per_row))
    for rows in torch.arange(len(of_row)).split(chunk):
        start = {name: tensor[rows].detach() for name, tensor in latents.items()}
        found.append(_invert_rows(prior, start, of_row[rows].flatten(0, 1), steps, features))
    return {name: torch.cat([rows[name] for rows in found]) for name in latents}


def _invert_rows(
    prior: Prior, start: dict[str, Tensor], targets: Tensor, steps: int, features: Features | None
) -> dict[str, Tensor]:
    loss = _distance(targets, features)
    description = PriorDescription(prior)
    from_codes = description.from_codes
    if from_codes is not None:
        first = {name: start[name] for name in description.codes}
        codes = _descend(first, lambda **rows: loss(prior(**from_codes(**rows))), steps, CODES_RATE)
        with torch.no_grad():
            start = from_codes(**codes)
        if start.keys() == codes.keys():
            return start
    return _descend(start, lambda **rows: loss(prior(**rows)), steps, description.fit_rate)


def _distance(targets: Tensor, features: Features | None) -> Callable[[Tensor], Tensor]:
    """The summed losses of images against ``targets``, each row's on its own."""
    with torch.no_grad():
        aims = None if features is None else features(targets)

    def loss(images: Tensor) -> Tensor:
        found = (images - targets).square().flatten(1).mean(1)
        if features is not None and aims is not None:
            found = found + (features(images) - aims).square().sum(1) / aims.square().sum(1).clamp(min=1e-12)
        return found.sum()

    return loss


def _descend(start: Mapping[str, Tensor], loss: Callable[..., Tensor], steps: int, rate: float) -> dict[str, Tensor]:
    """``start`` after ``steps`` of Adam on ``loss(**start)``; whole numbers and booleans stay as they are."""
    leaves = {name: t.detach().clone().requires_grad_() for name, t in start.items() if t.is_floating_point()}
    optimizer = torch.optim.Adam(leaves.values(), rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        value = loss(**{**start, **leaves})
        if not bool(value.isfinite()):
            raise ArithmeticError(f"inversion: the loss is {value.item()} in step {step}")
        gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(leaves, gradients, strict=True):
            leaves[name].grad = gradient
        optimizer.step()
    return {name: leaves.get(name, tensor).detach() for name, tensor in start.items()}
