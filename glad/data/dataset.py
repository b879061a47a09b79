"""Labeled images in memory or on disk, with the normalization that belongs to them."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from glad.data.notices import DataError
from glad.data.pixels import decode
from glad.data.raw import take
from glad.data.zca import ZCA

__all__ = ["DataError", "ImageData", "Splits"]

CHUNK = 1000


@dataclass(frozen=True, eq=False)
class ImageData:
    """N labeled images of K classes, and the map from pixels to what networks see.

    ``images`` is uint8 [N, C, H, W], or N paths that are decoded on demand; ``labels`` is int64 [N] in 0..K-1.
    ``class_ids`` are the classes' indices in the source's own numbering (the ImageNet index for its subsets), which is
    what a conditional generator is asked for. ``numbering`` is how many classes that numbering has; where it is 0
    the source has none, and the indices are positions. ``mean`` and ``std`` are per channel, of the training data's
    pixels in [0, 1]. ``flip`` says whether a mirrored image keeps its class (it does not for digits).
    """

    name: str
    images: Tensor | tuple[Path, ...]
    labels: Tensor
    classes: tuple[str, ...]
    class_ids: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int
    channels: int
    whitening: ZCA | None = None
    flip: bool = True
    numbering: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def raw(self, indices: Tensor) -> Tensor:
        """Return the stored pixels of ``indices``, uint8 [n, C, H, W]."""
        if isinstance(self.images, Tensor):
            return self.images[indices]
        return decode([self.images[i] for i in indices.tolist()], self.channels, self.resolution)

    def batch(self, indices: Tensor) -> Tensor:
        """Return the images of ``indices`` (int64 [n]) as networks see them, float32 [n, C, H, W]."""
        return self.normalize(self.raw(indices).float() / 255)

    def tensor(self) -> Tensor:
        """Return all images as networks see them, float32 [N, C, H, W]."""
        return self.batch(torch.arange(len(self)))

    def chunks(self) -> Iterator[Tensor]:
        """Iterate over the indices of all images in order, some at a time."""
        yield from torch.arange(len(self)).split(CHUNK)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Map pixels in [0, 1], float [n, C, H, W], to what networks see; differentiable, on any device.

        They are whitened where there is a whitening, else normalized by mean and deviation.
        """
        if self._standardized:
            pixels = (pixels - self._column(self.mean, pixels)) / self._column(self.std, pixels)
        return pixels if self.whitening is None else self.whitening.whiten(pixels)

    def pixels(self, images: Tensor) -> Tensor:
        """Undo ``normalize``; values outside [0, 1] are kept."""
        images = images if self.whitening is None else self.whitening.unwhiten(images)
        if not self._standardized:
            return images
        return images * self._column(self.std, images) + self._column(self.mean, images)

    @property
    def _standardized(self) -> bool:
        return self.whitening is None or self.whitening.standardized

    def of_class(self, c: int) -> Tensor:
        """Return the indices of the images of class ``c``, int64; raises ``DataError`` outside 0..K-1."""
        if not 0 <= c < len(self.classes):
            raise DataError(f"class {c} does not exist: {self.name} has classes 0 to {len(self.classes) - 1}")
        return (self.labels == c).nonzero().flatten()

    def real(self, c: int, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` distinct images of class ``c``, float32 [n, C, H, W]; ``DataError`` if there are too few."""
        indices = self.of_class(c)
        if n > len(indices):
            raise DataError(
                f"class {self.classes[c]!r} of {self.name} has {len(indices)} images, {n} were asked for: ask for fewer"
            )
        return self.batch(indices[torch.randperm(len(indices), generator=rng)[:n]])

    def select(self, indices: Tensor) -> "ImageData":
        """Return the images of ``indices`` (int64 [n]) with the same classes and normalization."""
        return replace(self, images=take(self.images, indices), labels=self.labels[indices])

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the exact mean and standard deviation per channel of these images' pixels in [0, 1].

        A channel that is constant has 1 as its deviation, so that normalizing it only centers it.
        """
        counts = torch.zeros(self.channels, 256, dtype=torch.int64)
        for indices in self.chunks():
            for channel, values in enumerate(self.raw(indices).transpose(0, 1)):
                counts[channel] += values.flatten().bincount(minlength=256)
        moments = [_moments(row) for row in counts.tolist()]
        return tuple(mean for mean, _ in moments), tuple(std for _, std in moments)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all that networks and labels depend on, in hexadecimal.

        Paths enter by folder, file name and size in bytes, so a data set keeps its digest when it is moved.
        """
        state = hashlib.sha256(repr((self.classes, self.mean, self.std, self.resolution, self.channels)).encode())
        state.update(self.whitening.digest.encode() if self.whitening else b"")
        state.update(self.labels.contiguous().numpy().data)
        if isinstance(self.images, Tensor):
            state.update(self.images.contiguous().numpy().data)
        else:
            for path in self.images:
                state.update(f"{path.parent.name}/{path.name}\0{path.stat().st_size}\0".encode())
        return state.hexdigest()

    def _column(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)


@dataclass(frozen=True)
class Splits:
    """Three disjoint sets of images; all share the mean, deviation and whitening of ``train``.

    ``origins`` says of each split, by its name, where its images are from; ``notices`` are the lines that were said
    when the data was read.
    """

    train: ImageData
    validation: ImageData
    test: ImageData
    origins: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def _moments(counts: list[int]) -> tuple[float, float]:
    """Mean and deviation of values 0..255 over 255; integers, so that every machine gets the same digest."""
    n = sum(counts)
    if not n:
        raise DataError("there are no images to take the mean and deviation of")
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    return total / (255 * n), math.sqrt((squares * n - total * total) / (255 * n) ** 2) or 1.0
