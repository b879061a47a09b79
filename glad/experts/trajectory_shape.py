"""An expert's trajectory in numbers: accuracy, lengths of the steps, and turns.

The straighter a trajectory, the more easily a student follows it: AST's recipe serves that (Shen et al., 2023).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glad.experts.files import Expert


@dataclass(frozen=True)
class Shape:
    """An expert's path by epoch: accuracy [E + 1] in [0, 1], step lengths [E], and turns [E - 1] in degrees."""

    accuracy: list[float]
    steps: list[float]
    turns: list[float]
    reach: float
    """The distance from the start to the end."""

    @property
    def straightness(self) -> float:
        """How far the end is from the start over how long the path is: 1 for a straight line."""
        return self.reach / sum(self.steps) if any(self.steps) else math.nan


def shape_of(expert: Expert) -> Shape:
    """Read a path row by row: never more than three checkpoints are in memory.

    A step is the distance between the parameters of two epochs, a turn the angle between a step and the next.
    """
    before, steps, turns = None, [], []
    for here, there in pairwise(range(expert.epochs + 1)):
        step = (expert.checkpoint(there) - expert.checkpoint(here)).double()
        steps.append(float(step.norm()))
        if before is not None:
            cosine = torch.nn.functional.cosine_similarity(before, step, dim=0).clamp(-1, 1)
            turns.append(math.degrees(math.acos(float(cosine))))
        before = step
    reach = float((expert.checkpoint(expert.epochs) - expert.checkpoint(0)).double().norm())
    return Shape(expert.accuracy, steps, turns, reach)


def mean_of(lists: Sequence[Sequence[float]]) -> list[float]:
    """The mean of several lists, place by place, as far as the shortest goes."""
    return [sum(values) / len(values) for values in zip(*lists, strict=False)]


@matplotlib.rc_context({"text.parse_math": False})  # a folder's name is no formula
def draw(groups: Mapping[str, Sequence[Shape]]) -> Figure:
    """Accuracy, step lengths and turns by epoch: a line per group, its experts' mean, over a thin one for each."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    kinds = (
        ("accuracy", "validation accuracy", 0),
        ("steps", "length of the step", 1),
        ("turns", "turn in degrees", 2),
    )
    for panel, (name, title, first) in zip(panels, kinds, strict=True):
        drawn = []
        for number, shapes in enumerate(groups.values()):
            lists = [getattr(shape, name) for shape in shapes]
            for values in lists:
                panel.plot(range(first, first + len(values)), values, color=f"C{number}", linewidth=0.5, alpha=0.4)
            mean = mean_of(lists)
            drawn += panel.plot(range(first, first + len(mean)), mean, color=f"C{number}")
        panel.set_title(title)
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(drawn, list(groups))
    return figure
