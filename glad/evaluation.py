"""The evaluation protocol: networks trained from scratch on a set of images, and their last-epoch test accuracy."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from glad.augment import ALL, augment
from glad.networks import make_network
from glad.randomness import generator

TESTED = 128  # images in a forward pass of a test: of 512 the feature maps leave a CPU's cache
Cell = dict[str, Any]
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
}
"""By name: that of every table, and that of the published rows of DC and DSA (DC's without augmentation)."""


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
) -> nn.Module:
    """Train ``network`` in place on normalised images [N, C, H, W] and return it with its averaged weights.

    ``labels`` are int64 [N] or distributions [N, classes]. Epoch ``e`` draws its order and its augmentation from
    ``generator(*key, e, purpose)`` and nothing else. ``on_epoch`` is told the epoch and its last loss.
    """
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr, momentum=protocol.momentum, weight_decay=protocol.weight_decay, foreach=True
    )
    weights = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
    average = [tensor.clone() for tensor in weights]
    for epoch in range(protocol.epochs):
        optimizer.param_groups[0]["lr"] = lr * SCHEDULES[protocol.schedule](epoch, protocol.epochs)
        loss = _train_epoch(network, optimizer, images, labels, (*key, epoch), protocol)
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
) -> Tensor:
    """Make one pass over the set and return the last batch's loss."""
    draws = generator(*key, "augment")
    batches: Sequence[Any] = [slice(None)]  # a set of one batch needs no order
    if len(images) > protocol.batch:
        order = torch.randperm(len(images), generator=generator(*key, "order")).to(images.device)
        batches = order.split(protocol.batch)
    for batch in batches:
        augmented = augment(images[batch], draws, shared=False, strategy=protocol.strategy)
        loss = F.cross_entropy(network(augmented), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
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
    note) and, per set, the ``summary`` of ``summarise``. Accuracies lie in [0, 1].
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
            finished[key] = _evaluate_cell(cell, sets[set_name], test, classes, protocol, options.get(name, {}))
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
        "summary": summarise(cells, same),
    }


def _evaluate_cell(
    cell: Cell,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: int,
    protocol: Protocol,
    options: Mapping[str, int],
) -> Cell:
    """Train and test one network; complete ``cell``, which names set, network, seed and lr."""
    began = time.perf_counter()
    key = (cell["seed"], "evaluate", cell["network"])
    network = make_network(
        cell["network"],
        channels=test[0].shape[1],
        classes=classes,
        resolution=test[0].shape[2],
        rng=generator(*key, "initialise"),
        norm=protocol.norm,
        **options,
    ).to(test[0].device)
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


def summarise(cells: Sequence[Cell], same: str) -> dict[str, Any]:
    """Return per set the mean and deviation over seeds: ``same``, each of ``networks``, and ``cross``.

    ``cross`` takes, per seed, the mean over the networks other than ``same``. Each entry is ``{"mean", "std", "n"}``
    with the sample deviation, None for a single seed; the entry is None where there is nothing to average.
    """
    summary: dict[str, Any] = {}
    for set_name in dict.fromkeys(cell["set"] for cell in cells):
        by_network: dict[str, dict[int, float]] = {}
        for cell in cells:
            if cell["set"] == set_name:
                by_network.setdefault(cell["network"], {})[cell["seed"]] = cell["accuracy"]
        unseen = [by_seed for name, by_seed in by_network.items() if name != same]
        complete = set.intersection(*(set(by_seed) for by_seed in unseen)) if unseen else set()
        summary[set_name] = {
            "same": _statistics(list(by_network.get(same, {}).values())),
            "networks": {name: _statistics(list(by_seed.values())) for name, by_seed in by_network.items()},
            "cross": _statistics([statistics.fmean(by[seed] for by in unseen) for seed in sorted(complete)]),
        }
    return summary


def _statistics(values: Sequence[float]) -> dict[str, float | int | None] | None:
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": std, "n": len(values)}


def results_table(results: Mapping[str, Any]) -> Table:
    """Return the summary of ``evaluate_sets`` as a table in per cent: a row per set, a column per network.

    ``results["split"]`` names the images that accuracy was measured on, if they are not the test images.
    """
    same, networks = results["same"], results["networks"]
    ordered = [name for name in networks if name == same] + [name for name in networks if name != same]
    split, epochs, seeds = results.get("split", "test"), results["protocol"]["epochs"], len(results["seeds"])
    table = Table(title=f"{split.capitalize()} accuracy in %, {epochs} epochs, {seeds} seed{'s' * (seeds > 1)}")
    table.add_column("set")
    for name in ordered:
        table.add_column(f"{name} (same)" if name == same else name, justify="right")
    table.add_column("cross-architecture", justify="right")
    for set_name, entry in results["summary"].items():
        shown = [*(entry["networks"].get(name) for name in ordered), entry["cross"]]
        table.add_row(set_name, *(_percent(value) for value in shown))
    return table


def _percent(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    spread = "" if entry["std"] is None else f" ± {100 * entry['std']:.1f}"
    return f"{100 * entry['mean']:.1f}{spread}"
