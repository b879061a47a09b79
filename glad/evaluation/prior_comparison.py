"""Which prior suits a data set: the first decision of a pilot, from measurements beside real images.

Distances between sets of images are those of the features of a ConvNet trained on the data, so that they compare priors
on one data set; they are no published FIDs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glad.data.dataset import ImageData, Splits
from glad.evaluation import Protocol, accuracy, train_network
from glad.metrics import NEIGHBORS, frechet, precision_recall
from glad.networks import Network, make_network
from glad.networks.factory import shape_for
from glad.priors.base import Prior
from glad.priors.description import PriorDescription
from glad.priors.inversion import invert
from glad.rng import rng_for
from glad.settings.compare import CompareSizes
from glad.synthetic_set import SyntheticSet

LR, BATCH = 1e-2, 64
STAGE = "compare priors"  # of all random draws


@dataclass(frozen=True)
class ComparisonSetup:
    """What all priors are measured with: a network trained on the data, and real images with their features."""

    data: Splits
    network: Network
    real: Tensor
    """Indices of real training images, int64 [n]."""
    features: Tensor
    """Theirs, float32 [n, D]."""
    targets: Tensor
    """Validation images to be inverted, normalized [m, C, H, W], and their labels."""
    labels: Tensor
    real_distances: Mapping[str, float]
    """Distances of other real images, in place of samples: the best that there is."""
    validation_accuracy: float
    """Validation accuracy of the network."""
    sizes: CompareSizes
    device: torch.device


def prepare_comparison(data: Splits, sizes: CompareSizes, device: torch.device, seed: int = 0) -> ComparisonSetup:
    """Train the network on real images and take theirs as the measure; ``ValueError`` where there are too few."""
    train, validation = data.train, data.validation
    order = torch.randperm(len(train), generator=rng_for(seed, STAGE, "real"))
    first, second = order[: sizes.images], order[sizes.images : 2 * sizes.images]
    if len(second) <= NEIGHBORS or len(train.classes) < 2:
        raise ValueError(
            f"{train.name} has {len(train)} training images of {len(train.classes)} classes: comparing {sizes.images} "
            f"takes two classes and more than {sizes.images + NEIGHBORS} images (fewer with --images)"
        )
    network = _train(train, train.batch(first), train.labels[first], sizes, device, "features", seed)
    reals, others = (embed(network, train.batch(index), device) for index in (first, second))
    chosen = torch.randperm(len(validation), generator=rng_for(seed, STAGE, "targets"))[: sizes.inverted]
    return ComparisonSetup(
        data=data,
        network=network,
        real=first,
        features=reals,
        targets=validation.batch(chosen),
        labels=validation.labels[chosen],
        real_distances=distances(others, reals),
        validation_accuracy=accuracy(network, validation.tensor().to(device), validation.labels.to(device)),
        sizes=sizes,
        device=device,
    )


def _train(
    data: ImageData, images: Tensor, labels: Tensor, sizes: CompareSizes, device: torch.device, purpose: str, seed: int
) -> Network:
    """A ConvNet after its training on normalized images [n, C, H, W]."""
    key = (seed, STAGE, purpose)
    rng, shape = rng_for(*key), shape_for(data)
    network = make_network("convnet", rng=rng, norm="instance", width=sizes.width, **shape).to(device)
    protocol = Protocol(epochs=sizes.epochs, batch=BATCH, augmentation="flip" if data.flip else "none")
    train_network(network, images.to(device), labels.to(device), key=key, learning_rate=LR, protocol=protocol)
    return network.eval()


@torch.no_grad()
def embed(network: Network, images: Tensor, device: torch.device) -> Tensor:
    """Features float32 [n, D], on the CPU, of normalized images [n, C, H, W]."""
    return torch.cat([network.embed(part.to(device)).cpu() for part in images.split(250)])


def distances(features: Tensor, real: Tensor) -> dict[str, float]:
    """Fréchet distance, precision and recall of ``features`` [N, D] against those of ``real`` images."""
    precision, recall = precision_recall(features, real)
    return {"frechet": frechet(features, real), "precision": precision, "recall": recall}


def measure_prior(
    setup: ComparisonSetup, prior: Prior, matched: bool, on_part: Callable[[str], None], seed: int = 0
) -> dict[str, Any]:
    """What ``prior`` is worth for the data; ``matched`` says whether its classes are those of the data.

    Numbers: ``frechet``, ``precision``, ``recall`` of its samples; ``psnr`` (dB, of pixels in [0, 1]) and
    ``feature_error`` (relative squared) of inverted validation images; ``accuracy`` on validation images of a network
    trained on samples, None where classes do not match; ``bytes`` of latents per image. Tensors: ``samples`` and
    ``inverted`` pixels. Of a row of several images the first is taken.
    """
    train, sizes = setup.data.train, setup.sizes
    labels = train.labels[setup.real]
    on_part("samples")
    samples = sample_images(prior, labels, sizes.chunk, setup.device, seed)
    found: dict[str, Any] = distances(embed(setup.network, samples, setup.device), setup.features)
    description = PriorDescription(prior)
    found["bytes"] = 4 * description.floats_per_row // description.images_per_row
    found["samples"] = train.pixels(samples[:: max(1, len(samples) // len(setup.targets))][: len(setup.targets)])
    on_part("inversion")
    found |= _measure_inversion(setup, prior, seed)
    found["accuracy"] = None
    if matched:
        on_part("training on samples")
        network = _train(train, samples, labels, sizes, setup.device, "samples", seed)
        tested = setup.data.validation
        found["accuracy"] = accuracy(network, tested.tensor().to(setup.device), tested.labels.to(setup.device))
    return found


@torch.no_grad()
def sample_images(prior: Prior, labels: Tensor, chunk: int, device: torch.device, seed: int = 0) -> Tensor:
    """Normalized images of fresh latents of ``labels`` (int64 [n]), on the CPU."""
    rng, each, parts = rng_for(seed, STAGE, "samples"), PriorDescription(prior).images_per_row, []
    for part in labels.split(50):
        latents = {name: tensor.to(device) for name, tensor in prior.init(part, rng).items()}
        parts.append(SyntheticSet(prior, latents, part.repeat_interleave(each), chunk).images()[::each].cpu())
    return torch.cat(parts)


def _measure_inversion(setup: ComparisonSetup, prior: Prior, seed: int) -> dict[str, Any]:
    """How near inversion comes to the targets, in pixels and in features."""
    train, each = setup.data.train, PriorDescription(prior).images_per_row
    encode = PriorDescription(prior).encode
    aims = setup.targets.to(setup.device).repeat_interleave(each, 0)
    if encode is not None:
        with torch.no_grad():
            images = prior(**encode(aims))[::each].cpu()
    else:
        start = prior.init(setup.labels, rng_for(seed, STAGE, "inversion"))
        moved = {name: tensor.to(setup.device) for name, tensor in start.items()}
        latents = invert(prior, moved, aims, setup.sizes.steps, setup.network.embed, setup.sizes.chunk)
        with torch.no_grad():
            labels = setup.labels.repeat_interleave(each)
            images = SyntheticSet(prior, latents, labels, setup.sizes.chunk).images()[::each].cpu()
    ours, theirs = train.pixels(images), train.pixels(setup.targets)
    error = (ours - theirs).square().flatten(1).mean(1).clamp(min=1e-10)
    seen, aimed = (embed(setup.network, part, setup.device) for part in (images, setup.targets))
    relative = (seen - aimed).square().sum(1) / aimed.square().sum(1).clamp(min=1e-12)
    return {
        "psnr": float((-10 * error.log10()).mean()),
        "feature_error": float(relative.mean()),
        "inverted": ours,
    }
