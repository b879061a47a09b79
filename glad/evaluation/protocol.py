"""The evaluation protocol: networks trained from scratch on a set of images, and their last-epoch test accuracy."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glad.data.augment import ALL, augment
from glad.evaluation.summary import Cell, summarize
from glad.networks import make_network
from glad.rng import rng_for

TESTED = 128  # images in a forward pass of a test: of 512 the feature maps leave a CPU's cache
Sets = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; the defaults are those of every table unless it says otherwise."""

    epochs: int = 1000
    lr_same: float = 1e-2
    """For the network that was distilled with, where the set brings no learned step size."""
    lr_other: float = 1e-3
    lr_by_network: Mapping[str, float] = field(default_factory=lambda: {"vgg11": 1e-4})
    """Exceptions to ``lr_other``."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    strategy: str = ALL
    decay: float = 0.995
    """At most; a run of fewer than 1,000 epochs forgets as large a share of itself, see ``decay_limit``."""
    norm: str = "instance"
    schedule: str = "cosine"
    """A name in ``SCHEDULES``."""

    @property
    def decay_limit(self) -> float:
        """The decay whose memory is a fifth of the epochs, as 0.995 is over the published 1,000."""
        return max(0.0, min(self.decay, 1 - 5 / self.epochs))

    def lr(self, network: str, same: str, learned: float | None = None) -> float:
        """Return the peak learning rate of ``network`` on a set distilled with ``same``."""
        if network == same:
            return self.lr_same if learned is None else learned
        return self.lr_by_network.get(network, self.lr_other)


def cosine(epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate: linear up to 1 in the first half of the epochs, then cosine to 0."""
    half = epochs // 2
    if epoch < half:
        return (epoch + 1) / half
    return 0.5 * (1 + math.cos(math.pi * (epoch - half) / (epochs - half)))


def step(epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate: 1, and a tenth after the middle, as DC's and DSA's release has it."""
    return 1.0 if epoch <= epochs // 2 else 0.1


SCHEDULES = {"cosine": cosine, "step": step}
PROTOCOLS = {
    "default": Protocol(),
    "dc": Protocol(epochs=300, lr_other=1e-2, lr_by_network={}, decay=0.0, schedule="step"),
    "glad": Protocol(lr_same=1e-3, lr_other=1e-3, lr_by_network={}),
}
"""By name: that of every table; that of the published rows of DC and DSA (Zhao et al., ICLR 2021 and ICML 2021; DC's
without augmentation); that of GLaD (Cazenavette et al., CVPR 2023), which trains every network at 1e-3 and is otherwise
the first: 1,000 epochs, linear warm-up and cosine, averaged weights, DSA."""


def average_decay(updates: int, limit: float = 0.995) -> float:
    """Return how much of the average stays after ``updates`` earlier ones: a plain mean at first, then ``limit``."""
    return min(limit, 1 - 1 / (1 + updates))


def train_network(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    key: Sequence[int | str],
    lr: float,
    protocol: Protocol,
    on_epoch: Callable[[int, Tensor], None] | None = None,
    on_update: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train ``network`` in place on normalized images [N, C, H, W] and return it with its averaged weights.

    ``labels`` are int64 [N] or distributions [N, classes]. Epoch ``e`` draws its order and its augmentation from
    ``rng_for(*key, e, purpose)`` and nothing else. ``on_epoch`` is told the epoch and its last loss, ``on_update``
    how many images an update has seen; what it raises ends the training.
    """
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr, momentum=protocol.momentum, weight_decay=protocol.weight_decay, foreach=True
    )
    weights = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
    average = [tensor.clone() for tensor in weights]
    for epoch in range(protocol.epochs):
        optimizer.param_groups[0]["lr"] = lr * SCHEDULES[protocol.schedule](epoch, protocol.epochs)
        loss = _train_epoch(network, optimizer, images, labels, (*key, epoch), protocol, on_update)
        torch._foreach_lerp_(average, weights, 1 - average_decay(epoch, protocol.decay_limit))
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
    if len(images) > protocol.batch:
        order = torch.randperm(len(images), generator=rng_for(*key, "order")).to(images.device)
        batches = order.split(protocol.batch)
    for batch in batches:
        augmented = augment(images[batch], draws, shared=False, strategy=protocol.strategy)
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
    sets: Sets,
    test: tuple[Tensor, Tensor],
    *,
    networks: Sequence[str],
    same: str,
    seeds: Sequence[int],
    classes: int,
    protocol: Protocol | None = None,
    learned_lr: Mapping[str, float] | None = None,
    network_options: Mapping[str, Mapping[str, int]] | None = None,
    device: torch.device | str = "cpu",
    on_cell: Callable[[Cell], None] | None = None,
    done: Sequence[Cell] = (),
) -> dict[str, Any]:
    """Train every network with every seed on every set, and test it after the last epoch.

    ``sets`` holds square images and labels by name (see ``train_network``), ``test`` the test images and their int64
    labels. ``same`` names the network the sets were distilled with, ``learned_lr`` the step size that came with a
    set. A seed gives one initialisation for all sets, so that their results are paired. ``done`` are cells of an
    earlier call with the same arguments; they are kept and not computed again. ``on_cell`` is told each new cell.

    Returns what ``json.dumps`` takes: the protocol, ``cells`` (set, network, seed, lr, accuracy, per_class, seconds,
    note) and, per set, the ``summary`` of ``summarize``. Accuracies lie in [0, 1].
    """
    protocol = protocol or Protocol()
    options = {name: dict(values) for name, values in (network_options or {}).items()}
    finished = {(cell["set"], cell["network"], cell["seed"]): cell for cell in done}
    test = (test[0].to(device), test[1].to(device))
    cells = []
    for key in product(sets, networks, seeds):
        if key not in finished:
            set_name, name, seed = key
            lr = protocol.lr(name, same, (learned_lr or {}).get(set_name))
            cell = {"set": set_name, "network": name, "seed": seed, "lr": lr}
            finished[key] = evaluate_cell(cell, sets[set_name], test, classes, protocol, options.get(name, {}))
            if on_cell is not None:
                on_cell(finished[key])
        cells.append(finished[key])
    return {
        "protocol": asdict(protocol),
        "network_options": options,
        "networks": list(networks),
        "same": same,
        "seeds": list(seeds),
        "cells": cells,
        "summary": summarize(cells, same),
    }


def evaluate_cell(
    cell: Cell,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: int,
    protocol: Protocol,
    options: Mapping[str, int],
) -> Cell:
    """Train one network on ``data`` and test it; complete ``cell``, which names set, network, seed and lr.

    The result is a function of the arguments, but for ``seconds``. ``test`` lies on the device that is computed on.
    """
    began = time.perf_counter()
    key = (cell["seed"], "evaluate", cell["network"])
    network = fresh_network(cell, test[0], classes, protocol, options)
    images, labels = (tensor.to(test[0].device) for tensor in data)
    train_network(network, images, labels, key=(*key, cell["set"]), lr=cell["lr"], protocol=protocol)
    predicted = predict(network, test[0])
    finite = all(bool(parameter.isfinite().all()) for parameter in network.parameters())
    return {
        **cell,
        "accuracy": _share(predicted == test[1]),
        "per_class": class_accuracy(predicted, test[1], classes),
        "seconds": time.perf_counter() - began,
        "note": "" if finite else "training diverged: the weights are not finite",
    }


def fresh_network(cell: Cell, like: Tensor, classes: int, protocol: Protocol, options: Mapping[str, int]) -> nn.Module:
    """The network of ``cell`` before its training, for images of the shape and on the device of ``like``."""
    return make_network(
        cell["network"],
        channels=like.shape[1],
        classes=classes,
        resolution=like.shape[2],
        rng=rng_for(cell["seed"], "evaluate", cell["network"], "initialise"),
        norm=protocol.norm,
        **options,
    ).to(like.device)
