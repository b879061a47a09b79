"""Grids of images for people to look at, and pictures as files."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from glad.runs.formatting import printable
from glad.runs.soft_labels import likeliest
from glad.runs.storage import write_durably

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, SMALL = 96, 56  # pixels of a tile, at least: in a grid, on a sheet
MOST = 20  # rows and columns, at most
GAP, HEAD, LEFT, FONT = 4, 18, 150, 11  # LEFT at least, more where a row's name is longer
CAPTION = 14  # pixels below an image with a soft label

Row = tuple[str, Tensor]
"""A name and its images, uint8 [n, C, H, W]."""


def grid(pixels: Tensor, labels: Tensor, classes: Sequence[str]) -> Image.Image:
    """Draw ``pixels`` [N, C, H, W] in [0, 1] with a column per class and its name above (the first ``MOST``).

    Small images are enlarged without smoothing. A class's images run down its column, in order. Soft ``labels`` [N, K]
    put an image into the column of its likeliest class, and the weight of that class is written below it.

    Args:
        pixels: Values in [0, 1], of one or three channels; outside values are clipped.
        labels: int64 [N], or float [N, K].
        classes: Their names, K of them.

    Returns:
        An RGB picture.
    """
    soft = labels.is_floating_point()
    weights, below = (labels.amax(1) if soft else None), (CAPTION if soft else 0)
    labels = likeliest(labels)
    shown = [(labels == c).nonzero().flatten()[:MOST] for c in range(min(len(classes), MOST))]
    scale = max(1, math.ceil(SIDE / pixels.shape[-1]))
    side = pixels.shape[-1] * scale
    rows = max(len(index) for index in shown)
    height = side + below + GAP
    canvas = Image.new("RGB", (len(shown) * (side + GAP) + GAP, HEAD + rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    for column, index in enumerate(shown):
        x = GAP + column * (side + GAP)
        draw.text((x, 3), classes[column][: side // 6], fill="black", font=font)
        for row, i in enumerate(index.tolist()):
            y = HEAD + GAP + row * height
            canvas.paste(tile(pixels[i], side), (x, y))
            if weights is not None:
                draw.text((x, y + side), f"{float(weights[i]):.2f}", fill="black", font=font)
    return canvas


def sheet(rows: Sequence[Row]) -> Image.Image:
    """Draw each row's name (``printable``) and, to the right of it, its images, enlarged without smoothing."""
    resolution = rows[0][1].shape[-1]
    side = resolution * -(-SMALL // resolution)
    columns = max(len(images) for _, images in rows)
    font = ImageFont.load_default(FONT)
    names = [printable(name) for name, _ in rows]
    left = max(LEFT, *(math.ceil(font.getlength(name)) + 2 * GAP for name in names))
    size = (left + columns * (side + GAP), GAP + len(rows) * (side + GAP))
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for i, (name, (_, images)) in enumerate(zip(names, rows, strict=True)):
        y = GAP + i * (side + GAP)
        draw.text((GAP, y + (side - FONT) // 2), name, fill="black", font=font)
        for column, image in enumerate(images):
            canvas.paste(tile(image / 255, side), (left + column * (side + GAP), y))
    return canvas


def tile(image: Tensor, side: int) -> Image.Image:
    """One image [C, H, W] in [0, 1] (one or three channels; outside values are clipped) as a square of ``side``."""
    values = eight_bit(image).expand(3, -1, -1).permute(1, 2, 0)  # [C, H, W] -> [H, W, 3]
    return Image.fromarray(values.contiguous().numpy()).resize((side, side), Image.Resampling.NEAREST)


def eight_bit(pixels: Tensor) -> Tensor:
    """Pixels in [0, 1], clipped and rounded to uint8, on the CPU."""
    return (pixels.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def save_png(image: Image.Image, path: Path) -> None:
    """Write a picture durably."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_durably(path, buffer.getvalue())


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a drawing durably, as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_durably(path, buffer.getvalue())
