"""What a notebook shows of a run or a set: self-contained HTML, with its pictures inside and all text escaped."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image
from torch import Tensor

from glad.runs.image_grid import grid

WIDEST = 1000  # pixels of a picture, at most
SHOWN = 100  # images of a set, at most
WIDTH, HEIGHT, EDGE = 480, 140, 24  # of a curve
POINTS = 400  # of a curve, at most


def section(title: str, facts: Mapping[str, object], *parts: str) -> str:
    """Join a heading, facts and parts.

    Args:
        title: Text.
        facts: Texts by name; they become one line.
        parts: HTML of this module's other functions.

    Returns:
        HTML.
    """
    stated = ", ".join(f"{escape(name)} {escape(' '.join(str(value).split()))}" for name, value in facts.items())
    return f"<div><p><b>{escape(title)}</b>{': ' + stated if stated else ''}</p>{''.join(parts)}</div>"


def note(text: str) -> str:
    """A paragraph of plain ``text``."""
    return f"<p>{escape(text)}</p>"


def picture(image: Image.Image, alternative: str) -> str:
    """``image`` as an ``img`` that needs no file, no larger than ``WIDEST``; ``alternative`` is its text."""
    image = image.copy()
    image.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{content}" alt="{escape(alternative)}" style="max-width: 100%">'


def images(pixels: Tensor, labels: Tensor, classes: Sequence[str], total: int | None = None) -> str:
    """Images of a set as a grid with a column per class: all of them, or ``SHOWN``, evenly apart.

    Args:
        pixels: Float [N, C, H, W] in [0, 1]; outside values are clipped.
        labels: int64 [N] or float [N, K].
        classes: Names, K of them.
        total: Images of the set, where ``pixels`` are only some of them.

    Returns:
        HTML.
    """
    kept = evenly(len(pixels), SHOWN)
    drawn = grid(pixels[kept].detach().cpu(), labels[kept].detach().cpu(), classes)
    return picture(drawn, f"{len(kept)} of {total or len(pixels)} images, a column per class")


def evenly(total: int, most: int) -> list[int]:
    """Numbers below ``total``, evenly apart from 0 on: all of them, or ``most``."""
    count = min(total, most)
    return [i * total // count for i in range(count)]


def curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    """A curve as SVG, in the color of the text around it.

    Args:
        name: What is drawn, for people.
        points: Places and finite values, by place; of more than ``POINTS`` some are drawn, with the first and last.

    Returns:
        HTML; empty without points.
    """
    if not points:
        return ""
    count = min(len(points), POINTS)
    kept = [points[round(i * (len(points) - 1) / max(1, count - 1))] for i in range(count)]
    (first, last), values = (kept[0][0], kept[-1][0]), [value for _, value in kept]
    low, high = min(values), max(values)
    across, up = (WIDTH - 2 * EDGE) / ((last - first) or 1), (HEIGHT - 2 * EDGE) / ((high - low) or 1)
    drawn = " ".join(f"{EDGE + (x - first) * across:.1f},{HEIGHT - EDGE - (y - low) * up:.1f}" for x, y in kept)
    said = f"{name}, {low:.4g} to {high:.4g}, from {first:g} to {last:g}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" style="max-width: 100%">'
        f"<title>{escape(said)}</title>"
        f'<polyline points="{drawn}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<g fill="currentColor" font-size="11"><text x="{EDGE}" y="14">{escape(said)}</text></g></svg>'
    )
