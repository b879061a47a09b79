"""The prior without a prior: the latents are the images."""

from collections.abc import Callable

import torch
from torch import Tensor

from glad.rng import normal


class Pixels:
    """The trivial prior: the latents are the images.

    ``real(c, n, rng)`` gives n normalized images of class c, [n, C, H, W]; with ``init="noise"`` they only lend
    their shape and the start is N(0, 1), with ``init="real"`` they are the start.
    """

    def __init__(self, real: Callable[[int, int, torch.Generator], Tensor], init: str = "noise") -> None:
        if init not in ("noise", "real"):
            raise ValueError(f"pixels start from 'noise' or 'real', not {init!r}")
        self._real, self._start = real, init

    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """``{"pixels": [N, C, H, W]}``; real images of one class are distinct."""
        present = classes.unique().tolist()
        if self._start == "noise":
            # One image of each class lends its shape; what is drawn for it is the same as for more.
            shape = torch.stack([self._real(c, 1, rng)[0] for c in present]).shape[1:]
            return {"pixels": normal([len(classes), *shape], rng)}
        pixels = torch.cat([self._real(c, int((classes == c).sum()), rng) for c in present])
        return {"pixels": pixels[classes.argsort(stable=True).argsort()]}  # from sorted by class to their own order

    def __call__(self, pixels: Tensor) -> Tensor:
        """The latents themselves."""
        return pixels

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """The latents of ``images``, normalized [N, C, H, W]: these images."""
        return {"pixels": images}

    def provenance(self) -> None:
        """There are no weights behind pixels."""

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is shared."""
        return {}
