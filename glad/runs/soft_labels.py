"""The file of soft labels beside a run's set: ``soft_labels.safetensors``, which exports of the run carry along."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from glad.runs.storage import RunError, read_tensors, write_tensors

NAME = "soft_labels.safetensors"


def likeliest(labels: Tensor) -> Tensor:
    """The class of each image, int64 [N]: ``labels`` themselves, or of soft ones [N, K] the class of most weight."""
    return labels.argmax(1) if labels.is_floating_point() else labels


def hash_of(images: Tensor) -> str:
    """A short hash of a tensor's bytes."""
    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def write(folder: Path, images: Tensor, soft_labels: Tensor, teacher: Mapping[str, Any]) -> None:
    """Write the distributions [N, K] of a set's ``images`` and the settings of the teacher that they are from."""
    about = {"images": hash_of(images), "teacher": json.dumps(dict(teacher), sort_keys=True)}
    write_tensors(folder / NAME, {"soft_labels": soft_labels}, **about)


def read(folder: Path, images: Tensor) -> Tensor | None:
    """The distributions float32 [N, K] of a set's ``images``; None where none were made.

    Raises ``RunError`` when they were made for other images: the run has gone on since.
    """
    if not (folder / NAME).exists():
        return None
    tensors, metadata = read_tensors(folder / NAME)
    if metadata.get("images") != hash_of(images) or "soft_labels" not in tensors:
        raise RunError(
            f"{folder / NAME} is of another set than the run's: make it anew with `glad evaluate --label-mode soft "
            f"{folder}`, or remove it"
        )
    return tensors["soft_labels"]
