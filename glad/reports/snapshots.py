"""The set's images through a run, as ``data:`` URIs: its snapshots.

Runs of versions that kept none show their first and last set, from the stored tensors, where whitening does not have
to be undone.
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

from glad.reports.run_data import RunData, tensors_of
from glad.runs.image_grid import eight_bit
from glad.runs.snapshots import COUNT, find_snapshots, read_snapshot

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
    """Frames in order.

    Attributes:
        frames: At least one.
        shown: The numbers of the images in the set.
        best: The frame of lowest loss.
        side: Pixels of the pictures' sides; below that of the set's where these are large.
        complete: Whether the run kept snapshots; else the first and the last set are all that is known.
    """

    frames: tuple[Frame, ...]
    shown: tuple[int, ...]
    best: int
    side: int
    complete: bool


def film(run_data: RunData) -> Film | None:
    """The frames of a run, some of them left out where they are many; None where it holds no images to show."""
    if run_data.pixels is None:
        return None
    paths = {i: path for i, path in find_snapshots(run_data.run.path).items() if i <= run_data.done}
    return _of_snapshots(run_data, paths) if paths else _of_tensors(run_data)


def _of_snapshots(run_data: RunData, paths: Mapping[int, Path]) -> Film:
    first = read_snapshot(next(iter(paths.values())))
    shown = tuple(first.numbers.tolist())
    kept = _thin(list(paths), len(shown), run_data.metrics)
    pictures = {i: _pictures(paths[i], paths[i].stat().st_mtime_ns) for i in kept}
    return _film(run_data, pictures, shown, first.images.shape[-1], True)


def _of_tensors(run_data: RunData) -> Film | None:
    """The first and the last set of a run without snapshots."""
    if run_data.config.get("zca") or run_data.pixels is None:
        return None
    shown = tuple(range(min(run_data.pixels[0], COUNT)))
    sets = {0: "initial"} | ({run_data.iterations: "synset"} if run_data.finished else {})
    mean, std = (torch.tensor(run_data.inputs[key]).view(-1, 1, 1) for key in ("mean", "std"))
    pictures = {}
    for i, kind in sorted(sets.items()):
        (images,) = tensors_of(run_data.run.path / f"{kind}.safetensors", "images")
        pictures[i] = tuple(encode(_picture(image)) for image in eight_bit(images[: len(shown)] * std + mean))
    return _film(run_data, pictures, shown, run_data.pixels[-1], False)


def _film(
    run_data: RunData, pictures: Mapping[int, tuple[str, ...]], shown: tuple[int, ...], side: int, complete: bool
) -> Film:
    losses = smooth(run_data.metrics, list(pictures))
    frames = tuple(Frame(i, images, losses.get(i)) for i, images in pictures.items())
    return Film(frames, shown, _lowest(frames), side, complete)


@lru_cache(maxsize=FRAMES * 4)
def _pictures(path: Path, changed: int) -> tuple[str, ...]:
    """The images of a snapshot; ``changed`` is the time of the file, so that a new one is read."""
    return tuple(encode(_picture(image)) for image in read_snapshot(path).images)


def neighbors_of(run_data: RunData, shown: Sequence[int]) -> dict[int, str]:
    """The training images nearest to those that are ``shown``, as the audit found them; empty where it did not look."""
    path = run_data.run.path / "audit_nearest.safetensors"
    if run_data.audit is None or run_data.pixels is None or not path.exists():
        return {}
    (images,) = tensors_of(path, "pixels")
    return {i: encode(_picture(images[i])) for i in shown} if len(images) == run_data.pixels[0] else {}


def smooth(metrics: Sequence[Mapping[str, float]], iterations: Sequence[int]) -> dict[int, float]:
    """The mean loss around each of ``iterations``; an iteration's loss is of the set before its update."""
    if not metrics:
        return {}
    half = max(1, len(metrics) // AROUND)
    losses = {int(entry["iteration"]): float(entry["loss"]) for entry in metrics}
    last = max(losses)
    means = {}
    for i in iterations:
        center = min(i, last)
        near = [losses[j] for j in range(center - half, center + half + 1) if j in losses]
        if near:
            means[i] = statistics.fmean(near)
    return means


def _lowest(frames: Sequence[Frame]) -> int:
    known = [(frame.loss, place) for place, frame in enumerate(frames) if frame.loss is not None]
    return min(known)[1] if known else len(frames) - 1


def _thin(iterations: list[int], images: int, metrics: Sequence[Mapping[str, float]]) -> list[int]:
    """As many as the page can carry, evenly apart, and among them the first, the best and the last."""
    room = max(3, min(FRAMES, PICTURES // max(1, images)))
    if len(iterations) <= room:
        return iterations
    losses = smooth(metrics, iterations)
    best = min(iterations, key=lambda i: losses.get(i, math.inf))
    spread = {iterations[round(k * (len(iterations) - 1) / (room - 2))] for k in range(room - 1)}
    return sorted(spread | {best})


def _picture(image: Tensor) -> Image.Image:
    """An image uint8 [C, H, W] of one or three channels."""
    return Image.fromarray(image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())


def encode(picture: Image.Image) -> str:
    """An RGB picture as a ``data:`` URI: gray where it is, PNG while it is small, else JPEG."""
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
