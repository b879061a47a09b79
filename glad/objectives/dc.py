"""DC, gradient matching (Zhao, Mopuri & Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021), with the
siamese augmentation of DSA (Zhao & Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", ICML 2021).

Per class, the distance between the gradients that real and synthetic images give a network's weights. One iteration is
one update of the set; the network lives for ``outer`` of them and is trained on the set in between. DC is this without
augmentation. The released code differs in four ways: it sums all classes before it goes backward, it computes second
derivatives of the network's weights that nobody reads, it counts weights of three dimensions into the layerwise
distance, and it moves batch norm's running statistics a tenth of the way to those of the 16 real images per class.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from glad.microbatch import batch_norms, microbatch_size
from glad.objectives.gradient_distance import DISTANCES
from glad.settings.numbers import ABOVE_ZERO, SHARE

LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
"""Published (outer, inner) for pixels, by images per class."""

STATISTICS = 16
"""Real images per class behind the frozen statistics of batch norm."""


class DC:
    """Match, class by class, the gradients of a network that is trained on the synthetic images along the way.

    Args:
        real: ``real(c, n, rng)`` gives n real images of class c, normalized [n, C, H, W].
        network: ``network(rng)`` makes a fresh network, always of the same shape and on the images' device.
        augment: ``augment(images, rng, shared)``, a differentiable augmentation; the real and the synthetic images of a
            class get the same draw, in training each image gets its own.
        batch: Real images per class and iteration. Published are 256; why fewer do is told in docs/BENCHMARKS.md.
        outer: A fresh network every so many iterations. The published number for pixels if None; for an unpublished
            number of images per class that of the nearest smaller one.
        inner: Epochs of training the network before each of the other iterations; as ``outer`` if None.
        net_lr: Learning rate of the network's SGD.
        net_momentum: Momentum of the network's SGD.
        batch_syn: Synthetic images per batch of that training.
        distance: A name in ``glad.objectives.gradient_distance.DISTANCES``.
    """

    by_class: ClassVar[bool] = True
    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 0.1}
    options_for_codes: ClassVar[Mapping[str, int]] = {"outer": 1, "inner": 1}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        network: Callable[[torch.Generator], Any],
        augment: Callable[[Tensor, torch.Generator, bool], Tensor],
        batch: int = 64,
        outer: int | None = None,
        inner: int | None = None,
        net_lr: float = 1e-2,
        net_momentum: float = 0.0,
        batch_syn: int = 256,
        distance: str = "layers",
    ) -> None:
        for name, value, least in [("batch", batch, 1), ("outer", outer, 1), ("inner", inner, 0)]:
            if value is not None and value < least:
                raise ValueError(f"dc needs {name} to be at least {least}, not {value}")
        if batch_syn < 1:
            raise ValueError(f"dc needs batch_syn to be at least 1, not {batch_syn}")
        if net_lr not in ABOVE_ZERO or net_momentum not in SHARE:
            raise ValueError(f"dc needs net_lr > 0 and 0 <= net_momentum < 1, not {net_lr} and {net_momentum}")
        if distance not in DISTANCES:
            raise ValueError(f"dc has no distance {distance!r}; there are: {', '.join(DISTANCES)}")
        self.real, self.augment, self.batch, self.batch_syn = real, augment, batch, batch_syn
        self.outer, self.inner, self.net_lr, self.net_momentum = outer, inner, net_lr, net_momentum
        self._distance, self._fresh = DISTANCES[distance], network
        # These weights are never used: they hold the places that a fresh network or a saved state is copied to.
        self._network = network(torch.Generator()).requires_grad_(False)
        self._weights: dict[str, Tensor] = dict(self._network.named_parameters())
        self._momentum = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
        self._norms = batch_norms(self._network)
        for norm in self._norms:
            norm.momentum = None  # running statistics are then exactly those of what was seen since the last reset

    def prepare(self, images: Tensor, labels: Tensor, step: Any) -> None:
        """Draw the network anew, or train it on ``images`` as they are now, those of all classes."""
        outer, inner = self.loops(labels)
        if step.iteration % outer == 0:
            self._restart(step)
        else:
            self._train(images, labels, inner, step)
        self._freeze_statistics(labels.unique().tolist(), step, images.device)

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term per class, in the network that ``prepare`` has left."""
        for c in labels.unique().tolist():
            yield self._term(c, images[labels == c], step)

    def tensors(self) -> dict[str, Tensor]:
        """The half-trained network and the momentum of its training."""
        network = {f"network/{name}": weight for name, weight in self._weights.items()}
        return {**network, **{f"momentum/{name}": moment for name, moment in self._momentum.items()}}

    def loops(self, labels: Tensor) -> tuple[int, int]:
        """Updates of the set per network and epochs of training between them, for ``labels`` int64 [N]."""
        ipc = int(labels.bincount().max())
        outer, inner = LOOPS[max(known for known in LOOPS if known <= ipc)]
        return (outer if self.outer is None else self.outer), (inner if self.inner is None else self.inner)

    @torch.no_grad()
    def _restart(self, step: Any) -> None:
        fresh = dict(self._fresh(step.rng("network")).named_parameters())
        for name, weight in self._weights.items():
            weight.copy_(fresh[name])
            self._momentum[name].zero_()

    def _train(self, images: Tensor, labels: Tensor, epochs: int, step: Any) -> None:
        """SGD on the set as it is; the moments live as long as the network."""
        order, draws = step.rng("order"), step.rng("augment training")
        weights, moments = list(self._weights.values()), list(self._momentum.values())
        for norm in self._norms:
            norm.train()
        for _ in range(epochs):
            shuffled = torch.randperm(len(images), generator=order).to(images.device)
            for rows in shuffled.split(self.batch_syn):
                gradient = self._gradient(self.augment(images[rows], draws, False), labels[rows])
                torch._foreach_mul_(moments, self.net_momentum)
                torch._foreach_add_(moments, gradient)
                torch._foreach_add_(weights, moments, alpha=-self.net_lr)

    @torch.no_grad()
    def _freeze_statistics(self, classes: list[int], step: Any, device: torch.device) -> None:
        """Give batch norm the statistics of a few real images of every class, whichever images come after."""
        if not self._norms:
            return
        for norm in self._norms:
            norm.reset_running_stats()
            norm.train()
        count = min(STATISTICS, self.batch)
        self._network(torch.cat([self.real(c, count, step.rng(f"statistics {c}")) for c in classes]).to(device))
        for norm in self._norms:
            norm.eval()

    def _term(self, c: int, synthetic: Tensor, step: Any) -> Tensor:
        """Distance of the gradients of one class's real and synthetic images under one augmentation."""
        real = self.real(c, self.batch, step.rng(f"real {c}")).to(synthetic.device)
        real, synthetic = (self.augment(x, step.rng(f"augment {c}"), True) for x in (real, synthetic))
        target = [torch.zeros_like(weight) for weight in self._weights.values()]
        for part in real.split(microbatch_size(self._network, real.device, len(real))):
            torch._foreach_add_(target, self._gradient(part, _labels_like(c, part)), alpha=len(part) / len(real))
        seen = synthetic.detach().requires_grad_()
        leaves = self._leaves()
        loss = self._loss(leaves, seen, _labels_like(c, seen))
        gradient = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
        distance = self._distance(list(gradient), target)
        # The graph leads to the weights as well; asked for the images alone, autograd does nothing for them.
        (cotangent,) = torch.autograd.grad(distance, seen)
        return distance.detach() + (cotangent * (synthetic - seen.detach())).sum()  # the distance, with this gradient

    def _gradient(self, x: Tensor, labels: Tensor) -> list[Tensor]:
        """Gradient of the loss on x [n, C, H, W] in every weight, without a graph."""
        leaves = self._leaves()
        return list(torch.autograd.grad(self._loss(leaves, x, labels), list(leaves.values())))

    def _leaves(self) -> dict[str, Tensor]:
        return {name: weight.detach().requires_grad_() for name, weight in self._weights.items()}

    def _loss(self, weights: dict[str, Tensor], x: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(self._network, weights, (x,)), labels)


def _labels_like(c: int, x: Tensor) -> Tensor:
    """The label c for every image of x, int64 [n]."""
    return torch.full((len(x),), c, device=x.device)
