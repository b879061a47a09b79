"""NCFM (Wang et al., "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective", CVPR 2025).

Two distributions are equal where their characteristic functions are, so their distance is measured at frequencies. A
small network proposes those at which it is largest, by gradient reversal, while the images make it small. The released
code takes features from networks that were trained on the real data before; these are fresh in every iteration.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from glad.rng import normal

NOISE, HIDDEN = 32, 64  # numbers in and inside the network that proposes frequencies
TINY = 1e-8  # under roots, whose slope at zero is not finite


class NCFM:
    """Match the characteristic functions of features, class by class.

    Args:
        real: ``real(c, n, rng)`` gives n real images of class c, normalized [n, C, H, W].
        network: ``network(rng)`` makes a fresh network with ``embed``.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation; the real and the synthetic images of a
            class get the same draw.
        batch: Real images per class and iteration.
        frequencies: Frequencies per class and iteration.
        phase: Weight of the phases against that of the amplitudes, in [0, 1].
    """

    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 1.0, "sampler": 1e-2}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        network: Callable[[torch.Generator], Any],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        batch: int = 256,
        frequencies: int = 256,
        phase: float = 0.5,
    ) -> None:
        if min(batch, frequencies) < 1 or not 0 <= phase <= 1:
            given = f"{batch}, {frequencies} and {phase}"
            raise ValueError(f"ncfm needs batch and frequencies of at least 1 and phase in [0, 1], not {given}")
        self.real, self.network, self.augment = real, network, augment
        self.batch, self.frequencies, self.phase = batch, frequencies, phase
        fixed = torch.Generator().manual_seed(0)
        classifier = network(fixed).classifier
        first, second = (HIDDEN, NOISE), (classifier.in_features, HIDDEN)
        drawn = [normal(size, fixed) / size[1] ** 0.5 for size in (first, second)]
        self._sampler = [weight.to(classifier.weight.device).requires_grad_() for weight in drawn]

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term per class."""
        network = self.network(step.rng("network")).requires_grad_(False)
        for c in labels.unique().tolist():
            real = self.real(c, self.batch, step.rng(f"real {c}")).to(images.device)
            real, synthetic = (self.augment(x, step.rng(f"augment {c}"), True) for x in (real, images[labels == c]))
            with torch.no_grad():
                target = network.embed(real)
                center, deviation = target.mean(0), target.std(0, correction=0).norm() + TINY
            at = self._propose(step.rng(f"frequencies {c}")).to(images)
            ours, theirs = ((x - center) / deviation for x in (network.embed(synthetic), target))
            yield discrepancy(ours, theirs, at, self.phase)

    def _propose(self, rng: torch.Generator) -> Tensor:
        """Frequencies [frequencies, D], through which gradients arrive reversed."""
        noise = normal([self.frequencies, NOISE], rng).to(self._sampler[0].device)
        return _Reversed.apply(torch.tanh(noise @ self._sampler[0].t()) @ self._sampler[1].t())

    def tensors(self) -> dict[str, Tensor]:
        """The weights of the network that proposes frequencies, which learns against the images."""
        return {f"sampler/{i}": weight for i, weight in enumerate(self._sampler)}


def discrepancy(x: Tensor, y: Tensor, at: Tensor, phase: float) -> Tensor:
    """The mean distance of two characteristic functions, of rows x [N, D] and y [M, D], at frequencies ``at`` [K, D].

    Squared, it is that of the amplitudes and of the phases, weighted by 1 - ``phase`` and ``phase``, times two: at one
    half it is |E exp(i<t, x>) - E exp(i<t, y>)|^2.
    """
    (a, b), (c, d) = (((z @ at.t()).cos().mean(0), (z @ at.t()).sin().mean(0)) for z in (x, y))
    ours, theirs = (a.square() + b.square() + TINY).sqrt(), (c.square() + d.square() + TINY).sqrt()
    amplitudes, phases = (ours - theirs).square(), 2 * (ours * theirs - a * c - b * d)
    return (2 * ((1 - phase) * amplitudes + phase * phases).clamp(min=0) + TINY).sqrt().mean()


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient has the opposite sign."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient
