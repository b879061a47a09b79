"""Charts of runs by matplotlib: an SVG each, embedded as an image, so that a page stays one file.

Drawings are ``WIDTH`` wide, about as a phone shows them, so that their text is read at its own size.
"""

import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from glad.runs.formatting import count, number, percent, printable

WIDTH, HEIGHT = 360.0, 220.0  # points
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 36.0
POINTS = 300  # of a line, at most
ROW = 31.0  # height of a bar with the name above it
BELOW = 20.0  # under the bars
VALUE = 78.0  # to the right of the bars
COLORS = ("#2f6bc4", "#c2561a", "#2c8a5b", "#8b4bb8", "#a8862a", "#b53f6b")
ROUND = [1, 2, 2.5, 5, 10]  # steps of ticks
SOFT, GRID, PLAIN = "#5b5f6b", "#dcdde2", "#9a9ea9"
# The browser sets the text in a font that it has: no letter is missing, and names are no formulas.
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "glad", "text.parse_math": False, "font.size": 10.5}

Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A drawing and what it shows in words; ``averaged`` where its lines are means of neighboring points."""

    title: str
    alternative: str
    figure: Figure
    averaged: bool = False

    @property
    def source(self) -> str:
        """The drawing as the address of an image; equal drawings have equal addresses."""
        buffer = io.BytesIO()
        with matplotlib.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of the font that only measures
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


@matplotlib.rc_context(STYLE)
def curves(title: str, series: Mapping[str, Sequence[Point]], logarithmic: bool = False) -> Chart | None:
    """Lines by name of ``(iteration, value)``; None where there is nothing to draw.

    ``logarithmic`` holds where every value is above zero.
    """
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    figure, axes = _axes(HEIGHT, LEFT, BOTTOM, RIGHT, TOP)
    values = [value for points in series.values() for _, value in points]
    if logarithmic and min(values) > 0:
        _set_decades(axes, min(values), max(values))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    nothing = 1e-9 * (max(values) - min(values)) * (axes.get_yscale() == "linear")  # what rounding makes of 0
    for points, color in zip(series.values(), cycle(COLORS), strict=False):
        x, least, mean, greatest = (list(column) for column in zip(*thin_out(points), strict=True))
        axes.plot(x, mean, color=color, linewidth=1.75, marker="" if len(x) > 1 else "o")
        if len(x) < len(points):
            axes.fill_between(x, least, greatest, color=color, alpha=0.18, linewidth=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(0.0 if abs(value) < nothing else value)))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value))))
    axes.set_xlabel("iteration", color=SOFT, labelpad=1)
    axes.grid(axis="y", color=GRID)
    axes.spines[["left", "top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(axes.lines, list(map(printable, series)), frameon=False, fontsize="small", labelspacing=0.2)
    alternative = " ".join(_in_words(name, points) for name, points in series.items())
    return Chart(title, alternative, figure, any(len(points) > POINTS for points in series.values()))


def _axes(height: float, left: float, bottom: float, right: float, top: float) -> tuple[Figure, Axes]:
    """A figure and its axes with so many points around them, in the soft color."""
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    axes = figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + top) / height))
    axes.tick_params(length=0, labelcolor=SOFT, labelsize=10)
    axes.spines["bottom"].set_color(SOFT)
    axes.set_axisbelow(True)
    return figure, axes


def _set_decades(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis between powers of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    axes.set_yscale("log")
    axes.set_ylim(10.0**first, 10.0 ** max(last, first + 1))
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())


def _in_words(name: str, points: Sequence[Point]) -> str:
    least = min(points, key=lambda point: point[1])
    (begin, start), (end, stop) = points[0], points[-1]
    return (
        f"{name}: {number(start)} at iteration {count(int(begin))}, {number(stop)} at iteration {count(int(end))}, "
        f"least {number(least[1])} at iteration {count(int(least[0]))}."
    )


def thin_out(points: Sequence[Point]) -> list[tuple[float, float, float, float]]:
    """At most ``POINTS`` of ``(place, least, mean, greatest)``, each over neighboring points."""
    step = -(-len(points) // POINTS)
    rows = []
    for start in range(0, len(points), step):
        part = points[start : start + step]
        values = [value for _, value in part]
        rows.append((sum(at for at, _ in part) / len(part), min(values), sum(values) / len(part), max(values)))
    return rows


@matplotlib.rc_context(STYLE)
def bars(title: str, entries: Sequence[tuple[str, str, int, Mapping[str, Any]]], most: float) -> Chart:
    """Accuracies of one network: name, kind, color and statistics of each set, on an axis from 0 to ``most``."""
    figure, axes = _axes(len(entries) * ROW + BELOW, 4, BELOW, VALUE, 0)
    said = []
    for place, (name, kind, color, entry) in enumerate(entries):
        middle = place + 22 / ROW
        mean, std = 100 * entry["mean"], 100 * (entry["std"] or 0)
        spread = None if entry["std"] is None else [[min(std, mean)], [min(std, 100 - mean)]]
        style = _bar_style(kind, COLORS[color % len(COLORS)])
        axes.barh(middle, mean, height=9 / ROW, xerr=spread, error_kw={"elinewidth": 1.25, "capsize": 3}, **style)
        axes.text(0, place + 12 / ROW, printable(name))
        across = axes.get_yaxis_transform()
        axes.text(1 + (VALUE - 1) / (WIDTH - VALUE), middle, percent(entry), transform=across, ha="right", va="center")
        said.append(f"{name} {percent(entry)} %")
    axes.set_ylim(len(entries), 0)
    axes.set_yticks([])
    axes.set_xlim(0, 101 * most)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %" if value else "0"))
    axes.grid(axis="x", color=GRID)
    axes.spines[["left", "top", "right", "bottom"]].set_visible(False)
    return Chart(title, f"Accuracy of {title}: {'; '.join(said)}.", figure)


def _bar_style(kind: str, color: str) -> dict[str, Any]:
    """Sets have their run's color, paler before optimization; baselines are gray, all training images hollow."""
    if kind == "full":
        return {"color": "none", "edgecolor": SOFT}
    return {"color": color if kind in ("run", "before") else PLAIN, "alpha": 0.45 if kind == "before" else 1.0}
