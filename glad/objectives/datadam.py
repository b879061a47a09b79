"""DataDAM (Sajedi et al., "Efficient Dataset Distillation with Attention Matching", ICCV 2023).

Per class, the squared distances between the mean spatial attention of real and synthetic images, at every stage of a
fresh random network but the last, and between their mean features at its end. As in the paper, each image's attention
is brought to unit length before the mean is taken.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ZERO


class DataDAM:
    """Match class means of attention maps and of features in randomly initialized networks.

    Args:
        real: ``real(c, n, rng)`` gives n real images of class c, normalized [n, C, H, W].
        network: ``network(rng)`` makes a fresh network with ``stages`` and ``readout``.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation; the real and the synthetic images of a
            class get the same draw.
        batch: Real images per class and iteration. Published are 256; why fewer do is told in docs/BENCHMARKS.md.
        power: Exponent of the attention.
        balance: Weight of the features against the attention.
    """

    by_class: ClassVar[bool] = True
    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 1.0}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        network: Callable[[torch.Generator], Any],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        batch: int = 64,
        power: float = 4.0,
        balance: float = 0.01,
    ) -> None:
        if batch < 1:
            raise ValueError(f"datadam needs a batch of at least 1 real image per class, not {batch}")
        if power not in ABOVE_ZERO or balance not in AT_LEAST_ZERO:
            raise ValueError(f"datadam needs power above 0 and balance of at least 0, not {power} and {balance}")
        self.real, self.network, self.augment = real, network, augment
        self.batch, self.power, self.balance = batch, power, balance

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term per class. Batch norm takes its statistics from the images of one class at a time."""
        network = self.network(step.rng("network")).requires_grad_(False).to(images.device)
        for c in labels.unique().tolist():
            real = self.real(c, self.batch, step.rng(f"real {c}")).to(images.device)
            with torch.no_grad():
                target = self._means(network, self.augment(real, step.rng(f"augment {c}"), True))
            means = self._means(network, self.augment(images[labels == c], step.rng(f"augment {c}"), True))
            distances = [(mean - goal).square().sum() for mean, goal in zip(means, target, strict=True)]
            yield torch.stack(distances[:-1]).sum() + self.balance * distances[-1]

    def _means(self, network: Any, images: Tensor) -> list[Tensor]:
        """Mean attention of every stage but the last, flat, and the mean feature."""
        *stages, last = network.stages(images)
        return [*(attention(stage, self.power).mean(0) for stage in stages), network.readout(last).flatten(1).mean(0)]

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is kept between iterations."""
        return {}


def attention(maps: Tensor, power: float) -> Tensor:
    """Where feature maps [N, C, H, W] are large: the sum over channels of |x| ** power, at unit length, [N, H * W]."""
    return nn.functional.normalize(maps.abs().pow(power).sum(1).flatten(1), dim=1)
