"""One step of training a generator against a discriminator, and the state that it changes.

Non-saturating loss (Goodfellow et al., NeurIPS 2014) with a lazy R1 penalty (Mescheder et al., ICML 2018; Karras et
al., CVPR 2020), on frozen features (Sauer et al., NeurIPS 2021), with classifier guidance (StyleGAN-XL, SIGGRAPH 2022),
differentiable augmentation of both sides (Zhao et al., NeurIPS 2020), class-balanced batches, and an exponential moving
average of the generator. Every draw is a function of the seed and the number of the step.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from generators import geometry
from generators.draws import normal
from generators.stylegan_xl import Generator, Mapping, Synthesis
from generators.training.discriminator import Discriminator, Features, initialize
from generators.training.settings import GROUP, TrainingSettings
from glad.data.augment import augment
from glad.data.dataset import DataError, ImageData
from glad.evaluation.protocol import cosine
from glad.rng import rng_for
from glad.runs.storage import optimizer_tensors, restore_optimizer, write_tensors

Z_DIM = 64
LEAST = 16  # pixels a side
R1_EVERY = 8  # steps
AVERAGE_HALF_LIFE = 5_000  # images
MAGNITUDE_HALF_LIFE = 20_000  # images
GUIDANCE_HALF_LIFE = 10_000  # images: a classifier's liking speeds up the start, and later makes all images typical
DIVERGED = 1e4  # a loss beyond it


class DivergedError(ArithmeticError):
    """A loss that is no number, or so large that training cannot come back."""


class Reals:
    """The training images as the networks see them: in [-1, 1], framed with black up to a power of two.

    Raises ``DataError`` for an odd number of pixels, which has no middle in that frame.
    """

    def __init__(self, data: ImageData, conditional: bool) -> None:
        self.data = data
        self.resolution = max(LEAST, 1 << (data.resolution - 1).bit_length())
        if (self.resolution - data.resolution) % 2:
            raise DataError(f"images of {data.resolution} pixels cannot be framed evenly: choose an even --resolution")
        self.frame = (self.resolution - data.resolution) // 2
        self.classes = len(data.classes) if conditional else 1
        everything = torch.arange(len(data))
        self.members = [data.of_class(c) for c in range(self.classes)] if conditional else [everything]

    def batch(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """``count`` images [N, C, R, R] and labels: groups of one class each, no class before all others had one."""
        order = torch.randperm(self.classes, generator=rng)
        labels = order[torch.arange(count // GROUP) % self.classes].repeat_interleave(GROUP)
        rows = [self.members[c][torch.randint(len(self.members[c]), [], generator=rng)] for c in labels.tolist()]
        return self.at(torch.stack(rows)), labels

    def at(self, indices: Tensor) -> Tensor:
        """The images of ``indices``, float32 [n, C, R, R]."""
        images = self.data.raw(indices).float() / 127.5 - 1
        return F.pad(images, [self.frame] * 4, value=-1.0).to(memory_format=torch.channels_last)


@dataclass
class Networks:
    """The networks and their optimizers."""

    generator: Generator
    average: Generator
    features: Features
    discriminator: Discriminator
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    step: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        tensors = {f"{part}/{name}": t for part, m in self._modules().items() for name, t in m.state_dict().items()}
        tensors |= optimizer_tensors(self.g_optimizer, "g_optimizer")
        return tensors | optimizer_tensors(self.d_optimizer, "d_optimizer")

    def _modules(self) -> dict[str, torch.nn.Module]:
        names = ("generator", "average", "features", "discriminator")
        return {name: getattr(self, name) for name in names}

    def save(self, path: Path, **metadata: str) -> None:
        """Write the state durably."""
        write_tensors(path, self.tensors(), step=str(self.step), **metadata)

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Continue from the ``tensors`` of another run, after its ``step``."""
        for part, module in self._modules().items():
            prefix = part + "/"
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        restore_optimizer(self.g_optimizer, tensors, "g_optimizer")
        restore_optimizer(self.d_optimizer, tensors, "d_optimizer")
        self.features.requires_grad_(False)
        self.step = step


def build_generator(reals: Reals, settings: TrainingSettings) -> Generator:
    """A fresh generator, with a code per class if it is conditional."""
    data, classes = reals.data, reals.classes if settings.conditional else 0
    specs = geometry.stem(reals.resolution, settings.layers, settings.channel_base, settings.channels, data.channels)
    beta = 0.5 ** (settings.batch / MAGNITUDE_HALF_LIFE)
    # Half precision is for files: nothing here runs in it, and so nothing needs the clamp.
    specs = [replace(spec, clamp=None, ema_beta=beta) for spec in specs]
    mapping = Mapping(len(specs) + 1, Z_DIM, classes, settings.w_dim, embedding=(max(classes, 1), Z_DIM))
    return Generator(mapping, Synthesis(specs, settings.w_dim)).initialize(rng_for(settings.seed, "generator"))


def start(reals: Reals, settings: TrainingSettings, device: str = "cpu") -> Networks:
    """Fresh networks and optimizers; the features are untrained."""
    generator, average = (build_generator(reals, settings).to(device) for _ in range(2))
    features = Features(reals.data.channels, reals.resolution, pretext_classes(reals))
    discriminator = Discriminator(features.widths, reals.classes)
    for name, module in (("features", features), ("discriminator", discriminator)):
        initialize(module, rng_for(settings.seed, name))
        module.to(device)
    return Networks(
        generator,
        average.requires_grad_(False),
        features,
        discriminator,
        torch.optim.Adam(generator.parameters(), lr=settings.learning_rate, betas=(0.0, 0.99)),
        torch.optim.Adam(discriminator.parameters(), lr=settings.discriminator_learning_rate, betas=(0.0, 0.99)),
    )


def pretext_classes(reals: Reals) -> int:
    """What the features learn to tell: the classes, or of unlabeled images by how many quarters they are turned."""
    return reals.classes if reals.classes > 1 else 4


def pretext(reals: Reals, images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augmented images and the labels that the features are trained on (rotations: Gidaris et al., ICLR 2018)."""
    if reals.classes == 1:
        labels = torch.randint(4, labels.shape, generator=rng)
        images = torch.stack(
            [image.rot90(int(quarters), (1, 2)) for image, quarters in zip(images, labels, strict=True)]
        )
    strategy = "crop_scale_flip" if reals.data.flip and reals.classes > 1 else "crop_scale"
    return augment(images + 1, rng, shared=False, strategy=strategy) - 1, labels  # black comes in from outside


def train_features(features: Features, reals: Reals, settings: TrainingSettings, steps: int) -> Iterator[float]:
    """Train the features in place for ``steps`` and freeze them; yields the loss of each step."""
    device = features.start.weight.device
    optimizer = torch.optim.AdamW(features.parameters(), weight_decay=0.01)
    for step in range(steps):
        rng = rng_for(settings.seed, "features", step)
        images, labels = pretext(reals, *reals.batch(settings.feature_batch, rng), rng)
        loss = F.cross_entropy(features.classify(features(images.to(device))), labels.to(device))
        optimizer.param_groups[0]["lr"] = 1e-3 * cosine(step, steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())
    features.requires_grad_(False)


def saturation(logits: list[Tensor], sign: int) -> Tensor:
    """The mean over heads and positions of softplus(sign * logit): how far the logits are from having that sign."""
    return torch.stack([F.softplus(sign * part).mean() for part in logits]).mean()


def discriminator_step(
    n: Networks, real: Tensor, fake: list[Tensor], labels: Tensor, settings: TrainingSettings
) -> dict[str, float]:
    """One update of the discriminator on ``real`` images and the features of fake ones."""
    penalized = n.step % R1_EVERY == 0 and settings.r1 > 0
    real = real.requires_grad_(penalized)
    on_real = n.discriminator(n.features(real), labels)
    loss = saturation(n.discriminator([part.detach() for part in fake], labels), 1) + saturation(on_real, -1)
    metrics, total = {"loss/discriminator": float(loss.detach())}, loss
    if penalized:
        score = torch.stack([part.mean(1).sum() for part in on_real]).mean()
        (slope,) = torch.autograd.grad(score, real, create_graph=True)
        penalty = slope.square().sum((1, 2, 3)).mean()
        total = loss + settings.r1 / 2 * R1_EVERY * penalty
        metrics["r1"] = float(penalty.detach())
    n.d_optimizer.zero_grad()
    total.backward()
    n.d_optimizer.step()
    return metrics


def generator_step(n: Networks, fake: list[Tensor], labels: Tensor, settings: TrainingSettings) -> dict[str, float]:
    """One update of the generator and of its average, against the discriminator as it is now."""
    n.discriminator.requires_grad_(False)
    loss = saturation(n.discriminator(fake, labels), -1)
    metrics, total = {"loss/generator": float(loss.detach())}, loss
    if settings.guidance and settings.conditional:
        confusion = F.cross_entropy(n.features.classify(fake), labels)
        total = loss + settings.guidance * 0.5 ** (n.step * settings.batch / GUIDANCE_HALF_LIFE) * confusion
        metrics["loss/guidance"] = float(confusion.detach())
    n.g_optimizer.zero_grad()
    total.backward()
    n.discriminator.requires_grad_(True)
    n.g_optimizer.step()
    images = (n.step + 1) * len(labels)
    keep = 0.5 ** (len(labels) / min(AVERAGE_HALF_LIFE, images * 0.1 + 1))
    for slow, fast in zip(n.average.state_dict().values(), n.generator.state_dict().values(), strict=True):
        slow.lerp_(fast, 1 - keep)
    return metrics


def train_step(n: Networks, reals: Reals, settings: TrainingSettings) -> dict[str, float]:
    """One step of both networks, on one rendering: the losses by name. Raises ``DivergedError``."""
    rng = rng_for(settings.seed, "train", n.step)
    draws = (*reals.batch(settings.batch, rng), normal([settings.batch, Z_DIM], rng))
    real, labels, z = (tensor.to(n.generator.mapping.w_avg.device) for tensor in draws)
    fake = n.generator(z, labels if settings.conditional else None, update_emas=True)
    same = ("augment", n.step)  # one transform, with parameters of their own, for both
    real, fake = (
        augment(images + 1, rng_for(settings.seed, *same), shared=False, strategy=settings.augment) - 1
        for images in (real, fake)
    )
    maps = n.features(fake)
    metrics = discriminator_step(n, real, maps, labels, settings) | generator_step(n, maps, labels, settings)
    if not all(math.isfinite(value) and abs(value) < DIVERGED for value in metrics.values()):
        stated = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        raise DivergedError(f"training diverged at step {n.step} ({stated})")
    n.step += 1
    return metrics
