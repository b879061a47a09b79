"""What a distilled set saves: time, images and bytes until a network knows enough, and when the distillation has paid.

One network, the one distilled with, is trained on the set and on the full data, each as in the evaluation, until it
knows a target share of what the full data teach. Its accuracy is looked at after 1, 2, 3, ... updates, a tenth more at
a time; the clock stands still meanwhile. It is that of the weights as they are, not of their average, which lags
behind. A set has paid for itself when the seconds that its trainings save are those that distilling took; seconds are
of this machine, and both trainings and the distillation should have been on the same.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glad.evaluation.protocol import Protocol, accuracy, fresh_network, train_network
from glad.evaluation.summary import Cell

GROWTH = 1.1  # from one look to the next


@dataclass(frozen=True)
class Race:
    """How far a training came: ``reached`` the target or not, and what it took until then, or in all.

    ``samples`` counts images seen, each as often as it was, ``bytes`` those of the set with 8 bits a value.
    """

    reached: bool
    accuracy: float
    seconds: float
    samples: int
    updates: int
    bytes: int


class _Reached(Exception):  # noqa: N818 - ends a training that has come far enough
    """The target is reached."""


class _Watch:
    """Counts updates and images, stops the clock at each look, and ends the training at the target."""

    def __init__(self, network: nn.Module, test: tuple[Tensor, Tensor], target: float) -> None:
        self.network, self.test, self.target = network, test, target
        self.updates, self.samples, self.seconds, self.accuracy, self.next = 0, 0, 0.0, 0.0, 1
        self.began = self._now()

    def __call__(self, images: int) -> None:
        self.updates += 1
        self.samples += images
        if self.updates >= self.next:
            self.look()
            self.next = max(self.updates + 1, math.ceil(self.updates * GROWTH))

    def look(self) -> None:
        """Test the network, off the clock."""
        self.seconds += self._now() - self.began
        self.accuracy = accuracy(self.network, *self.test)
        if self.accuracy >= self.target:
            raise _Reached
        self.began = self._now()

    def _now(self) -> float:
        if self.test[0].is_cuda:
            torch.cuda.synchronize(self.test[0].device)  # what was asked for may not be done yet
        return time.perf_counter()


def race(
    cell: Cell,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: int,
    protocol: Protocol,
    options: Mapping[str, int],
    target: float,
) -> Race:
    """Train the network of ``cell`` as ``evaluate_cell`` does, until it knows ``target`` of the test images, in [0, 1].

    All but ``seconds`` is a function of the arguments.
    """
    network = fresh_network(cell, test[0], classes, protocol, options)
    images, labels = (tensor.to(test[0].device) for tensor in data)
    key = (cell["seed"], "evaluate", cell["network"], cell["set"])
    watch = _Watch(network, test, target)
    reached = False
    try:
        train_network(network, images, labels, key=key, lr=cell["lr"], protocol=protocol, on_update=watch)
        watch.look()
    except _Reached:
        reached = True
    return Race(reached, watch.accuracy, watch.seconds, watch.samples, watch.updates, images.numel())


def pays_after(distillation: float | None, ours: Race, full: Race) -> int | None:
    """The number of trainings after which ``distillation`` seconds are saved; None where that never is.

    Never, where either training does not reach the target or the set's takes as long as that on the full data.
    """
    saved = full.seconds - ours.seconds
    if distillation is None or not (ours.reached and full.reached) or saved <= 0:
        return None
    return max(1, math.ceil(distillation / saved))


def told(
    name: str, ours: Race, full: Race, distillation: float | None, target: float, reach: float, network: str
) -> list[str]:
    """Three sentences: what reaching ``target`` takes on the set, what on the full data, and when the set has paid."""
    goal = f"{100 * target:.1f} % ({100 * reach:g} % of what the full data teach a {network})"
    paid = pays_after(distillation, ours, full)
    if distillation is None:
        last = "How long the distillation took is not known, and so not when it has paid for itself."
    elif paid is None:
        last = f"The distillation took {distillation:.3g} s and never pays for itself: {_why_never(ours, full)}."
    else:
        plural = "s" * (paid > 1)
        last = f"The distillation took {distillation:.3g} s and has paid for itself after {paid} training{plural}."
    return [
        f"To know {goal}, training on {name} {_takes(ours)}.",
        f"Training on the full data {_takes(full)}.",
        last,
    ]


def _takes(found: Race) -> str:
    spent = f"{found.seconds:.3g} s, {found.samples:,} images seen and {found.bytes:,} bytes"
    if found.reached:
        return f"takes {spent}"
    return f"does not suffice: it ends at {100 * found.accuracy:.1f} % after {spent}"


def _why_never(ours: Race, full: Race) -> str:
    if not ours.reached:
        return "training on the set does not get there"
    if not full.reached:
        return "training on the full data does not get there"
    return "training on the full data is as fast"


def entry(name: str, ours: Race, full: Race, distillation: float | None, **goal: Any) -> dict[str, Any]:
    """What ``results.json`` says of a set; ``goal`` are the last three arguments of ``told``."""
    return {
        "race": asdict(ours),
        "distillation_seconds": distillation,
        "pays_after": pays_after(distillation, ours, full),
        "sentences": told(name, ours, full, distillation, **goal),
    }
