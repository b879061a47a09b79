"""What ``generators.training.measure`` measures of a generator, each beside the real images it was trained on."""

import itertools
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generators import weights
from generators.prior import StyleGANPrior
from generators.training.held_out import training_images
from generators.training.pictures import nearest_rows, render
from generators.training.progress import Progress
from glad.data.dataset import ImageData, Splits
from glad.evaluation import Protocol, accuracy, evaluate_sets, train_network
from glad.metrics import NEIGHBORS, diversity, nearest
from glad.networks import Network, make_network
from glad.networks.factory import shape_for
from glad.rng import rng_for
from glad.runs.image_grid import save_png, sheet

SEED = 0  # of every draw but the networks of the classification accuracy score
BATCH, LR = 64, 1e-2
SPREAD = 200  # images of a class behind its diversity
COPIES = 100  # samples whose nearest training image is looked up
TIMED = 100  # images rendered at once for the speed


@dataclass(frozen=True)
class MeasuredGenerator:
    """A generator, whose prior gives pixels in [0, 1], and real images: its training data, and two unseen parts."""

    path: Path
    metadata: dict[str, str]
    prior: StyleGANPrior
    train: ImageData
    validation: ImageData
    tested: ImageData

    @property
    def conditional(self) -> bool:
        """Whether samples have a class."""
        return bool(self.prior.generator.mapping.c_dim)

    @property
    def groups(self) -> tuple[str, ...]:
        """The classes that samples can be asked for."""
        return self.train.classes if self.conditional else ("all images",)

    def spread_labels(self, n: int) -> Tensor:
        """Labels int64 [n], in order, as many of each class as of any other, up to one."""
        return (torch.arange(n) % len(self.groups)).sort().values

    def in_groups(self, labels: Tensor) -> Tensor:
        """The position in ``groups`` of images of the data's classes ``labels``."""
        return labels if self.conditional else torch.zeros_like(labels)


@dataclass(frozen=True)
class Images:
    """What is compared, uint8 [N, C, H, W]: real images, as many others, and samples; ``labels`` are those of each."""

    real: Tensor
    other: Tensor
    generated: Tensor
    labels: Tensor


def load_measured(name: str, splits: Splits, split: str) -> MeasuredGenerator:
    """Load weights; ``ValueError`` where they cannot be used, or not with these data."""
    path = weights.EMBEDDED.get(name, Path(name))
    generator, metadata = weights.load(path)
    if len(splits.train.classes) < 2:
        raise ValueError(
            f"{splits.train.name} has one class only: features come from a classifier of at least two classes"
        )
    train = training_images(splits)
    frame = int(metadata.get("frame", 0))
    prior = StyleGANPrior(generator, lambda x: x, train.resolution, train.channels, train.class_ids, frame=frame)
    return MeasuredGenerator(path, metadata, prior, train, splits.validation, getattr(splits, split))


def disjoint_halves(data: ImageData, n: int) -> tuple[Tensor, Tensor]:
    """Indices of two disjoint draws of ``n`` images with equal labels: every class alike, as far as it has images."""
    share = n // len(data.classes)
    halves: tuple[list[Tensor], list[Tensor]] = ([], [])
    for c in range(len(data.classes)):
        members = data.of_class(c)
        members = members[torch.randperm(len(members), generator=rng_for(SEED, "measure", "real", c))]
        size = min(share, len(members) // 2)
        halves[0].append(members[:size])
        halves[1].append(members[size : 2 * size])
    if sum(map(len, halves[0])) <= NEIGHBORS or not share:
        raise ValueError(f"{n} images of {len(data.classes)} classes are too few to compare: use more (--images)")
    return torch.cat(halves[0]), torch.cat(halves[1])


def draw_images(measured: MeasuredGenerator, n: int) -> Images:
    """Two disjoint sets of real images, and samples of the same classes."""
    first, second = disjoint_halves(measured.train, n)
    labels = measured.train.labels[first]
    generated = render(measured.prior, measured.in_groups(labels), rng_for(SEED, "measure", "generated"))
    return Images(measured.train.raw(first), measured.train.raw(second), generated, labels)


def to_network_input(data: ImageData, images: Tensor) -> Tensor:
    """Images uint8 [N, C, H, W] as networks see them."""
    return data.normalize(images.float() / 255)


def protocol_for(data: ImageData, epochs: int) -> Protocol:
    """How every network here is trained: mirrored at random where that keeps the class."""
    return Protocol(epochs=epochs, learning_rate_seen=LR, batch=BATCH, augmentation="flip" if data.flip else "none")


def classification(
    measured: MeasuredGenerator, images: Images, seeds: int, epochs: int, width: int, progress: Progress
) -> dict[str, Any]:
    """The classification accuracy score (Ravuri & Vinyals, NeurIPS 2019), and that of as many real images.

    ConvNets learn from the samples and from real images alike, and are tested on real images that neither they nor
    the generator saw. Both sets are fixed: the deviation is that of the training seed.
    """
    data, tested = measured.train, measured.tested
    sets = {kind: (to_network_input(data, getattr(images, kind)), images.labels) for kind in ("generated", "real")}
    total, done = len(sets) * seeds, itertools.count(1)
    progress.say(f"Training {total} networks, {epochs} epochs of {len(images.labels)} images")
    results = evaluate_sets(
        sets,
        (tested.tensor(), tested.labels),
        networks=["convnet"],
        seen="convnet",
        seeds=range(seeds),
        classes=len(data.classes),
        protocol=protocol_for(data, epochs),
        network_options={"convnet": {"width": width}},
        on_cell=lambda cell: progress.advance(
            "training", next(done), total, f"{cell['row']}: {100 * cell['accuracy']:.1f} %"
        ),
    )
    scores = {}
    for kind in sets:
        columns = zip(*(cell["per_class"] for cell in results["cells"] if cell["row"] == kind), strict=True)
        per_class = [None if None in column else statistics.fmean(column) for column in columns]
        scores[kind] = {**results["summary"][kind]["seen"], "per_class": per_class}
    return {**scores, "protocol": results["protocol"], "cells": results["cells"]}


def make_extractor(data: ImageData, width: int) -> Network:
    """A fresh ConvNet for features of ``data``."""
    rng = rng_for(SEED, "measure", "features")
    return make_network("convnet", rng=rng, norm="instance", width=width, **shape_for(data))


def train_extractor(network: Network, measured: MeasuredGenerator, epochs: int, progress: Progress) -> float:
    """Train ``network`` on all real training images; its accuracy on the validation images."""
    data = measured.train
    progress.say(f"Training the feature network, {epochs} epochs of {len(data)} images")
    train_network(
        network,
        data.tensor(),
        data.labels,
        key=(SEED, "measure", "features"),
        learning_rate=LR,
        protocol=protocol_for(data, epochs),
        on_epoch=lambda epoch, loss: progress.advance("epoch", epoch + 1, epochs, f"loss {loss:.3f}"),
    )
    network.eval()
    return accuracy(network, measured.validation.tensor(), measured.validation.labels)


@torch.no_grad()
def embed(network: Network, data: ImageData, images: Tensor) -> Tensor:
    """Features [N, D] of images uint8 [N, C, H, W]."""
    return torch.cat([network.embed(to_network_input(data, part)) for part in images.split(500)])


def diversities(generated: Tensor, real: Tensor, labels: Tensor, groups: int) -> dict[str, Any]:
    """Mean feature distance between two samples of a class over that of two real images of it, by class."""
    members = [(labels == c).nonzero().flatten()[:SPREAD] for c in range(groups)]
    ratios = [diversity(generated[index], real[index]) for index in members]
    known = [ratio for ratio in ratios if ratio is not None]
    return {"per_class": ratios, "mean": statistics.fmean(known) if known else None, "images": list(map(len, members))}


def copies(measured: MeasuredGenerator, out: Path) -> dict[str, Any]:
    """How near samples come to the training images, beside unseen real images; ``nearest.png`` shows the pairs."""
    validation, pool = measured.validation, measured.train.raw(torch.arange(len(measured.train)))
    labels = measured.spread_labels(COPIES)
    samples = render(measured.prior, labels, rng_for(SEED, "measure", "copies"))
    unseen = torch.randperm(len(validation), generator=rng_for(SEED, "measure", "unseen"))[:COPIES]
    ours, where = nearest(samples, pool)
    theirs, _ = nearest(validation.raw(unseen), pool)
    save_png(sheet(nearest_rows(samples, labels, pool[where], ours, measured.groups)), out / "nearest.png")
    limit = theirs.quantile(0.01)
    return {
        "generated": {"images": len(ours), "median": ours.quantile(0.5).item(), "minimum": ours.min().item()},
        "validation": {"images": len(theirs), "median": theirs.quantile(0.5).item(), "minimum": theirs.min().item()},
        "first_percentile": limit.item(),
        "share_closer": (ours < limit).double().mean().item(),
    }


def speed(measured: MeasuredGenerator) -> dict[str, Any]:
    """Seconds for a batch of images and the gradient of their codes in W+: the median of three after a warm-up."""
    codes = measured.prior.init(measured.spread_labels(TIMED), rng_for(SEED, "measure", "speed"))["w"]
    seconds = []
    for _ in range(4):
        leaf = codes.clone().requires_grad_()
        began = time.perf_counter()
        measured.prior(leaf).square().mean().backward()
        seconds.append(time.perf_counter() - began)
    return {"seconds": statistics.median(seconds[1:]), "images": TIMED, "threads": torch.get_num_threads()}
