"""The set's images through a run, cut out of its pictures ``grid_*.png``, as ``data:`` URIs.

The grids hold each image exactly as 8 bits show it, enlarged by a whole factor without smoothing; only their first rows
and columns are drawn. Of larger sets the first and the last are taken from the stored tensors instead, where whitening
does not have to be undone.
"""

import base64
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from glad.reports.run_data import Facts, tensors_of
from glad.runs.image_grid import GAP, HEAD, MOST, SIDE, eight_bit
from glad.runs.storage import RunError

SHOWN = 400  # images of a set, at most
PICTURES = 1500  # images of all frames together
FRAMES = 25
EXACT = 64  # pixels; larger images are compressed
AROUND = 20  # a frame's loss is the mean over this part of the run, before and after it


@dataclass(frozen=True)
class Frame:
    """The set after ``iteration`` updates, a ``data:`` URI for each image that is shown; ``loss`` around it."""

    iteration: int
    pictures: tuple[str, ...]
    loss: float | None


@dataclass(frozen=True)
class Film:
    """Frames in order; ``shown`` are the numbers of the images in the set, and ``best`` the frame of lowest loss."""

    frames: tuple[Frame, ...]
    shown: tuple[int, ...]
    best: int


def film(facts: Facts) -> Film | None:
    """The frames of a run, some of them left out where they are many; None before the first set is written."""
    if facts.pixels is None:
        return None
    count, _, height, _ = facts.pixels
    places = _places(facts.labels, len(facts.classes))
    grids = {int(path.stem.removeprefix("grid_")): path for path in facts.run.path.glob("grid_[0-9]*.png")}
    stored = not facts.config.get("zca") and (len(places) < count or not grids)
    if stored:
        shown = tuple(range(min(count, SHOWN)))
        sets = {0: "initial"} | ({facts.iterations: "synset"} if facts.finished else {})
        found = {i: _of_tensors(facts, f"{kind}.safetensors", len(shown)) for i, kind in sorted(sets.items())}
    else:
        shown = tuple(sorted(places))
        layout = tuple(places[i] for i in shown)
        rows = 1 + max((row for _, row in places.values()), default=0)
        kept = _thinned(sorted(i for i in grids if i <= facts.done), len(shown), facts.metrics)
        found = {i: _of_grid(grids[i], grids[i].stat().st_mtime_ns, layout, rows, height) for i in kept}
    if not found:
        return None
    losses = smoothed(facts.metrics, list(found))
    frames = tuple(Frame(i, pictures, losses.get(i)) for i, pictures in found.items())
    return Film(frames, shown, _lowest(frames))


def neighbours_of(facts: Facts, shown: Sequence[int]) -> dict[int, str]:
    """The training images nearest to those that are ``shown``, as the audit found them; empty where it did not look."""
    path = facts.run.path / "audit_nearest.safetensors"
    if facts.audit is None or facts.pixels is None or not path.exists():
        return {}
    (images,) = tensors_of(path, "pixels")
    return {i: encoded(_picture(images[i])) for i in shown} if len(images) == facts.pixels[0] else {}


def smoothed(metrics: Sequence[Mapping[str, float]], iterations: Sequence[int]) -> dict[int, float]:
    """The mean loss around each of ``iterations``; an iteration's loss is of the set before its update."""
    if not metrics:
        return {}
    half = max(1, len(metrics) // AROUND)
    losses = {int(entry["iteration"]): float(entry["loss"]) for entry in metrics}
    last = max(losses)
    means = {}
    for i in iterations:
        centre = min(i, last)
        near = [losses[j] for j in range(centre - half, centre + half + 1) if j in losses]
        if near:
            means[i] = statistics.fmean(near)
    return means


def _lowest(frames: Sequence[Frame]) -> int:
    known = [(frame.loss, place) for place, frame in enumerate(frames) if frame.loss is not None]
    return min(known)[1] if known else len(frames) - 1


def _thinned(iterations: list[int], images: int, metrics: Sequence[Mapping[str, float]]) -> list[int]:
    """As many as the page can carry, evenly apart, and among them the first, the best and the last."""
    room = max(3, min(FRAMES, PICTURES // max(1, images)))
    if len(iterations) <= room:
        return iterations
    losses = smoothed(metrics, iterations)
    best = min(iterations, key=lambda i: losses.get(i, math.inf))
    spread = {iterations[round(k * (len(iterations) - 1) / (room - 2))] for k in range(room - 1)}
    return sorted(spread | {best})


def _places(labels: Sequence[int], classes: int) -> dict[int, tuple[int, int]]:
    """Column and row of each image that ``glad.runs.image_grid.grid`` draws, by its number."""
    places: dict[int, tuple[int, int]] = {}
    rows = [0] * min(classes, MOST)
    for i, c in enumerate(labels):
        if c < len(rows) and rows[c] < MOST:
            places[i] = (c, rows[c])
            rows[c] += 1
    return places


@lru_cache(maxsize=FRAMES * 4)
def _of_grid(
    path: Path, changed: int, places: tuple[tuple[int, int], ...], rows: int, resolution: int
) -> tuple[str, ...]:
    """The images of a grid in their own size; ``changed`` is the time of the file, so that a new one is read."""
    side = resolution * max(1, math.ceil(SIDE / resolution))
    columns = 1 + max(column for column, _ in places)
    try:
        with Image.open(path) as image:
            grid = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    if grid.height != HEAD + rows * (side + GAP) + GAP or grid.width < columns * (side + GAP) + GAP:
        raise RunError(f"{path} is {grid.width} x {grid.height} pixels, which no picture of this set is: remove it")
    cut = []
    for column, row in places:
        left, top = GAP + column * (side + GAP), HEAD + GAP + row * (side + GAP)
        tile = grid.crop((left, top, left + side, top + side))
        cut.append(encoded(tile.resize((resolution, resolution), Image.Resampling.NEAREST)))
    return tuple(cut)


def _of_tensors(facts: Facts, name: str, count: int) -> tuple[str, ...]:
    """The first ``count`` images of a stored set."""
    (images,) = tensors_of(facts.run.path / name, "images")
    mean, std = (torch.tensor(facts.inputs[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return tuple(encoded(_picture(image)) for image in eight_bit(images[:count] * std + mean))


def _picture(image: Tensor) -> Image.Image:
    """An image uint8 [C, H, W] of one or three channels."""
    return Image.fromarray(image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())


def encoded(picture: Image.Image) -> str:
    """An RGB picture as a ``data:`` URI: grey where it is, PNG while it is small, else JPEG."""
    red, green, blue = picture.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        picture = red
    buffer, small = io.BytesIO(), max(picture.size) <= EXACT
    if small:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=90)
    return data_uri(buffer.getvalue(), "png" if small else "jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """The bytes of an image as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
