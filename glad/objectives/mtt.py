"""MTT, matching training trajectories (Cazenavette et al., CVPR 2022).

A student that starts where an expert was after some epoch is trained on the synthetic images, and should end where the
expert was a few epochs later. The released code differentiates through the graph of all steps (``unroll=full`` here);
the default is the same gradient with one step's graph (``glad.objectives.unroll``). GLaD's release drops the dependence
between steps and calls it MTT: that is ``unroll=tesla``.
"""

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
from glad.objectives.unroll import UNROLLS, stop_where_nearest
from glad.settings.numbers import SWITCH


class MTT:
    """Match the trajectory of experts over ``expert_epochs`` epochs with ``syn_steps`` steps on the synthetic images.

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
        nearest: 1 compares after that of the steps whose parameters lie nearest the expert's, as ATT does (Liu et al.,
            2024); 0 after the last.
    """

    by_class: ClassVar[bool] = False  # the student sees all classes
    soft_labels: ClassVar[bool] = True
    learned_step_size: ClassVar[str] = "step_size"
    old_names: ClassVar[Mapping[str, str]] = OLD_NAMES
    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 1e3, "step_size": 1e-5}

    def __init__(
        self,
        segment: Callable[..., Any],
        network: Callable[[torch.Generator], nn.Module],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        syn_steps: int = 20,
        expert_epochs: int = 3,
        max_start_epoch: int = 5,
        batch_syn: int | None = None,
        step_size: float = 1e-2,
        unroll: str = "adjoint",
        nearest: int = 0,
    ) -> None:
        lengths = {"syn_steps": syn_steps, "expert_epochs": expert_epochs, "max_start_epoch": max_start_epoch}
        check_options(type(self).__name__.lower(), {**lengths, "batch_syn": batch_syn}, step_size, unroll)
        SWITCH.require({"nearest": nearest}, "mtt:")
        self.segment, self.network, self.augment = segment, network, augment
        self.syn_steps, self.expert_epochs, self.max_start_epoch = syn_steps, expert_epochs, max_start_epoch
        self.batch_syn, self.unroll, self.nearest = batch_syn, UNROLLS[unroll], nearest
        self.step_size = torch.tensor(step_size, requires_grad=True)

    def check_experts(self, epochs: int) -> None:
        """Refuse experts of so few ``epochs`` that a segment would reach beyond them."""
        require_epochs(type(self).__name__.lower(), self.max_start_epoch, self.expert_epochs, epochs)

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term: the squared distance from where the expert was, over how far the expert had come."""
        segment = self.segment(step.rng("segment"), self.max_start_epoch, self.expert_epochs)
        yield self.match("mtt", segment, images, labels, step)

    def match(self, name: str, segment: Any, images: Tensor, labels: Tensor, step: Any) -> Tensor:
        """The loss for a segment, a scalar; ``name`` is the objective's, for warnings."""
        keep_positive(name, self.step_size)
        start, end = (segment.checkpoint(i).to(images.device) for i in (0, self.expert_epochs))
        classifier = Classifier(self.network(step.rng("network")), self.augment, labels, self.batch_syn, step)
        student = classifier.student(start, {self.syn_steps: relative_distance(start, end)})
        given = images, labels, self.step_size.to(images.device)
        if self.nearest:
            student = stop_where_nearest(student, *given)
        return self.unroll(student, *given)

    def tensors(self) -> dict[str, Tensor]:
        """The student's step size, which is learned."""
        return {"step_size": self.step_size}
