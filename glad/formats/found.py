"""A set of somebody else as it lies in its file: stored values, labels, and what its classes are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glad.data.arrays import channels_first, class_names, classes_key, pair_keys
from glad.data.notices import DataError, shorten
from glad.data.pixels import Header, ImageFile
from glad.data.raw import Raw
from glad.data.survey import read_all_headers, say_of_pixels


@dataclass(frozen=True, eq=False)
class FoundSet:
    """N images of a file or folder, not yet of any data.

    Attributes:
        where: What messages call it.
        images: Values as stored, uint8 or float32 [N, C, H, W], or N image files.
        labels: Positions in ``classes``, int64 [N].
        classes: The classes in the order of the labels: names, or numbers as texts.
        named: Whether ``classes`` are names.
        soft_labels: Distributions, float32 [N, K], where the file has such.
        headers: What image files say of themselves; none for values.
        notices: Lines for whoever uses the set.
    """

    where: str
    images: Tensor | tuple[ImageFile, ...]
    labels: Tensor
    classes: tuple[str, ...]
    named: bool
    soft_labels: Tensor | None = None
    headers: Mapping[ImageFile, Header] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labels:
    """Hard labels int64 [N], distributions float32 [N, K] or None, how many classes, and lines about them."""

    hard: Tensor
    soft: Tensor | None
    count: int
    notices: tuple[str, ...] = ()


def of_raw(raw: Raw, where: str) -> FoundSet:
    """The training images of a folder or a table of images, which are the set; other parts give a notice."""
    part = raw.parts["train"]
    if not len(part.labels):
        raise DataError(f"{where} has no images")
    others = [f"{split} ({len(other.labels)} images)" for split, other in raw.parts.items() if split != "train"]
    stated = [f"{where}: the set is its training images ({part.origin}); not used: {', '.join(others)}"] * bool(others)
    alone = Raw(raw.name, raw.classes, {"train": part}, raw.class_ids)
    headers = read_all_headers(alone)
    notices = (*raw.notices, *stated, *say_of_pixels(where, headers))
    return FoundSet(where, part.images, part.labels, raw.classes, raw.named, headers=headers, notices=notices)


def of_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    where: str,
    names: tuple[str, ...] | None = None,
    notices: tuple[str, ...] = (),
) -> FoundSet:
    """The set of arrays of images and labels; ``DataError`` where they are none."""
    if labels.dtype.kind == "U" and labels.ndim == 1 and names is None:
        found, labels = np.unique(labels, return_inverse=True)
        names = tuple(found.tolist())
    stored, read = read_images(images, where), read_labels(labels, where)
    if len(stored) != len(read.hard):
        raise DataError(f"{where} has {len(stored)} images and {len(read.hard)} labels: store a label per image")
    if names is not None and len(names) < read.count:
        raise DataError(f"{where} has {len(names)} names for {read.count} classes: name them all")
    hard, soft, classes = read.hard, read.soft, tuple(map(str, range(read.count))) if names is None else names
    if names is None and soft is None and int(hard.min()) > 0:  # numbers that do not begin with 0
        numbers, hard = hard.unique(return_inverse=True)
        classes = tuple(map(str, numbers.tolist()))
    if soft is not None and soft.shape[1] < len(classes):
        raise DataError(f"{where} has labels of {soft.shape[1]} classes and {len(classes)} names: name as many")
    return FoundSet(where, stored, hard, classes, names is not None, soft, notices=(*notices, *read.notices))


def of_named(arrays: Mapping[str, np.ndarray], path: Path) -> FoundSet:
    """The set in arrays with names, such as ``images`` and ``labels``; those of training where there are splits."""
    pairs = pair_keys(arrays, path)
    images, labels = pairs["train"]
    unused = [key for key in arrays if key not in (images, labels, classes_key(arrays))]
    notices = [f"{path}: the set is {images} and {labels}; not used: {shorten(unused)}"] * bool(unused)
    names = class_names(arrays, 0, path) if classes_key(arrays) else None
    return of_arrays(arrays[images], arrays[labels], str(path), names, tuple(notices))


def read_images(array: np.ndarray, where: str) -> Tensor:
    """Stored values as uint8 or float32 [N, C, H, W]; ``DataError`` where an array holds no images."""
    kind = array.dtype.kind
    if kind not in "iuf" or array.ndim not in (3, 4) or not array.size:
        raise DataError(
            f"{where} holds {array.dtype} {list(array.shape)} as images: store numbers [N, C, H, W], [N, H, W, C] "
            "or [N, H, W]"
        )
    if kind != "f" and array.dtype != np.uint8:
        low, high = array.min(), array.max()
        if low < 0 or high > 255:
            raise DataError(
                f"{where} holds {array.dtype} pixels from {low} to {high}: store them as 0 to 255, or floats"
            )
        array = array.astype(np.uint8)
    images = channels_first(array, where)
    if images.dtype == torch.uint8:
        return images
    if not bool(images.isfinite().all()):
        raise DataError(f"{where} holds values that are not finite (NaN or infinite): make the set anew")
    return images.float()


def read_labels(array: np.ndarray, where: str) -> Labels:
    """Labels as numbers [N] or [N, 1], one-hot, probabilities or logits [N, K]; ``DataError`` for all else."""
    if array.dtype.kind not in "iufb" or not array.size or not np.isfinite(array).all():
        raise DataError(f"{where} holds {array.dtype} {list(array.shape)} as labels: they are finite numbers")
    if array.ndim == 2 and array.shape[1] > 1:
        return _rows(torch.from_numpy(np.ascontiguousarray(array)), where)
    if array.size != array.shape[0] if array.ndim else True:
        raise DataError(f"{where} has labels {list(array.shape)}: store one number, or one row, per image")
    flat = array.reshape(-1)
    if (flat != np.round(flat)).any() or flat.min() < 0 or flat.max() > 65535:
        raise DataError(f"{where} has labels from {flat.min()} to {flat.max()}: number the classes from 0")
    hard = torch.from_numpy(flat.astype(np.int64))
    return Labels(hard, None, int(hard.max()) + 1)


def _rows(rows: Tensor, where: str) -> Labels:
    """Labels that are a row of numbers for each image."""
    values, count = rows.double(), rows.shape[1]
    if bool(((values == 0) | (values == 1)).all()):
        if not bool((values.sum(1) == 1).all()):
            raise DataError(f"{where} has several labels per image, or none ({list(rows.shape)}): give each one class")
        return Labels(values.argmax(1), None, count)
    if not rows.is_floating_point():
        raise DataError(
            f"{where} has whole numbers {list(rows.shape)} as labels: store one number per image, or logits"
        )
    probable = bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() < 0.01).all())
    soft = values / values.sum(1, keepdim=True) if probable else values.softmax(1)
    said = "probabilities" if probable else "logits, of which the softmax is taken"
    note = f"{where}: labels {list(rows.shape)} are {said}; hard labels are the likeliest classes"
    return Labels(soft.argmax(1), soft.float(), count, (note,))
