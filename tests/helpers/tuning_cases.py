"""A search space, an objective whose optimum is known, and searches in it."""

import math
from pathlib import Path
from typing import Any

import optuna

from glad.tuning.knobs import Knob, SearchSpace, complete, find_space
from glad.tuning.search import Search

RUNGS = [25, 50, 100]
SMALL = {"limit": 100, "network_options": {"width": 4}, "objective_options": {"batch": 4}, "device": "cpu"}
LAYERS = (None, 1, 3, 5)
SPACE = SearchSpace(
    complete({}),
    (
        Knob("layer", None, LAYERS),
        Knob("lr.w", 1.0, (), 1 / 30, 30.0, log=True),
        Knob("lr.f", 1.0, (), 1 / 30, 30.0, log=True, spaces=(True,)),
    ),
    {False: {"w": 0.01}, True: {"w": 0.01, "f": 10.0}},
)


def known(values: dict[str, Any], iterations: int) -> float:
    """A stand-in for distillation and evaluation: best at layer 3 with the rate of w six times the default."""
    off = math.log10(values["lr.w"] / 6) ** 2 + 0.5 * (values["layer"] != 3)
    return (0.8 - 0.2 * off) * (iterations / RUNGS[-1]) ** 0.3


class StandIn:
    """``known``, and what it was asked."""

    def __init__(self, interrupt_at: int | None = None, seconds: float = 1.0) -> None:
        self.asked: list[tuple[int, int, tuple[int, ...]]] = []
        self.interrupt_at, self.seconds, self.now = interrupt_at, seconds, 0.0

    def __call__(self, values: Any, iterations: int, folder: Path, seeds: Any) -> float:
        if len(self.asked) == self.interrupt_at:
            raise KeyboardInterrupt
        self.asked.append((int(folder.name), iterations, tuple(seeds)))
        self.now += self.seconds
        return known(values, iterations)

    def clock(self) -> float:
        return self.now


def search(measure: Any, out: Path, study: Any = None, space: SearchSpace = SPACE, **options: Any) -> Search:
    study = study or optuna.create_study(direction="maximize")
    return Search(study, space, measure, RUNGS, out, **{"clock": getattr(measure, "clock", lambda: 0.0), **options})


def space_of(wanted: Any = None, **settings: Any) -> SearchSpace:
    return find_space(complete({"limit": 100, "device": "cpu", **settings}), wanted)
