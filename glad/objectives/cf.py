"""Characteristic functions of features in fresh networks, at frequencies that an adversary learns.

Two distributions are equal where their characteristic functions are, so their distance is measured at frequencies. A
small network proposes those at which it is largest, by gradient reversal, while the images make it small. The idea is
that of NCFM (Wang et al., CVPR 2025), which differs in all else: its networks are trained on the real data before, its
features have length 1, and its images are to be classified rightly (``glad.objectives.ncfm``).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from glad.rng import normal

NOISE, HIDDEN = 32, 64  # numbers in and inside the network that proposes frequencies
TINY = 1e-12  # under roots, whose slope at zero is not finite


class CF:
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

    by_class: ClassVar[bool] = True
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
            raise ValueError(f"cf needs batch and frequencies of at least 1 and phase in [0, 1], not {given}")
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

    It is the root of twice what ``squared_gaps`` gives: at a ``phase`` of one half |E exp(i<t, x>) - E exp(i<t, y>)|.
    """
    return (2 * squared_gaps(x, y, at, phase) + TINY).sqrt().mean()


def squared_gaps(x: Tensor, y: Tensor, at: Tensor, phase: float) -> Tensor:
    """Squared gaps, [K], between characteristic functions of rows x [N, D] and y [M, D] at frequencies ``at`` [K, D].

    With p = E exp(i<t, x>) and q = E exp(i<t, y>): 1 - ``phase`` times that of the amplitudes, (|p| - |q|)^2, plus
    ``phase`` times that of the phases, 2 |p| |q| (1 - cos of the angle between them). Their sum is |p - q|^2.
    """
    (a, b), (c, d) = ((angles.cos().mean(0), angles.sin().mean(0)) for angles in (x @ at.t(), y @ at.t()))
    whole = (a - c).square() + (b - d).square()
    ours, theirs = (a.square() + b.square() + TINY).sqrt(), (c.square() + d.square() + TINY).sqrt()
    return (phase * whole + (1 - 2 * phase) * (ours - theirs).square()).clamp(min=0)


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient has the opposite sign."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient
