"""What a distilled set takes to store: bytes of latents, shared tensors and labels; the prior's weights apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from glad.runs.folder import Run
from glad.runs.storage import RunError, below, read_tensors


class StoredTensor(Protocol):
    """What a size is counted of: a tensor, or one in few bits."""

    @property
    def nbytes(self) -> int:
        """Bytes that are stored."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class StoredSize:
    """Bytes of a set.

    Attributes:
        latents: Of all rows: 4 for each number that is learned, and what indices and masks take.
        shared: Of tensors that rows share, such as the frequencies of a class, or weights learned along with the set.
        labels: 4 for each number of soft labels; hard ones take 1 for each row, 2 beyond 256 classes.
        classes: The number of classes.
        weights: Of the pretrained weights that images are rendered with, which are no part of the set; 0 where there
            are none, None where it is not known.
    """

    latents: int
    shared: int
    labels: int
    classes: int
    weights: int | None = 0

    @property
    def total(self) -> int:
        """Bytes of the whole set, without the prior's weights."""
        return self.latents + self.shared + self.labels

    @property
    def per_class(self) -> float:
        """Bytes of a class on average, without the prior's weights."""
        return self.total / self.classes


def size_of_rows(
    latents: Mapping[str, StoredTensor],
    shared: Mapping[str, StoredTensor],
    labels: Tensor,
    classes: int,
    weights: int | None = 0,
) -> StoredSize:
    """The size of a set of rows.

    Args:
        latents: Tensors of N rows by name.
        shared: Tensors that rows share, by name.
        labels: Of the images: int64 [M], or soft ones float [M, K].
        classes: The number of classes.
        weights: Bytes of pretrained weights.
    """
    rows = len(next(iter(latents.values())))
    return StoredSize(
        latents=sum(tensor.nbytes for tensor in latents.values()),
        shared=sum(tensor.nbytes for tensor in shared.values()),
        labels=labels.nbytes if labels.is_floating_point() else _hard(rows, classes),
        classes=classes,
        weights=weights,
    )


def size_of_images(images: Tensor, labels: Tensor, classes: int, bits: int = 8) -> StoredSize:
    """The size of ``images`` [N, C, H, W] stored as they are, with so many bits a value and their ``labels``."""
    soft = labels.is_floating_point()
    return StoredSize(images.numel() * bits // 8, 0, labels.nbytes if soft else _hard(len(images), classes), classes)


def _hard(rows: int, classes: int) -> int:
    return rows * max(1, math.ceil(math.log2(max(2, classes)) / 8))


def size_of_run(run: Run) -> StoredSize | None:
    """The size of the final set of a run; None where it is not finished or its state is not there."""
    try:
        tensors, state = read_tensors(run.path / "synset.safetensors")[0], read_tensors(run.state)[0]
    except RunError:
        return None
    inputs = run.inputs
    weights = inputs.get("weights_bytes", 0 if run.weights is None else None)
    return size_of_rows(
        below("latents", tensors), below("prior", state), tensors["labels"], len(inputs["classes"]), weights
    )
