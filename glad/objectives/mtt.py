"""MTT, matching training trajectories (Cazenavette et al., CVPR 2022).

A student that starts where an expert was after some epoch is trained on the synthetic images, and should end where the
expert was a few epochs later. The released code differentiates through the graph of all steps (``unroll=full`` here);
the default is the same gradient with one step's graph (``glad.objectives.unroll``). GLaD's release drops the dependence
between steps and calls it MTT: that is ``unroll=tesla``.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from glad.batching import at_a_time
from glad.objectives.unroll import UNROLLS, Student

LEAST_ALPHA = 1e-6  # the learned step size stays above it


class MTT:
    """Match the path of experts over ``expert_epochs`` epochs with ``syn_steps`` steps on the synthetic images.

    ``segment(rng, below, length)`` gives a piece of an expert's path that starts below an epoch; ``network(rng)`` a
    network of the experts' kind; ``augment(images, rng, shared)`` a differentiable augmentation. ``max_start_epoch`` is
    the first epoch at which no piece starts, ``batch_syn`` the images in a step (all of them by default), ``alpha`` the
    student's step size at first, which is learnt. ``unroll`` is ``adjoint``, ``full`` or ``tesla``.
    """

    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 1e3, "w": 10.0, "f": 1e4, "g": 0.1, "alpha": 1e-5}

    def __init__(
        self,
        segment: Callable[[torch.Generator, int, int], Any],
        network: Callable[[torch.Generator], nn.Module],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        syn_steps: int = 20,
        expert_epochs: int = 3,
        max_start_epoch: int = 5,
        batch_syn: int | None = None,
        alpha: float = 1e-2,
        unroll: str = "adjoint",
    ) -> None:
        sizes = {"syn_steps": syn_steps, "expert_epochs": expert_epochs, "max_start_epoch": max_start_epoch}
        check_options("mtt", {**sizes, "batch_syn": 1 if batch_syn is None else batch_syn}, alpha, unroll)
        self.segment, self.network, self.augment = segment, network, augment
        self.syn_steps, self.expert_epochs, self.max_start_epoch = syn_steps, expert_epochs, max_start_epoch
        self.batch_syn, self.unroll = batch_syn, UNROLLS[unroll]
        self.alpha = torch.tensor(alpha, requires_grad=True)

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term: the squared distance from where the expert was, over how far the expert had come."""
        keep_positive("mtt", self.alpha)
        piece = self.segment(step.rng("segment"), self.max_start_epoch, self.expert_epochs)
        start, end = (piece.row(i).to(images.device) for i in (0, self.expert_epochs))
        classifier = Classifier(self.network(step.rng("network")), self.augment, labels, self.batch_syn, step)
        student = classifier.student(start, {self.syn_steps: relative_distance(start, end)}, momentum=0.0)
        yield self.unroll(student, images, self.alpha.to(images.device))

    def tensors(self) -> dict[str, Tensor]:
        """The step size, which is learnt."""
        return {"alpha": self.alpha}


def keep_positive(objective: str, alpha: Tensor) -> None:
    """Hold the learnt step size above its least value, in place; a warning where it would have gone below."""
    if alpha.item() < LEAST_ALPHA:
        warnings.warn(
            f"{objective}: the student's step size has fallen to {LEAST_ALPHA:g}, because its steps lead away from the "
            "expert; the images hardly change any more. Start again with a lower rate for it (--lr alpha=RATE) or a "
            "lower first value (-o alpha=SIZE)",
            stacklevel=3,
        )
    alpha.data.clamp_(min=LEAST_ALPHA)


def check_options(objective: str, sizes: Mapping[str, int], alpha: float, unroll: str) -> None:
    """Raise ``ValueError``, naming the ``objective``, for a size below 1, a useless step size or an unknown unroll."""
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{objective}: {name} must be at least 1, not {value}")
    if not alpha > 0:
        raise ValueError(f"{objective}: alpha, the student's step size, must be above 0, not {alpha}")
    if unroll not in UNROLLS:
        raise ValueError(f"{objective}: unroll is one of {', '.join(UNROLLS)}, not {unroll!r}")


def relative_distance(start: Tensor, target: Tensor, weight: float = 1.0) -> Callable[[Tensor], Tensor]:
    """``weight`` times the squared distance of parameters from ``target`` [P], over that of ``start`` from it."""
    scale = weight / (start - target).square().sum()
    return lambda parameters: scale * (parameters - target).square().sum()


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
        self.network = network.to(labels.device).requires_grad_(False)
        self.augment, self.labels, self.step, self.factor = augment, labels, step, factor
        self.size = min(size or len(labels), len(labels))
        self.shapes = {name: parameter.shape for name, parameter in network.named_parameters()}

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """The parameters [P] by name."""
        parts = parameters.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def batch(self, images: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """The images of step ``number`` under its augmentation, and their labels."""
        per_pass = -(-len(self.labels) // self.size)
        rng = self.step.rng(f"order {number // per_pass}")
        order = torch.randperm(len(self.labels), generator=rng).to(self.labels.device)
        chosen = order.split(self.size)[number % per_pass]
        return self.augment(images[chosen], self.step.rng(f"augment {number}"), False), self.labels[chosen]

    def loss(self, parameters: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the network with ``parameters`` [P], times the factor."""
        return self.factor * F.cross_entropy(functional_call(self.network, self.named(parameters), (seen,)), labels)

    def student(self, start: Tensor, targets: Mapping[int, Callable[[Tensor], Tensor]], momentum: float) -> Student:
        """The student that starts at parameters ``start`` [P]."""
        at_once = at_a_time(self.network, self.labels.device, self.size)
        return Student(start, self.batch, self.loss, targets, momentum, at_once)
