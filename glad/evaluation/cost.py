"""What a distilled set saves: time, images and bytes until a test accuracy is reached, and when distilling has paid.

The seen architecture is trained on the set and on the full data, each as in the evaluation, until its test accuracy is
a target share of that of the full data. It is tested after 1, 2, 3, ... updates, a tenth more at a time; the clock
stands still meanwhile. Its weights are those of the moment, not their average, which lags behind. A set has paid for
itself when the seconds that its trainings save are those that distilling took; seconds are of this machine, and both
trainings and the distillation should have been on the same.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glad.data.coresets import Labeled
from glad.evaluation.rows import FULL, label_of, rows_of
from glad.evaluation.training import Job, accuracy, fresh_network, train_network

GROWTH = 1.1  # from one look to the next


@dataclass(frozen=True)
class TrainingCost:
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


def train_until(job: Job, data: Labeled, test: Labeled, classes: int, target: float) -> TrainingCost:
    """Train the network of ``job`` as ``evaluate_cell`` does, until its test accuracy is ``target``, in [0, 1].

    All but ``seconds`` is a function of the arguments.
    """
    network = fresh_network(job, test[0], classes)
    images, labels = (tensor.to(test[0].device) for tensor in data)
    watch = _Watch(network, test, target)
    reached = False
    try:
        train_network(
            network,
            images,
            labels,
            key=job.rng_key,
            learning_rate=job.learning_rate,
            protocol=job.protocol,
            on_update=watch,
        )
        watch.look()
    except _Reached:
        reached = True
    return TrainingCost(reached, watch.accuracy, watch.seconds, watch.samples, watch.updates, images.numel())


def pays_after(distillation: float | None, ours: TrainingCost, full: TrainingCost) -> int | None:
    """The number of trainings after which ``distillation`` seconds are saved; None where that never is.

    Never, where either training does not reach the target or the set's takes as long as that on the full data.
    """
    saved = full.seconds - ours.seconds
    if distillation is None or not (ours.reached and full.reached) or saved <= 0:
        return None
    return max(1, math.ceil(distillation / saved))


def entry_of(ours: TrainingCost, full: TrainingCost, distillation: float | None) -> dict[str, Any]:
    """What ``results.json`` says of a set; ``distillation`` is in seconds, None where it is not known."""
    return {
        "training": asdict(ours),
        "distillation_seconds": distillation,
        "pays_after": pays_after(distillation, ours, full),
    }


def sentences(results: Mapping[str, Any], row: str, name: str | None = None) -> list[str]:
    """Three sentences: what reaching the target takes on the set ``row``, what on the full data, and when it has paid.

    None where costs of that row were not measured. ``results`` are those of ``glad.evaluate``, ``name`` is what the set
    is called, its label if None.
    """
    cost = results.get("cost") or {}
    full_row = next((row.id for row in rows_of(results).values() if row.kind == FULL and row.id in cost), None)
    if row not in cost or full_row is None:
        return []
    entry = cost[row]
    ours, full = (TrainingCost(**cost[name]["training"]) for name in (row, full_row))
    goal = f"{100 * entry['target']:.1f} % ({100 * entry['reach']:g} % of that of the full data, {entry['network']})"
    seconds, paid = entry["distillation_seconds"], entry["pays_after"]
    if seconds is None:
        last = "How long the distillation took is not known, and so not when it has paid for itself."
    elif paid is None:
        last = f"The distillation took {seconds:.3g} s and never pays for itself: {_why_never(ours, full)}."
    else:
        plural = "s" * (paid > 1)
        last = f"The distillation took {seconds:.3g} s and has paid for itself after {paid} training{plural}."
    return [
        f"To reach a test accuracy of {goal}, training on {name or label_of(results, row)} {_takes(ours)}.",
        f"Training on the full data {_takes(full)}.",
        last,
    ]


def _takes(found: TrainingCost) -> str:
    spent = f"{found.seconds:.3g} s, {found.samples:,} images seen and {found.bytes:,} bytes"
    if found.reached:
        return f"takes {spent}"
    return f"does not suffice: it ends at {100 * found.accuracy:.1f} % after {spent}"


def _why_never(ours: TrainingCost, full: TrainingCost) -> str:
    if not ours.reached:
        return "training on the set does not get there"
    if not full.reached:
        return "training on the full data does not get there"
    return "training on the full data is as fast"
