"""What an objective is: a loss on synthetic images, given as a stream of scalar terms."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor


class Step(Protocol):
    """What one iteration may know."""

    @property
    def iteration(self) -> int:
        """The number of the iteration, from 0."""
        ...

    def rng(self, purpose: str) -> torch.Generator:
        """A fresh CPU generator, a function of run seed, iteration and purpose."""
        ...


class Objective(Protocol):
    """A loss on synthetic images, given as a stream of scalar terms whose sum it is.

    The caller calls ``backward`` on each term as it arrives and so frees its graph: peak memory is one term's.

    Labels are int64 [N]. An objective with a member ``soft_labels = True`` takes float [N, K] too, which may require
    grad; its method ``check_labels(labels)``, if it has one, raises ``ValueError`` for those that it cannot use.

    An objective that learns the student's step size along with the set names that one of its ``tensors()`` in a member
    ``learned_step_size``; networks are trained on the set at this rate. A member ``old_names`` maps former names of its
    tensors to the present ones, for states of earlier versions.
    """

    def terms(self, images: Tensor, labels: Tensor, step: Step) -> Iterator[Tensor]:
        """Scalars, differentiable in ``images`` [N, C, H, W] and in ``tensors()``."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """State to save; what requires grad is optimised along with the latents."""
        ...
