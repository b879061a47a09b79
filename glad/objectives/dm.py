"""DM, distribution matching (Zhao & Bilen, "Dataset Condensation with Distribution Matching", WACV 2023).

Per class, the squared distance between the mean features of real and synthetic images under a fresh random network.
The released code runs classes one by one or, with batch norm, all together; so does this.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from glad.microbatch import microbatch_size, uses_batch_statistics


class DM:
    """Match class means in the feature space of randomly initialized networks.

    Args:
        real: ``real(c, n, rng)`` gives n real images of class c, normalized [n, C, H, W].
        network: ``network(rng)`` makes a fresh network with ``embed``.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation; the real and the synthetic images of a
            class get the same draw.
        batch: Real images per class and iteration. Published are 256; why fewer do is told in docs/BENCHMARKS.md.
    """

    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 1.0}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        network: Callable[[torch.Generator], Any],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        batch: int = 64,
    ) -> None:
        if batch < 1:
            raise ValueError(f"dm needs a batch of at least 1 real image per class, not {batch}")
        self.real, self.network, self.augment, self.batch = real, network, augment, batch

    @cached_property
    def by_class(self) -> bool:
        """Whether classes are independent of each other: not where batch norm sees them together."""
        return not uses_batch_statistics(self.network(torch.Generator()))

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term per class; a single one when batch norm makes an image's features depend on its batch."""
        network = self.network(step.rng("network")).requires_grad_(False).to(images.device)
        classes = labels.unique().tolist()
        together = uses_batch_statistics(network)
        for group in [classes] if together else [[c] for c in classes]:
            real, synthetic = zip(*(self._pair(c, images[labels == c], step) for c in group), strict=True)
            size = microbatch_size(network, images.device, self.batch * len(group))
            with torch.no_grad():
                features = torch.cat([network.embed(part) for part in torch.cat(real).split(size)])
                target = class_means(features, real)
            means = class_means(network.embed(torch.cat(synthetic)), synthetic)
            yield (means - target).square().sum()

    def _pair(self, c: int, synthetic: Tensor, step: Any) -> tuple[Tensor, Tensor]:
        """Real and synthetic images of one class under one augmentation."""
        real = self.real(c, self.batch, step.rng(f"real {c}")).to(synthetic.device)
        return tuple(self.augment(x, step.rng(f"augment {c}"), True) for x in (real, synthetic))  # type: ignore[return-value]

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is kept between iterations."""
        return {}


def class_means(features: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
    """Mean feature of each part of a concatenated batch: [sum of len(parts), D] to [parts, D]."""
    return torch.stack([part.mean(0) for part in features.split([len(part) for part in parts])])
