"""Sets that other programs made, brought to the data that they stand for, or to themselves where none is named."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from glad.data.dataset import ImageData
from glad.data.notices import DataError, warn_of
from glad.data.pixels import decode, fit
from glad.data.raw import Part, Raw
from glad.data.survey import settle
from glad.formats.distilled import Card, Distilled
from glad.formats.found import FoundSet
from glad.formats.readers import find_set
from glad.formats.set_classes import match_classes
from glad.formats.storage import QuantizationLoss
from glad.formats.values import settle_values, to_pixels
from glad.settings.sets import Values


def read_foreign(
    path: Path,
    data: ImageData | None = None,
    values: Values | None = None,
    class_map: Mapping[str, str | int] | None = None,
) -> Distilled:
    """Read a set that ``glad export`` did not write.

    What its owner may not expect is said by warnings, ``DataNotice``.

    Args:
        path: A file or folder; docs/DATA.md shows the forms.
        data: What the set stands for: it gets the classes, size and normalization of these images. Without them its
            classes are its own, and its own mean and deviation normalize it.
        values: What stored floats outside [0, 1] are.
        class_map: Class of the set to class of ``data``, where names and numbers do not tell.

    Returns:
        The set, in the order of its file.

    Raises:
        DataError: It is no set, damaged, not of these classes or this size, or nobody said what its values are.
    """
    found = find_set(path)
    notices = list(found.notices)
    if data is None and class_map:
        raise DataError(f"{found.where}: a class map needs the data whose classes it names: name them (--data)")
    labels, soft = found.labels, found.soft_labels
    if data is not None:
        order, said = match_classes(
            found.where,
            found.classes,
            data,
            used=range(len(found.classes)) if soft is not None else set(labels.tolist()),
            named=found.named,
            class_map=class_map,
        )
        notices += said
        labels, soft = order[labels], None if soft is None else reorder(soft, order, len(data.classes))
    images, pixels, base, said = _images(found, data, values)
    warn_of([*notices, *said])
    return Distilled(images, pixels, labels, soft, _card(path, found, base, pixels))


def reorder(soft: Tensor, order: Tensor, classes: int) -> Tensor:
    """Distributions [N, K] over a set's classes as ones over the data's ``classes``; ``order`` has their labels."""
    return soft.new_zeros(len(soft), classes).index_add_(1, order, soft)


def _images(
    found: FoundSet, data: ImageData | None, values: Values | None
) -> tuple[Tensor, Tensor, ImageData, list[str]]:
    """Normalized images, their pixels, the data that normalizes them, and lines about what was done."""
    where = found.where
    if not isinstance(found.images, Tensor):
        channels, side = (data.channels, data.resolution) if data else _own_size(found)
        others = {header.size for header in found.headers.values()} - {(side, side)}
        pixels = decode(found.images, channels, side).float() / 255
        base = data or _normalized_by_itself(pixels, found.classes)
        return base.normalize(pixels), pixels, base, _say_of_size(where, sorted(others), side)
    kind = settle_values(found.images, values, where)
    if data is None and kind == "normalized":
        raise DataError(f"{where}: the mean and deviation of normalized values are the data's: name the data (--data)")
    _, channels, height, width = found.images.shape
    if data is not None and channels != data.channels:
        raise DataError(f"{where} has images of {channels} channels, {data.name} has {data.channels}: convert the set")
    side = data.resolution if data else _own_size(found)[1]
    fits = (height, width) == (side, side)
    said = _say_of_size(where, [] if fits else [(width, height)], side)
    if data is not None and kind == "normalized":
        if fits:
            return found.images, data.pixels(found.images), data, said
        if data.whitening is not None:
            raise DataError(f"{where} has images of {width}x{height}: whitened ones of {side}x{side} are needed")
        pixels = fit(data.pixels(found.images), side)
    else:
        pixels = to_pixels(fit(found.images, side), kind)
    base = data or _normalized_by_itself(pixels, found.classes)
    return base.normalize(pixels), pixels, base, said


def _own_size(found: FoundSet) -> tuple[int, int]:
    """Channels and side of images that are for no data; ``DataError`` unless they are squares of one size."""
    raw = Raw(found.where, found.classes, {"train": Part(found.images, found.labels)}, ())
    return settle(raw, found.headers, None)


def _say_of_size(where: str, sizes: list[tuple[int, int]], side: int) -> list[str]:
    """A line where images of other ``sizes``, width and height, are brought to ``side``."""
    if not sizes:
        return []
    listed = ", ".join(f"{width}x{height}" for width, height in sizes[:3]) + (", ..." if len(sizes) > 3 else "")
    return [f"{where}: images of {listed} are resized to {side}x{side}"]


def _normalized_by_itself(pixels: Tensor, classes: tuple[str, ...]) -> ImageData:
    """An empty data set whose mean and deviation are those of ``pixels`` [N, C, H, W]."""
    values = pixels.double().transpose(0, 1).flatten(1)
    return ImageData(
        name="its own images",
        images=torch.empty(0, *pixels.shape[1:], dtype=torch.uint8),
        labels=torch.empty(0, dtype=torch.int64),
        classes=classes,
        class_ids=tuple(range(len(classes))),
        mean=tuple(values.mean(1).tolist()),
        std=tuple(std or 1.0 for std in values.std(1, unbiased=False).tolist()),
        resolution=pixels.shape[2],
        channels=pixels.shape[1],
    )


def _card(path: Path, found: FoundSet, base: ImageData, pixels: Tensor) -> Card:
    return Card(
        classes=base.classes,
        images=len(pixels),
        channels=base.channels,
        resolution=base.resolution,
        mean=base.mean,
        std=base.std,
        range=(float(pixels.min()), float(pixels.max())),
        zca="none" if base.whitening is None else "kept",
        step_size=None,
        format="foreign",
        levels=None,
        cost=QuantizationLoss(),
        made={"file": path.name, "normalized by": base.name},
    )
