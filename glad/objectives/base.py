"""What an objective is: a loss on synthetic images, given as a stream of scalar terms."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from glad.rng import rng_for


@dataclass(frozen=True)
class Step:
    """What one iteration may know: its number from 0, and randomness that is a function of it and of the run's seed."""

    seed: int
    iteration: int

    def rng(self, purpose: str) -> torch.Generator:
        """A fresh random stream, on the CPU, for ``purpose``."""
        return rng_for(self.seed, "distill", self.iteration, purpose)


class SkipIteration(Exception):  # noqa: N818, as of StopIteration
    """Raised by ``terms``: this iteration changes nothing, neither latents nor the optimizer's moments.

    Args:
        loss: What the metrics say its loss was.
    """

    def __init__(self, loss: float) -> None:
        super().__init__(f"skipped at a loss of {loss:g}")
        self.loss = loss


class Objective(Protocol):
    """A loss on synthetic images, given as a stream of scalar terms whose sum it is.

    The caller calls ``backward`` on each term as it arrives and so frees its graph: peak memory is one term's.

    These two methods are all that an objective must have. What else it says of itself is optional and listed in
    ``glad.objectives.description.ObjectiveDescription``, which reads it. Labels are int64 [N], or float [N, K] for an
    objective that says ``soft_labels``.
    """

    def terms(self, images: Tensor, labels: Tensor, step: Step) -> Iterator[Tensor]:
        """Scalars, differentiable in ``images`` [N, C, H, W] and in ``tensors()``; or ``SkipIteration`` is raised."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """State to save; what requires grad is optimized along with the latents."""
        ...
