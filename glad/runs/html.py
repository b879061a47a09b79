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
    return address("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(), alternative)


def address(source: str, alternative: str) -> str:
    """The picture at the address ``source``, on white in a dark notebook too."""
    return (
        f'<img src="{source}" alt="{escape(alternative)}" style="display: block; max-width: 100%; background: white">'
    )


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
