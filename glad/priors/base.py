"""What a prior is: a differentiable map from latents to images."""

from typing import Protocol

import torch
from torch import Tensor


class Prior(Protocol):
    """A differentiable, deterministic map from latents to images, each row on its own."""

    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Start latents for ``classes`` (int64 [N]): tensors of N rows, whose keys name the space."""
        ...

    def __call__(self, **latents: Tensor) -> Tensor:
        """Normalised images [N, C, H, W]."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Shared tensors; those that require grad are learnt along with the latents."""
        ...
