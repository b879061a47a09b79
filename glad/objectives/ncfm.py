"""NCFM (Wang et al., "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective", CVPR 2025).

Per class, the characteristic functions of real and of synthetic features are compared at random frequencies. The
features have length 1 and are those of a network somewhere between an expert's first and last weights; the network with
its last weights is to classify the synthetic images (the paper's calibration). The paper's frequencies are learned
against the images; the released settings switch that off, and here they are normal. The release lowers the learning
rate where the loss no longer falls, and draws frequencies for each class; here the rate stays, and the classes of an
iteration share theirs, which on a GPU would take longer to draw than all the rest.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from glad.microbatch import microbatch_size
from glad.objectives.cf import TINY, squared_gaps
from glad.objectives.trajectory import with_parameters
from glad.rng import normal
from glad.settings.numbers import AT_LEAST_ZERO

SCALE = 300.0  # of the distance beside the calibration, as published


class NCFM:
    """Match the characteristic functions of features in networks that experts passed through, class by class.

    Args:
        real: ``real(c, n, rng)`` gives n real images of class c, normalized [n, C, H, W].
        network: ``network(rng)`` makes a network of the experts' kind.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation; the real and the synthetic images of a
            class get the same draw.
        segment: ``segment(rng, max_start_epoch, length)`` gives a segment of an expert's trajectory.
        batch: Real images per class and iteration.
        frequencies: Frequencies per iteration.
        phase: Weight of the phases against that of the amplitudes, in [0, 1].
        calibration: Weight of the cross-entropy of the synthetic images under the trained network; 0 for none.
    """

    by_class: ClassVar[bool] = True
    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 1e-3}
    optimizers: ClassVar[Mapping[str, str]] = {"pixels": "adamw"}
    added_options: ClassVar[Mapping[str, float]] = {"calibration": 0.0}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        network: Callable[[torch.Generator], Any],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        segment: Callable[[torch.Generator, int, int], Any],
        batch: int = 1024,
        frequencies: int = 4096,
        phase: float = 0.5,
        calibration: float = 1.0,
    ) -> None:
        if min(batch, frequencies) < 1 or not 0 <= phase <= 1 or calibration not in AT_LEAST_ZERO:
            raise ValueError(
                "ncfm needs batch and frequencies of at least 1, phase in [0, 1] and calibration of at least 0, not "
                f"{batch}, {frequencies}, {phase} and {calibration}"
            )
        self.real, self.network, self.augment, self.segment = real, network, augment, segment
        self.batch, self.frequencies, self.phase, self.calibration = batch, frequencies, phase, calibration

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term per class. Batch norm takes its statistics from the images of one class at a time."""
        whole = self.segment(step.rng("segment"), 1, 0)
        first, last = whole.checkpoint(0), whole.checkpoint(whole.remaining)
        between = torch.lerp(first, last, float(torch.rand((), generator=step.rng("blend"))))
        seen, trained = (
            with_parameters(self.network(step.rng("network")), weights, images.device) for weights in (between, last)
        )
        shape = [self.frequencies, seen.classifier.in_features]
        at = normal(shape, step.rng("frequencies")).to(images)
        for c in labels.unique().tolist():
            real = self.real(c, self.batch, step.rng(f"real {c}")).to(images.device)
            real, synthetic = (self.augment(x, step.rng(f"augment {c}"), True) for x in (real, images[labels == c]))
            with torch.no_grad():
                parts = real.split(microbatch_size(seen, images.device, len(real)))
                target = torch.cat([seen.embed(part) for part in parts])
            ours, theirs = (F.normalize(features) for features in (seen.embed(synthetic), target))
            term = SCALE * (squared_gaps(ours, theirs, at, self.phase) + TINY).sqrt().mean()
            if self.calibration:
                classes = torch.full((len(synthetic),), c, device=images.device)
                term = term + self.calibration * F.cross_entropy(trained(synthetic), classes)
            yield term

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is kept between iterations."""
        return {}
