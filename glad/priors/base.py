"""What a prior is: a differentiable map from latents to images."""

from typing import Any, Protocol

import torch
from torch import Tensor


class Prior(Protocol):
    """A differentiable, deterministic map from latents to images, each row on its own.

    These three methods are all that a prior must have. What else it says of itself is optional and listed in
    ``glad.priors.description.PriorDescription``, which reads it.
    """

    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Make initial latents.

        Args:
            classes: The class of each row, int64 [N].
            rng: The random stream, on the CPU, that every draw comes from.

        Returns:
            Tensors of N rows each; their keys name the latent space. Floats are learned; tensors of whole numbers or
            booleans, such as indices and masks, are saved along with them and stay as they are.
        """
        ...

    def __call__(self, *_: Any, **latents: Any) -> Tensor:  # by name alone; mypy takes this for any signature
        """Render latents of N rows.

        Args:
            latents: Tensors of N rows each by name, as ``init`` makes them.

        Returns:
            Normalized images [N * images_per_row, C, H, W], row after row; ``images_per_row`` is 1 unless the prior
            says otherwise.
        """
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return the shared tensors to save; those that require grad are learned along with the latents."""
        ...
