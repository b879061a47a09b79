"""Charts as coordinates: the template turns them into SVG, so that every word in them is escaped.

Drawings are ``WIDTH`` wide, about as a phone shows them, so that their text is read at its own size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad.reports.formatting import count, number, percent

WIDTH, HEIGHT = 360.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 10.0, 34.0
POINTS = 300  # of a line, at most
BAR, ROW = 9.0, 31.0  # height of a bar, and of its row with the name above it
VALUE = 74.0  # to the right of the bars
COLORS = 6

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A line by its points, the band of what was averaged into them, and the number of its color."""

    name: str
    color: int
    points: str
    band: str


@dataclass(frozen=True)
class LineChart:
    """Lines over the iterations; ``alternative`` says in words what they show."""

    title: str
    alternative: str
    lines: tuple[Line, ...]
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]


@dataclass(frozen=True)
class AccuracyBar:
    """A bar from the left to ``end``, its deviation from ``low`` to ``high`` (None for a single seed), and its row."""

    name: str
    kind: str
    color: int
    top: float
    end: float
    low: float | None
    high: float | None
    value: str


@dataclass(frozen=True)
class BarChart:
    """The bars of one network."""

    title: str
    alternative: str
    bars: tuple[AccuracyBar, ...]
    x: tuple[Tick, ...]
    height: float


def curves(title: str, series: Mapping[str, Sequence[Point]], logarithmic: bool = False) -> LineChart | None:
    """Lines by name of ``(iteration, value)``; None where there is nothing to draw.

    ``logarithmic`` holds where every value is above zero.
    """
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    logarithmic = logarithmic and min(value for points in series.values() for _, value in points) > 0
    thin = {name: thin_out(points) for name, points in series.items()}
    low = min(bottom for rows in thin.values() for _, bottom, _, _ in rows)
    high = max(top for rows in thin.values() for *_, top in rows)
    first, last = (f(x for points in series.values() for x, _ in points) for f in (min, max))
    marks = decades(low, high) if logarithmic else nice(low, high)
    low, high = min(low, marks[0]), max(high, marks[-1])

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((value - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        low_, high_, value_ = (math.log10(v) if logarithmic else v for v in (low, high, value))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ((value_ - low_) / (high_ - low_) if high_ > low_ else 0.5)

    lines = []
    for i, (name, rows) in enumerate(thin.items()):
        middle = " ".join(f"{x(at):.1f},{y(mean):.1f}" for at, _, mean, _ in rows)
        edges = [f"{x(at):.1f},{y(top):.1f}" for at, _, _, top in rows]
        edges += [f"{x(at):.1f},{y(bottom):.1f}" for at, bottom, _, _ in reversed(rows)]
        lines.append(Line(name, i % COLORS, middle, " ".join(edges) if len(rows) < len(series[name]) else ""))
    below = [value for value in nice(first, last, 4) if value == int(value)]
    return LineChart(
        title=title,
        alternative=" ".join(_in_words(name, points) for name, points in series.items()),
        lines=tuple(lines),
        x=tuple(Tick(x(value), count(int(value))) for value in below if first <= value <= last),
        y=tuple(Tick(y(value), number(value)) for value in marks),
    )


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


def nice(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers, about so many, that enclose ``low`` to ``high``."""
    if high <= low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    digits = max(0, 1 - math.floor(math.log10(step)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, digits) for k in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten that enclose ``low`` to ``high``, some left out where they are many."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    step = -(-(last - first) // 6)
    return [10.0**k for k in range(first, last + step, step)]


def bars(title: str, entries: Sequence[tuple[str, str, int, Mapping[str, Any]]], most: float) -> BarChart:
    """Accuracies of one network: name, kind, color and statistics of each set, on an axis from 0 to ``most``."""
    marks = nice(0, most, 4)
    scale = (WIDTH - VALUE) / marks[-1]
    drawn = []
    for i, (name, kind, color, entry) in enumerate(entries):
        mean, std = entry["mean"], entry["std"]
        low, high = (None, None) if std is None else (max(0, mean - std) * scale, min(marks[-1], mean + std) * scale)
        drawn.append(AccuracyBar(name, kind, color, i * ROW, mean * scale, low, high, percent(entry)))
    said = "; ".join(f"{bar.name} {bar.value} %" for bar in drawn)
    ticks = tuple(Tick(value * scale, f"{100 * value:g}") for value in marks)
    return BarChart(title, f"Accuracy of {title}: {said}.", tuple(drawn), ticks, len(drawn) * ROW + 22)
