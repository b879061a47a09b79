"""Snapshots: the set's images on their way, as small tensors beside the pictures ``grid_*.png``."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from glad.runs.image_grid import eight_bit
from glad.runs.storage import RunError, read_tensors, write_tensors

COUNT = 400  # images of a snapshot, at most
BYTES = 4 * 2**20  # of a snapshot's images, at most


@dataclass(frozen=True)
class Snapshot:
    """The set after ``iteration`` updates.

    Attributes:
        iteration: The number of updates.
        images: uint8 [n, C, h, w], in [0, 255]; smaller than the set's where those would take more than ``BYTES``.
        labels: Of these images, int64 [n] or float32 [n, K].
        numbers: Which images of the set these are, int64 [n].
    """

    iteration: int
    images: Tensor
    labels: Tensor
    numbers: Tensor


def write_snapshot(folder: Path, iteration: int, pixels: Tensor, labels: Tensor) -> None:
    """Write ``snapshot_ITERATION.safetensors``.

    Args:
        folder: The run's.
        iteration: Updates so far.
        pixels: Of the whole set, float [N, C, H, W] in [0, 1]; outside values are clipped. Of more than ``COUNT``
            images some are kept, evenly apart.
        labels: int64 [N] or float [N, K].
    """
    count = min(len(pixels), COUNT)
    numbers = torch.arange(count) * len(pixels) // count
    tensors = {"images": eight_bit(_small(pixels.cpu()[numbers])), "labels": labels.cpu()[numbers], "numbers": numbers}
    write_tensors(folder / f"snapshot_{iteration:06d}.safetensors", tensors, iteration=str(iteration))


def _small(pixels: Tensor) -> Tensor:
    """``pixels`` [n, C, H, W], their sides halved until they fit into ``BYTES`` as uint8."""
    side = pixels.shape[-1]
    while side > 1 and pixels[:, :, 0, 0].numel() * side**2 > BYTES:
        side = -(-side // 2)
    return pixels if side == pixels.shape[-1] else interpolate(pixels, size=side, mode="area")


def find_snapshots(folder: Path) -> dict[int, Path]:
    """The files of a run's snapshots by iteration, in order; empty for runs of versions that wrote none."""
    paths = folder.glob("snapshot_[0-9]*.safetensors")
    return dict(sorted((int(path.stem.removeprefix("snapshot_")), path) for path in paths))


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot; ``RunError`` with the path where it is damaged or something else."""
    tensors, metadata = read_tensors(path)
    try:
        found = Snapshot(int(metadata["iteration"]), tensors["images"], tensors["labels"], tensors["numbers"])
    except (KeyError, ValueError) as error:
        raise RunError(f"{path} is no snapshot of a run: it lacks {error}") from error
    if found.images.dtype != torch.uint8 or found.images.ndim != 4 or len(found.images) != len(found.numbers):
        raise RunError(
            f"{path} is no snapshot of a run: its images are {found.images.dtype} {list(found.images.shape)}"
        )
    return found
