"""What a reader returns: images and labels as the source has them, and what there is to say about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from glad.data.pixels import ImageFile

File = TypeVar("File", bound=ImageFile)


def take(images: Tensor | tuple[File, ...], indices: Tensor) -> Tensor | tuple[File, ...]:
    """Return the images of ``indices`` in the same form, a tensor or paths."""
    return images[indices] if isinstance(images, Tensor) else tuple(images[i] for i in indices.tolist())


@dataclass(frozen=True)
class Part:
    """N images, uint8 [N, C, H, W] or paths, their labels, int64 [N], and where they are from, in words."""

    images: Tensor | tuple[ImageFile, ...]
    labels: Tensor
    origin: str = ""

    def take(self, indices: Tensor) -> "Part":
        """Return the images and labels of ``indices``."""
        return Part(take(self.images, indices), self.labels[indices], self.origin)


@dataclass(frozen=True)
class Raw:
    """The parts that a source has, as they are there.

    ``parts`` has "train", and "validation" and "test" where the source has them. ``class_ids`` are the classes' numbers
    in a numbering of ``numbering`` classes, 0 where the source has none and they are positions. ``channels`` is set
    where the reader knows it without a look at the images. ``notices`` are lines for whoever uses the data. ``named``
    says whether ``classes`` are names, rather than the numbers of an array of labels.
    """

    name: str
    classes: tuple[str, ...]
    parts: dict[str, Part]
    class_ids: tuple[int, ...]
    numbering: int = 0
    flip: bool = True
    channels: int | None = None
    notices: tuple[str, ...] = ()
    named: bool = True


def make_part(files: Sequence[Path], names: Sequence[str], classes: Sequence[str], origin: str) -> Part:
    """A part of ``files``, each of the class in ``names``, sorted by class and then by path."""
    position = {name: i for i, name in enumerate(classes)}
    pairs = sorted((position[name], path) for path, name in zip(files, names, strict=True))
    return Part(tuple(path for _, path in pairs), torch.tensor([c for c, _ in pairs], dtype=torch.int64), origin)
