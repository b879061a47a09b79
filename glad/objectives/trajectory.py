"""What the objectives share that make a student follow an expert's trajectory: its batches, its loss, its distances."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from glad.microbatch import microbatch_size
from glad.objectives.unroll import UNROLLS, Student
from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ONE

LEAST_STEP_SIZE = 1e-6  # the learned step size stays above it
OLD_NAMES = {"alpha": "step_size"}
"""Former names of options and tensors of MTT and AST."""


def keep_positive(objective: str, step_size: Tensor) -> None:
    """Hold the learned step size above its least value, in place; a warning where it would have gone below."""
    if step_size.item() < LEAST_STEP_SIZE:
        warnings.warn(
            f"{objective}: the student's step size has fallen to {LEAST_STEP_SIZE:g}, because its steps lead away from "
            "the expert; the images hardly change any more. Start again with a lower rate for it (--lr step_size=RATE) "
            "or a lower first value (-o step_size=SIZE)",
            stacklevel=3,
        )
    step_size.data.clamp_(min=LEAST_STEP_SIZE)


def check_options(objective: str, sizes: Mapping[str, int | None], step_size: float, unroll: str) -> None:
    """Raise ``ValueError``, naming the ``objective``, for a size below 1, a useless step size or an unknown unroll."""
    AT_LEAST_ONE.require(sizes, f"{objective}:")
    ABOVE_ZERO.require({"step_size": step_size}, f"{objective}:")
    if unroll not in UNROLLS:
        raise ValueError(f"{objective}: unroll is one of {', '.join(UNROLLS)}, not {unroll!r}")


def require_epochs(
    objective: str, max_start_epoch: int, expert_epochs: int, epochs: int, window: Mapping[str, int] | None = None
) -> None:
    """Raise ``ValueError``, naming the ``objective``, where segments reach beyond experts of so many ``epochs``.

    ``window`` are further options that bound the starts, none of which may be above ``max_start_epoch``.
    """
    needed = max_start_epoch - 1 + expert_epochs
    if needed > epochs:
        length = min(expert_epochs, epochs)
        latest = epochs + 1 - length
        asked = {"expert_epochs": expert_epochs, "max_start_epoch": max_start_epoch, **(window or {})}
        fitting = {**dict.fromkeys(asked, latest), "expert_epochs": length, "min_start_epoch": latest - 1}
        lower = " ".join(f"-o {name}={fitting[name]}" for name, value in asked.items() if value > fitting[name])
        raise ValueError(
            f"{objective}: the experts have {epochs} epochs; starts below max_start_epoch={max_start_epoch} and "
            f"expert_epochs={expert_epochs} need {needed}: give {lower}, or experts of more epochs (-o epochs={needed})"
        )


def relative_distance(start: Tensor, target: Tensor, weight: float = 1.0) -> Callable[[Tensor], Tensor]:
    """``weight`` times the squared distance of parameters from ``target`` [P], over that of ``start`` from it."""
    scale = weight / (start - target).square().sum()
    return lambda parameters: scale * (parameters - target).square().sum()


def with_parameters(network: Any, parameters: Tensor, device: torch.device) -> Any:
    """``network`` on ``device``, frozen, with ``parameters`` [P] in place of its own."""
    network = network.to(device).requires_grad_(False)
    nn.utils.vector_to_parameters(parameters.to(device), network.parameters())
    return network


class Classifier:
    """A student's batches and its loss on them, as functions of its parameters.

    Each pass over the images has a new order; each image is augmented on its own. Both are functions of the iteration
    and of the number of the step, so that a step can be taken again.
    """

    def __init__(
        self,
        network: nn.Module,
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        labels: Tensor,
        size: int | None,
        step: Any,
        factor: float = 1.0,
    ) -> None:
        self.network, self.device = network.to(labels.device).requires_grad_(False), labels.device
        self.augment, self.step, self.factor = augment, step, factor
        self.size = min(size or len(labels), len(labels))
        self.shapes = {name: parameter.shape for name, parameter in network.named_parameters()}

    def by_name(self, parameters: Tensor) -> dict[str, Tensor]:
        """The parameters [P] by name."""
        parts = parameters.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def batch(self, images: Tensor, labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """The images of step ``number`` under its augmentation, and their labels."""
        per_pass = -(-len(labels) // self.size)
        rng = self.step.rng(f"order {number // per_pass}")
        order = torch.randperm(len(labels), generator=rng).to(labels.device)
        chosen = order.split(self.size)[number % per_pass]
        return self.augment(images[chosen], self.step.rng(f"augment {number}"), False), labels[chosen]

    def loss(self, parameters: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the network with ``parameters`` [P], times the factor."""
        return self.factor * F.cross_entropy(functional_call(self.network, self.by_name(parameters), (seen,)), labels)

    def student(
        self,
        start: Tensor,
        targets: Mapping[int, Callable[[Tensor], Tensor]],
        momentum: float = 0.0,
        bias_correction: bool = False,
    ) -> Student:
        """The student that starts at parameters ``start`` [P]."""
        at_once = microbatch_size(self.network, self.device, self.size)
        return Student(start, self.batch, self.loss, targets, momentum, at_once, bias_correction)
