"""Networks trained from scratch on a set of images, and their test accuracy after the last epoch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cuda_ops.conv3x3 import used_convolutions
from glad.data.augment import augment
from glad.data.balance import balanced_order
from glad.data.coresets import Labeled
from glad.evaluation.protocol import SCHEDULES, Protocol
from glad.evaluation.summary import Cell, macro_accuracy, summarize
from glad.networks import make_network
from glad.networks.libraries import library_version
from glad.rng import rng_for

TESTED = 128  # images in a forward pass of a test: of 512 the feature maps leave a CPU's cache


@dataclass(frozen=True)
class Job:
    """One training: of ``network`` on the images of the row with the id ``row``, with all else that decides on it."""

    row: str
    network: str
    seed: int
    learning_rate: float
    """The peak."""
    protocol: Protocol
    options: Mapping[str, int] = field(default_factory=dict)
    """Of the network."""
    stream: str = ""
    """What the random draws are keyed by in place of the row."""
    label: str = ""
    """What people call the row."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells cells of the same settings apart."""
        return self.row, self.network, self.seed

    @property
    def rng_key(self) -> tuple[int | str, ...]:
        """The key of the training's random streams."""
        return self.seed, "evaluate", self.network, self.stream or self.row

    def __str__(self) -> str:
        return f"{self.label or self.row}, {self.network}, seed {self.seed}"


def decay_after(updates: int, limit: float = 0.995) -> float:
    """Return how much of the average stays after ``updates`` earlier ones: a plain mean at first, then ``limit``."""
    return min(limit, 1 - 1 / (1 + updates))


def train_network(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    key: Sequence[int | str],
    learning_rate: float,
    protocol: Protocol,
    on_epoch: Callable[[int, Tensor], None] | None = None,
    on_update: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train ``network`` in place and return it with its averaged weights.

    Args:
        network: On the device of the images.
        images: Normalized, float32 [N, C, H, W].
        labels: Classes, int64 [N], or distributions, float32 [N, classes].
        key: Of the random streams. Epoch ``e`` draws its order and its augmentation from ``rng_for(*key, e, purpose)``
            and nothing else.
        learning_rate: The peak of the protocol's schedule.
        protocol: All other settings.
        on_epoch: Called with each epoch and its last loss.
        on_update: Called with the number of images of each update; an exception from it ends the training.
    """
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        learning_rate,
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
        foreach=True,
    )
    weights = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
    average = [tensor.clone() for tensor in weights]
    for epoch in range(protocol.epochs):
        optimizer.param_groups[0]["lr"] = learning_rate * SCHEDULES[protocol.schedule](epoch, protocol.epochs)
        loss = _train_epoch(network, optimizer, images, labels, (*key, epoch), protocol, on_update)
        torch._foreach_lerp_(average, weights, 1 - decay_after(epoch, protocol.decay_limit))
        if on_epoch is not None:
            on_epoch(epoch, loss)
    torch._foreach_copy_(weights, average)
    return network


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    key: Sequence[int | str],
    protocol: Protocol,
    on_update: Callable[[int], None] | None,
) -> Tensor:
    """Make one pass over the set and return the last batch's loss."""
    draws = rng_for(*key, "augment")
    batches: Sequence[Any] = [slice(None)]  # a set of one batch needs no order
    if protocol.balanced:
        classes = labels.argmax(1) if labels.is_floating_point() else labels
        batches = balanced_order(classes.cpu(), rng_for(*key, "order")).to(images.device).split(protocol.batch)
    elif len(images) > protocol.batch:
        order = torch.randperm(len(images), generator=rng_for(*key, "order")).to(images.device)
        batches = order.split(protocol.batch)
    for batch in batches:
        augmented = augment(images[batch], draws, shared=False, strategy=protocol.augmentation)
        loss = F.cross_entropy(network(augmented), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if on_update is not None:
            on_update(len(augmented))
    return loss.detach()


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, batch: int = TESTED) -> Tensor:
    """Return the most likely class of each image, int64 [N]; the network's mode is left as it was."""
    training = network.training
    network.eval()
    predicted = torch.cat([network(part).argmax(1) for part in images.split(batch)])
    network.train(training)
    return predicted


def accuracy(network: nn.Module, images: Tensor, labels: Tensor, batch: int = TESTED) -> float:
    """Return the share of images [N, C, H, W] whose class, int64 [N], ``network`` predicts."""
    return _share(predict(network, images, batch) == labels)


def class_accuracy(predicted: Tensor, labels: Tensor, classes: int) -> list[float | None]:
    """Return the accuracy on the images of each class, None for a class without images."""
    correct = predicted == labels
    return [_share(correct[labels == c]) if bool((labels == c).any()) else None for c in range(classes)]


def _share(correct: Tensor) -> float:
    return correct.double().mean().item()


def evaluate_sets(
    sets: Mapping[str, Labeled],
    test: Labeled,
    *,
    networks: Sequence[str],
    seen: str,
    seeds: Sequence[int],
    classes: int,
    protocol: Protocol | None = None,
    step_sizes: Mapping[str, float] | None = None,
    network_options: Mapping[str, Mapping[str, int]] | None = None,
    device: torch.device | str = "cpu",
    on_cell: Callable[[Cell], None] | None = None,
    done: Sequence[Cell] = (),
) -> dict[str, Any]:
    """Train every network with every seed on every set, and test it after the last epoch.

    Args:
        sets: Normalized square images [N, C, H, W] and labels (see ``train_network``) by name; the name is the row's id
            in what is returned, and part of the key of its random draws.
        test: The test images and their int64 labels.
        networks: Names out of ``NETWORKS``.
        seen: The seen architecture: the network that the sets were distilled with.
        seeds: Each gives one initialization for all sets, so that their results are paired.
        classes: How many there are.
        protocol: How networks are trained; the default one if None.
        step_sizes: The step size that came with a set, by its name.
        network_options: By network, such as ``{"convnet": {"width": 32}}``.
        device: Where it is computed.
        on_cell: Called with each new cell.
        done: Cells of an earlier call with the same arguments; they are kept and not computed again.

    Returns:
        What ``json.dumps`` takes: the protocol, ``cells`` (row, network, seed, learning_rate, accuracy, macro_accuracy,
        per_class, seconds, note) and, by row, the ``summary`` of ``summarize``. Accuracies lie in [0, 1].
    """
    protocol = protocol or Protocol()
    options = {name: dict(values) for name, values in (network_options or {}).items()}
    finished = {(cell["row"], cell["network"], cell["seed"]): cell for cell in done}
    test = (test[0].to(device), test[1].to(device))
    cells = []
    for key in product(sets, networks, seeds):
        if key not in finished:
            name, network, seed = key
            rate = protocol.learning_rate(network, seen, (step_sizes or {}).get(name))
            job = Job(name, network, seed, rate, protocol, options.get(network, {}))
            finished[key] = evaluate_cell(job, sets[name], test, classes)
            if on_cell is not None:
                on_cell(finished[key])
        cells.append(finished[key])
    return {
        "protocol": protocol.to_dict(),
        "network_options": options,
        "networks": list(networks),
        "seen": seen,
        "seeds": list(seeds),
        "cells": cells,
        "summary": summarize(cells, seen),
    }


def evaluate_cell(job: Job, data: Labeled, test: Labeled, classes: int) -> Cell:
    """Train the network of ``job`` on ``data`` and test it; a function of the arguments, but for ``seconds``.

    ``test`` lies on the device that is computed on.
    """
    began = time.perf_counter()
    network = fresh_network(job, test[0], classes)
    images, labels = (tensor.to(test[0].device) for tensor in data)
    train_network(network, images, labels, key=job.rng_key, learning_rate=job.learning_rate, protocol=job.protocol)
    predicted = predict(network, test[0])
    per_class = class_accuracy(predicted, test[1], classes)
    version = library_version(job.network)
    winograd = version is None and images.device.type == "cpu" and used_convolutions() == "auto"
    finite = all(bool(parameter.isfinite().all()) for parameter in network.parameters())
    return {
        "row": job.row,
        "network": job.network,
        "seed": job.seed,
        "learning_rate": job.learning_rate,
        "accuracy": _share(predicted == test[1]),
        "macro_accuracy": macro_accuracy(per_class),
        "per_class": per_class,
        "seconds": time.perf_counter() - began,
        **({} if version is None else {"library": version}),
        **({"conv": "winograd"} if winograd else {}),
        "note": "" if finite else "training diverged: the weights are not finite",
    }


def fresh_network(job: Job, like: Tensor, classes: int) -> nn.Module:
    """The network of ``job`` before its training, for images of the shape and on the device of ``like``."""
    return make_network(
        job.network,
        channels=like.shape[1],
        classes=classes,
        resolution=like.shape[2],
        rng=rng_for(job.seed, "evaluate", job.network, "initialise"),
        norm=job.protocol.norm,
        **job.options,
    ).to(like.device)
