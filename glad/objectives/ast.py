"""AST, alignment with smooth experts (Shen et al., 2023): MTT with changes, each switched off by a number of its own.

Here are those of distillation: the balanced inner loop, the student's momentum, intermediate matching, and the
perturbation of the start. Those of the experts are the recipe ``smooth`` of ``glad experts``, and the representative
initialization is that of ``glad.initialization``. The released code keeps the graph of all steps; here one step's is
enough.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from glad.objectives.trajectory import (
    OLD_NAMES,
    Classifier,
    check_options,
    keep_positive,
    relative_distance,
    require_epochs,
)
from glad.objectives.unroll import UNROLLS
from glad.rng import normal
from glad.settings.numbers import AT_LEAST_ZERO, SHARE, SWITCH


class AST:
    """Match the trajectory of smooth experts, at its end and on its way.

    Args:
        segment: ``segment(rng, max_start_epoch, length)`` gives a segment of an expert's trajectory.
        network: ``network(rng)`` makes a network of the experts' kind.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation.
        syn_steps: Steps of the student.
        expert_epochs: Length of a segment.
        max_start_epoch: A segment starts at an epoch before this one.
        batch_syn: Synthetic images per step; all of them if None.
        step_size: The student's at first; it is learned.
        unroll: ``adjoint``, ``full`` or ``tesla``.
        momentum: Of the student's SGD.
        bias_correction: 1 makes the student's first steps as long as its later ones, so that intermediate epochs are
            met on the way to the last; 0, as released, starts from a momentum of zero and ends with steps
            1 / (1 - momentum) times as long.
        balance: 1 weighs the loss by how late the segment starts; 0 does not.
        intermediate: Weight of the distances to the epochs between start and end.
        adaptive: 1 gives the intermediate epochs less weight the earlier they are; 0 does not.
        perturbation: Size of the noise on the convolutions of the segment's start.
    """

    by_class: ClassVar[bool] = False  # the student sees all classes
    soft_labels: ClassVar[bool] = True
    learned_step_size: ClassVar[str] = "step_size"
    old_names: ClassVar[Mapping[str, str]] = OLD_NAMES
    added_options: ClassVar[Mapping[str, int]] = {"bias_correction": 0}
    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 333.0, "step_size": 1e-5}
    """Of the step size MTT's, as the student with a corrected momentum goes as far; of pixels a third of MTT's, because
    the sum of three distances moves the images two to three times as far. With ``bias_correction=0`` the student's end
    follows the step size ten times as fast: it wants 1e-3, and a rate of some 3e-7."""

    def __init__(
        self,
        segment: Callable[[torch.Generator, int, int], Any],
        network: Callable[[torch.Generator], nn.Module],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        syn_steps: int = 20,
        expert_epochs: int = 3,
        max_start_epoch: int = 5,
        batch_syn: int | None = None,
        step_size: float = 1e-2,
        unroll: str = "adjoint",
        momentum: float = 0.9,
        bias_correction: int = 1,
        balance: int = 1,
        intermediate: float = 1.0,
        adaptive: int = 0,
        perturbation: float = 1.0,
    ) -> None:
        lengths = {"syn_steps": syn_steps, "expert_epochs": expert_epochs, "max_start_epoch": max_start_epoch}
        check_options("ast", {**lengths, "batch_syn": batch_syn}, step_size, unroll)
        SHARE.require({"momentum": momentum}, "ast:")
        AT_LEAST_ZERO.require({"intermediate": intermediate, "perturbation": perturbation}, "ast:")
        switches = {"bias_correction": bias_correction, "balance": balance, "adaptive": adaptive}
        SWITCH.require(switches, "ast:")
        if intermediate and syn_steps < expert_epochs:
            raise ValueError(f"ast: {syn_steps} syn_steps cannot meet each of {expert_epochs} expert_epochs: take more")
        self.segment, self.network, self.augment = segment, network, augment
        self.syn_steps, self.expert_epochs, self.max_start_epoch = syn_steps, expert_epochs, max_start_epoch
        self.batch_syn, self.unroll = batch_syn, UNROLLS[unroll]
        self.momentum, self.bias_correction = momentum, bool(bias_correction)
        self.balance, self.intermediate, self.adaptive, self.perturbation = (
            balance,
            intermediate,
            adaptive,
            perturbation,
        )
        self.step_size = torch.tensor(step_size, requires_grad=True)

    def check_experts(self, epochs: int) -> None:
        """Refuse experts of so few ``epochs`` that a segment would reach beyond them."""
        require_epochs("ast", self.max_start_epoch, self.expert_epochs, epochs)

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term: relative squared distances from where the expert was, at the end and on the way."""
        keep_positive("ast", self.step_size)
        segment = self.segment(step.rng("segment"), self.max_start_epoch, self.expert_epochs)
        factor = balance(segment.epoch, self.max_start_epoch) if self.balance else 1.0
        network = self.network(step.rng("network"))
        classifier = Classifier(network, self.augment, labels, self.batch_syn, step, factor)
        start = perturb(segment.checkpoint(0), classifier.shapes.values(), self.perturbation, step.rng("perturbation"))
        start = start.to(images.device)
        targets = {
            after: relative_distance(start, segment.checkpoint(epoch).to(images.device), weight)
            for after, epoch, weight in self.meetings()
        }
        student = classifier.student(start, targets, self.momentum, self.bias_correction)
        yield self.unroll(student, images, labels, self.step_size.to(images.device))

    def meetings(self) -> list[tuple[int, int, float]]:
        """Where student and expert are compared: steps taken, epochs taken, weight."""
        last = self.expert_epochs
        between = range(1, last) if self.intermediate else ()
        weights = [self.intermediate * (i / last if self.adaptive else 1.0) for i in between]
        stride = self.syn_steps // last
        return [
            *((i * stride, i, weight) for i, weight in zip(between, weights, strict=True)),
            (self.syn_steps, last, 1.0),
        ]

    def tensors(self) -> dict[str, Tensor]:
        """The student's step size, which is learned."""
        return {"step_size": self.step_size}


def balance(epoch: int, max_start_epoch: int) -> float:
    """The factor of the student's loss for a segment that starts at ``epoch``, before ``max_start_epoch``."""
    half = max_start_epoch // 2
    return math.log(epoch - half + 8, 5) if epoch >= half else 1 / math.log(half - epoch + 8, 5)


def perturb(parameters: Tensor, shapes: Any, size: float, rng: torch.Generator) -> Tensor:
    """``parameters`` [P] with w + size * w * d / |d|, d normal, in place of each convolution w of the ``shapes``."""
    if not size:
        return parameters
    parts = []
    for part, shape in zip(parameters.split([shape.numel() for shape in shapes]), shapes, strict=True):
        noise = normal(part.shape, rng)
        parts.append(part + size * part * noise / noise.norm() if len(shape) == 4 else part)
    return torch.cat(parts)
