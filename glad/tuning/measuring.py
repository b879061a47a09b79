"""Measuring a trial, in this process or in that of a task."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import glad.api
from glad.device import ran_out_of_memory
from glad.distillation import DistillationError
from glad.evaluation import set_id
from glad.settings.distill import DistillSettings
from glad.tuning.knobs import SearchSpace, Values

Measure = Callable[[Values, int, Path, Sequence[int]], float]
"""The accuracy of knobs' values after some iterations in a folder, as networks with some seeds find it."""
LR = 1e-2  # of networks that the run does not distill with: the published 1e-3 is for 1,000 epochs


@dataclass(frozen=True)
class TrialEvaluation:
    """What decides on a trial: networks, whose mean validation accuracy counts, their epochs, and how many seeds."""

    networks: tuple[str, ...]
    epochs: int
    seeds: int
    network_options: Mapping[str, Mapping[str, int]]

    def accuracy(self, run: Any, settings: DistillSettings, seeds: Sequence[int]) -> float:
        """The mean over networks, and over seeds, on the validation images."""
        results = glad.api.evaluate(
            run,
            networks=self.networks,
            seeds=list(seeds),
            epochs=self.epochs,
            learning_rate={name: LR for name in self.networks if name != settings.network},
            network_options=self.network_options,
            baselines=[],
            augmentation=settings.augmentation,
            device=settings.device,
            split="validation",
        )
        return statistics.fmean(entry["mean"] for entry in results["summary"][set_id(run.name)]["networks"].values())


@dataclass(frozen=True)
class TrialMeasure:
    """Distills with knobs' values on ``device``, or goes on, and evaluates the set."""

    space: SearchSpace
    evaluation: TrialEvaluation
    device: str

    def __call__(self, values: Values, iterations: int, folder: Path, seeds: Sequence[int]) -> float:
        """The accuracy after so many iterations."""
        wanted = replace(self.space.apply(values), device=self.device)
        asked = replace(wanted, iterations=iterations, grid_every=iterations, out=str(folder))
        return self.evaluation.accuracy(glad.api.run_distillation(asked), asked, seeds)


@dataclass(frozen=True)
class Measuring:
    """What a trial is measured with."""

    measure: Measure
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Measured:
    """The accuracy of a trial, or why there is none, and how long that took."""

    accuracy: float
    seconds: float
    reason: str


def measure_timed(context: Measuring, *key: Any) -> Measured:
    """Measure, in the process of the task; divergence and too little memory end a trial, not the search."""
    began, reason, accuracy = context.clock(), "", 0.0
    try:
        accuracy = context.measure(*key)
    except Exception as error:
        if not (isinstance(error, DistillationError) or ran_out_of_memory(error)):
            raise
        reason = " ".join((str(error) or type(error).__name__).split())
    return Measured(accuracy, context.clock() - began, reason)


def measure_again(context: Measuring, *key: Any) -> float:
    """Measure what has been measured once and did not fail."""
    return context.measure(*key)


def describe(values: Values, iterations: int, folder: Path, seeds: Sequence[int]) -> str:
    """What people call the measurement."""
    return f"trial {folder.name}, {iterations} iterations"
