"""What ``bench_objectives`` measures ours against: the published algorithms written down plainly, and a floor.

Each transcription does the work of a published step in the usual PyTorch: contiguous images and weights, all real
images as normalized float32 in memory, one class after the other, one graph over everything, one backward at its end
with the derivatives of weights that nobody reads. The matching algorithms have the form of ours, ``terms``, with their
one loss as the one term. Their random draws are those that ours take, so that both compute the same numbers. The
augmentation is ours on both sides: torch's own sampling has no second derivative on a CPU.

The floor is the least arithmetic of a step, ``Flops``, at the rate of a large matrix product.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from glad.data.augment import augment
from glad.data.dataset import ImageData
from glad.networks import Network
from glad.objectives.base import Step
from glad.rng import rng_for

Fresh = Callable[[torch.Generator], Network]
"""A network with weights drawn from the generator."""


class PlainNormReLUPool(nn.GroupNorm):
    """What follows a convolution, by torch's own operators."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, H // 2, W // 2]."""
        return F.avg_pool2d(F.relu(super().forward(x)), 2)


def in_plain_torch(network: Network) -> Network:
    """A ConvNet in place whose blocks are torch's own operators, with the same parameters."""
    for block in network.blocks:
        assert isinstance(block, nn.Sequential) and isinstance(block[1], nn.GroupNorm)
        plain = PlainNormReLUPool(block[1].num_groups, block[1].num_channels)
        plain.weight, plain.bias = block[1].weight, block[1].bias
        block[1] = plain
        block[0] = _plain_convolution(block[0])
    return network


def _plain_convolution(module: nn.Module) -> nn.Conv2d:
    """Torch's convolution with the parameters of ``module``."""
    assert isinstance(module, nn.Conv2d) and isinstance(module.padding, tuple)
    plain = nn.Conv2d(module.in_channels, module.out_channels, 3, padding=module.padding[0])
    plain.weight, plain.bias = module.weight, module.bias
    return plain


class RealImages:
    """All images, normalized once, and the positions of every class's."""

    def __init__(self, data: ImageData) -> None:
        self.images, self.positions = data.tensor(), [data.of_class(c) for c in range(len(data.classes))]

    def __call__(self, c: int, n: int, rng: torch.Generator) -> Tensor:
        """``n`` distinct images of class ``c``."""
        shuffled = torch.randperm(len(self.positions[c]), generator=rng)
        return self.images[self.positions[c][shuffled[:n]]]


@dataclass(frozen=True)
class _ByClass:
    """Matching real and synthetic images class by class, under one augmentation for both."""

    real: Callable[[int, int, torch.Generator], Tensor]
    network: Fresh
    batch: int

    def pairs(self, images: Tensor, labels: Tensor, step: Step) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Each class with its real and its synthetic images, augmented."""
        for c in labels.unique().tolist():
            real = self.real(c, self.batch, step.rng(f"real {c}"))
            real, synthetic = (augment(x, step.rng(f"augment {c}"), True) for x in (real, images[labels == c]))
            yield c, real, synthetic


class PlainDM(_ByClass):
    """Distribution matching: the distances of the classes' mean features, summed."""

    def terms(self, images: Tensor, labels: Tensor, step: Step) -> Iterator[Tensor]:
        """The one loss."""
        network = self.network(step.rng("network")).requires_grad_(False)
        loss = torch.zeros(())
        for _, real, synthetic in self.pairs(images, labels, step):
            target, found = network.embed(real).detach(), network.embed(synthetic)
            loss = loss + (target.mean(0) - found.mean(0)).square().sum()
        yield loss


class PlainDC(_ByClass):
    """Gradient matching with a network that is not trained: the layerwise distances of the classes, summed."""

    def terms(self, images: Tensor, labels: Tensor, step: Step) -> Iterator[Tensor]:
        """The one loss."""
        network = self.network(step.rng("network"))
        weights = list(network.parameters())
        loss = torch.zeros(())
        for c, real, synthetic in self.pairs(images, labels, step):
            of_real = F.cross_entropy(network(real), torch.full((len(real),), c))
            target = [part.detach().clone() for part in torch.autograd.grad(of_real, weights)]
            of_synthetic = F.cross_entropy(network(synthetic), torch.full((len(synthetic),), c))
            gradient = torch.autograd.grad(of_synthetic, weights, create_graph=True)
            loss = loss + layers_apart(gradient, target)
        yield loss


def layers_apart(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """One minus the cosine of every output row of every matrix and convolution, summed."""
    total = torch.zeros(())
    for x, y in zip(a, b, strict=True):
        if x.ndim == 1:
            continue
        x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
        lengths = torch.norm(x, dim=-1) * torch.norm(y, dim=-1) + 1e-6
        total = total + torch.sum(1 - torch.sum(x * y, dim=-1) / lengths)
    return total


@dataclass(frozen=True)
class PlainMTT:
    """Trajectory matching: the graph of all the student's steps, each on all images, its parameters one vector."""

    start: Tensor
    end: Tensor
    network: Fresh
    steps: int
    alpha: Tensor

    def terms(self, images: Tensor, labels: Tensor, step: Step) -> Iterator[Tensor]:
        """The one loss."""
        network = self.network(step.rng("network"))
        parameters = self.start.clone().requires_grad_()
        for number in range(self.steps):
            order = torch.randperm(len(images), generator=step.rng(f"order {number}"))
            seen = augment(images[order], step.rng(f"augment {number}"), False)
            loss = F.cross_entropy(functional_call(network, _named(network, parameters), (seen,)), labels[order])
            (gradient,) = torch.autograd.grad(loss, parameters, create_graph=True)
            parameters = parameters - self.alpha * gradient
        yield F.mse_loss(parameters, self.end, reduction="sum") / F.mse_loss(self.start, self.end, reduction="sum")


def _named(network: nn.Module, vector: Tensor) -> dict[str, Tensor]:
    """The parameters in ``vector`` [P] by name."""
    named, first = {}, 0
    for name, parameter in network.named_parameters():
        named[name] = vector[first : first + parameter.numel()].view(parameter.shape)
        first += parameter.numel()
    return named


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    order: Sequence[Tensor],
    draws: torch.Generator,
) -> tuple[float, list[Tensor]]:
    """One pass over normalized ``images`` in batches of positions: the mean loss, and a snapshot of the parameters.

    Loss and accuracy are counted batch by batch, as published; the published evaluation after the epoch is left out.
    """
    total, right = 0.0, 0
    for positions in order:
        seen, wanted = augment(images[positions], draws, False), labels[positions]
        logits = network(seen)
        loss = F.cross_entropy(logits, wanted)
        right += int((logits.argmax(1) == wanted).sum())
        total += loss.item() * len(positions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return total / len(images), [parameter.detach().cpu().clone() for parameter in network.parameters()]


def save_expert(network: nn.Module, rows: Tensor, path: Path) -> None:
    """Write a file of one expert, whose parameters after each epoch are a row [epochs + 1, P]."""
    trajectory = [[part.clone() for part in _named(network, row).values()] for row in rows]
    torch.save([trajectory], path)


def read_pair(path: Path, start: int, end: int) -> tuple[Tensor, Tensor]:
    """The parameters of the first expert of a file after two epochs, each in one vector [P]; all of it is read."""
    trajectory = torch.load(path, weights_only=True)[0]
    first, second = (torch.cat([parameter.reshape(-1) for parameter in trajectory[i]]) for i in (start, end))
    return first, second


@dataclass(frozen=True)
class Flops:
    """Twice the multiplications of one image's way through a ConvNet: f in all, i of them in the first convolution.

    The least that a step takes per image, nothing going to pixels or weights where no derivative is asked for:

    - features of a real image (DM): e = f - classifier; of a synthetic one, with those of the images: 2 e.
    - the weights' gradient (DC's real images, an expert's): forward f, to the weights f, between layers f - i.
    - from that gradient back to the images (DC's synthetic ones): of every convolution the derivatives of its output
      and of its weights' gradient in the input, and of that gradient and of its input's in the output: 4 f - i.
    - to images and parameters (a student's step): of output and input's gradient in the weights too, 6 f - 2 i. The
      first step's parameters ask for none: 2 f - i less.
    """

    every: int
    first: int
    classifier: int

    @classmethod
    def of(cls, network: Network, side: int) -> "Flops":
        """Those of a ConvNet on images of ``side`` pixels, which every block halves."""
        counts = []
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                counts.append(2 * module.weight.numel() * side**2)
                side //= 2
        classifier = 2 * network.classifier.weight.numel()
        return cls(sum(counts) + classifier, counts[0], classifier)

    @property
    def weights(self) -> int:
        """Of the weights' gradient."""
        return 3 * self.every - self.first

    def matching_features(self, real: int, synthetic: int) -> int:
        """Of DM with so many images in all."""
        return (self.every - self.classifier) * (real + 2 * synthetic)

    def matching_gradients(self, real: int, synthetic: int) -> int:
        """Of DC with so many images in all."""
        return self.weights * (real + synthetic) + (4 * self.every - self.first) * synthetic

    def matching_trajectories(self, images: int, steps: int) -> int:
        """Of MTT with so many images in each step."""
        once = self.weights + 6 * self.every - 2 * self.first
        return images * (steps * once - (2 * self.every - self.first))


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fastest(call: Callable[[], object]) -> float:
    """The least seconds of some calls."""
    return min(timed(call) for _ in range(7))


def matmul_rate(side: int = 2048) -> float:
    """Operations per second of a large matrix product in float32."""
    a = torch.randn(side, side, generator=rng_for("bench", "matmul"))
    out = torch.empty_like(a)
    return 2 * side**3 / fastest(lambda: torch.mm(a, a, out=out))
