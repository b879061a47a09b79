"""DATM, difficulty-aligned trajectory matching (Guo et al., ICLR 2024): MTT with labels, window and limit of its own.

Labels are the softmax of logits that are learned (``--labels logits``); the epoch that a segment starts at is drawn
from a window that grows, from easy to hard; an iteration whose loss is too large changes nothing. The release steps the
labels with a momentum of 0.9; here they have that of the images. It differentiates through the graph of all steps,
where one step's is enough here (``glad.objectives.unroll``).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from glad.objectives.base import SkipIteration
from glad.objectives.mtt import MTT
from glad.objectives.trajectory import require_epochs
from glad.settings.numbers import AT_LEAST_ONE, AT_LEAST_ZERO


class DATM(MTT):
    """Match trajectories of experts over a growing window of start epochs, with labels that are learned.

    Args:
        segment: ``segment(rng, max_start_epoch, length, min_start_epoch)`` gives a segment of an expert's trajectory.
        network: ``network(rng)`` makes a network of the experts' kind.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation.
        syn_steps: Steps of the student.
        expert_epochs: Length of a segment.
        min_start_epoch: A segment starts at this epoch or later.
        first_max_start_epoch: In the first iteration a segment starts before this epoch; ``max_start_epoch`` if None.
        max_start_epoch: Once the window has grown a segment starts before this epoch.
        expansion: Iterations in which the window grows.
        skip_above: An iteration with a larger loss changes nothing; 0 skips none.
        batch_syn: Synthetic images per step; all of them if None.
        step_size: The student's at first; it is learned.
        unroll: ``adjoint``, ``full`` or ``tesla``.
    """

    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 100.0, "labels": 5.0, "step_size": 1e-7}

    def __init__(
        self,
        segment: Callable[..., Any],
        network: Callable[[torch.Generator], nn.Module],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        syn_steps: int = 20,
        expert_epochs: int = 2,
        min_start_epoch: int = 0,
        first_max_start_epoch: int | None = None,
        max_start_epoch: int = 5,
        expansion: int = 1000,
        skip_above: float = 1.0,
        batch_syn: int | None = None,
        step_size: float = 1e-2,
        unroll: str = "adjoint",
    ) -> None:
        super().__init__(
            segment, network, augment, syn_steps, expert_epochs, max_start_epoch, batch_syn, step_size, unroll
        )
        first = max_start_epoch if first_max_start_epoch is None else first_max_start_epoch
        if not 0 <= min_start_epoch < first <= max_start_epoch:
            raise ValueError(
                f"datm: starts from min_start_epoch={min_start_epoch} on, at first before {first}, in the end before "
                f"max_start_epoch={max_start_epoch}: min_start_epoch must be below first_max_start_epoch, which is "
                "max_start_epoch where it is not given and no more than that"
            )
        AT_LEAST_ONE.require({"expansion": expansion}, "datm:")
        AT_LEAST_ZERO.require({"skip_above": skip_above}, "datm:")
        self.min_start_epoch, self.first_max_start_epoch = min_start_epoch, first
        self.expansion, self.skip_above = expansion, skip_above

    def check_experts(self, epochs: int) -> None:
        """Refuse experts of so few ``epochs`` that a segment would reach beyond them."""
        window = {"first_max_start_epoch": self.first_max_start_epoch, "min_start_epoch": self.min_start_epoch}
        require_epochs("datm", self.max_start_epoch, self.expert_epochs, epochs, window)

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term, MTT's; ``SkipIteration`` where it is above the limit."""
        before = self.window(step.iteration)
        segment = self.segment(step.rng("segment"), before, self.expert_epochs, self.min_start_epoch)
        loss = self.match("datm", segment, images, labels, step)
        if self.skip_above and loss.item() > self.skip_above:
            raise SkipIteration(loss.item())
        yield loss

    def window(self, iteration: int) -> int:
        """The epoch before which a segment starts in ``iteration``."""
        grown = min(1.0, iteration / self.expansion)
        return self.first_max_start_epoch + int(grown * (self.max_start_epoch - self.first_max_start_epoch))
