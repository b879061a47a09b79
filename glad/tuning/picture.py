"""What mattered in a search: accuracy by knob, and how much of it each knob explains.

Only the first rung's accuracies are of all trials after the same work, so these are drawn. A knob's share is that of
their variance, by rank, which a parabola in the knob alone explains (for the layer: a mean per layer), adjusted for the
number of its coefficients. A parabola, since a learning rate is best in the middle, where a correlation would be 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from glad.tuning.knobs import RATE, Knob, SearchSpace, layer_name
from glad.tuning.search import Trial

COLORS = {"finished": "C0", "stopped": "0.7", "unfinished": "C1", "failed": "C3"}
COEFFICIENTS = 3  # of a parabola


def importances(space: SearchSpace, rows: Sequence[Trial], rung: int) -> dict[str, float | None]:
    """The share of the accuracy's variance after ``rung`` iterations that each knob explains; None: too few trials."""
    return {knob.name: _explained_variance(knob, *_points(knob, rows, rung)) for knob in space.knobs}


def _points(knob: Knob, rows: Sequence[Trial], rung: int) -> tuple[list[Any], list[float]]:
    """The knob's values and the accuracies of the trials that have both."""
    pairs = [(row.values[knob.name], row.accuracies[rung]) for row in _select(knob, rows, rung)]
    return [value for value, _ in pairs], [accuracy for _, accuracy in pairs]


def _select(knob: Knob, rows: Sequence[Trial], rung: int) -> list[Trial]:
    return [row for row in rows if knob.name in row.values and rung in row.accuracies]


def _explained_variance(knob: Knob, values: Sequence[Any], accuracies: Sequence[float]) -> float | None:
    if knob.choices:
        columns = np.array([[float(value == choice) for choice in dict.fromkeys(values)] for value in values])
    else:
        scaled = np.log(values) if knob.log else np.array(values, dtype=float)
        columns = np.vander(scaled - scaled.mean(), COEFFICIENTS) if len(values) else np.zeros((0, COEFFICIENTS))
    free = len(accuracies) - (columns.shape[1] if columns.ndim == 2 else 1)
    if free < 2 or len(set(values)) < 2:
        return None
    order = _ranks(accuracies)
    total = float(((order - order.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    fitted = columns @ np.linalg.lstsq(columns, order, rcond=None)[0]
    left = float(((order - fitted) ** 2).sum())
    return max(0.0, 1 - (left / free) / (total / (len(order) - 1)))


def _ranks(values: Sequence[float]) -> Any:
    """Ranks from 1, of equal values their mean."""
    array = np.array(values)
    return np.array([(array < value).sum() + ((array == value).sum() + 1) / 2 for value in array])


def draw(space: SearchSpace, rows: Sequence[Trial], best: Trial, rung: int) -> Figure:
    """A panel per knob with every trial that has it, the default and the best marked, and the knobs' shares."""
    count = len(space.knobs) + 1
    columns = 2 if count == 4 else min(count, 3)
    figure = Figure(figsize=(3.8 * columns, 3.3 * -(-count // columns)), layout="constrained")
    panels = figure.subplots(-(-count // columns), columns, squeeze=False).flatten()
    for panel, knob in zip(panels, space.knobs, strict=False):
        _draw_knob(panel, knob, rows, best, rung)
    panels[0].set_ylabel(f"validation accuracy in %\nafter {rung} iterations")
    panels[0].legend(fontsize=8)
    _draw_shares(panels[len(space.knobs)], importances(space, rows, rung))
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure


def _draw_knob(panel: Any, knob: Knob, rows: Sequence[Trial], best: Trial, rung: int) -> None:
    seen = _select(knob, rows, rung)

    def place(row: Trial) -> Any:
        return knob.choices.index(row.values[knob.name]) if knob.choices else row.values[knob.name]

    for state, color in COLORS.items():
        some = [row for row in seen if row.state == state]
        xs, ys = [place(row) for row in some], [100 * row.accuracies[rung] for row in some]
        if some:
            panel.scatter(xs, ys, color=color, s=22, label=state)
    for row, marker, name in ((rows[0], "s", "default"), (best, "*", "best")):
        if row in seen:
            size = 70 if marker == "s" else 170
            panel.scatter(
                [place(row)],
                [100 * row.accuracies[rung]],
                marker=marker,
                s=size,
                facecolors="none" if marker == "s" else "C2",
                edgecolors="black",
                zorder=3,
                label=name,
            )
    panel.set_title(
        f"learning rate of {knob.name.removeprefix(RATE)}"
        if knob.name.startswith(RATE)
        else knob.name.replace("_", " ")
    )
    if knob.choices:
        panel.set_xticks(range(len(knob.choices)), [layer_name(choice) for choice in knob.choices])
        panel.set_xlim(-0.5, len(knob.choices) - 0.5)
    elif knob.log:
        panel.set_xscale("log")
    if knob.name.startswith(RATE):
        panel.set_xlabel("times the default")


def _draw_shares(panel: Any, shares: dict[str, float | None]) -> None:
    names = list(shares)
    panel.barh(range(len(names)), [100 * (shares[name] or 0.0) for name in names], color="C0")
    for place, name in enumerate(names):
        share = shares[name]
        text = "too few trials" if share is None else f"{100 * share:.0f} %"
        panel.text(100 * (share or 0.0) + 1, place, text, va="center", fontsize=8)
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.set_xlim(0, 110)
    panel.set_title("what mattered")
    panel.set_xlabel("variance explained in %")
