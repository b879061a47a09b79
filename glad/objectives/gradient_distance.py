"""Distances between two gradients of a network, lists of tensors shaped as its weights (Zhao et al., ICLR 2021)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

EPSILON = 1e-6
"""Added to a product of norms, as published."""


def layerwise(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Sum of 1 - cosine over the output rows of convolutions and linear layers; biases and norms do not count."""
    pairs = [(x.flatten(1), y.flatten(1)) for x, y in zip(a, b, strict=True) if x.ndim in (2, 4)]
    return torch.stack([_cosine_distance(x, y).sum() for x, y in pairs]).sum()


def squared_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Squared Euclidean distance of the whole gradients."""
    return (_concatenate(a) - _concatenate(b)).square().sum()


def cosine(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """One minus the cosine between the whole gradients."""
    return _cosine_distance(_concatenate(a), _concatenate(b))


DISTANCES: dict[str, Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]] = {
    "layers": layerwise,
    "mse": squared_distance,
    "cos": cosine,
    "ours": layerwise,  # the published name
}


def _cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """1 - cosine along the last axis: [..., D] twice to [...]."""
    return 1 - (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1) + EPSILON)


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])
