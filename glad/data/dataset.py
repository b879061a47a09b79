"""Labelled images in memory or on disk, with the normalisation that belongs to them."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from glad.data.zca import ZCA

CHUNK = 1000


class DataError(ValueError):
    """A data set that cannot be used as it is: one line that names the value and the fix."""


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file; every failure inside the block becomes a ``DataError`` with the path."""
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an 8-bit image ({error}): replace or remove it") from error


def decode(paths: Sequence[Path], channels: int, resolution: int) -> Tensor:
    """Read image files as uint8 [n, channels, resolution, resolution], resized and cropped by ``fit``.

    Raises ``DataError`` with the path of a file that is missing, truncated, no image, or deeper than 8 bits.
    """
    images = torch.empty(len(paths), channels, resolution, resolution, dtype=torch.uint8)
    with ThreadPoolExecutor() as pool:
        for i, pixels in enumerate(pool.map(partial(_decode, channels=channels, resolution=resolution), paths)):
            images[i] = pixels
    return images


def _decode(path: Path, channels: int, resolution: int) -> Tensor:
    with open_image(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"its mode is {image.mode}")
        pixels = functional.pil_to_tensor(image.convert("L" if channels == 1 else "RGB"))
    return fit(pixels, resolution)


def fit(images: Tensor, resolution: int) -> Tensor:
    """Scale images [..., C, H, W] until the shorter side is ``resolution``, then crop the centre square."""
    if images.shape[-2:] == (resolution, resolution):
        return images
    scaled = functional.resize(images, [resolution], antialias=True)
    return functional.center_crop(scaled, [resolution, resolution])


@dataclass(frozen=True, eq=False)
class ImageData:
    """N labelled images of K classes, and the map from pixels to what networks see.

    ``images`` is uint8 [N, C, H, W], or N paths that are decoded on demand; ``labels`` is int64 [N] in 0..K-1.
    ``class_ids`` are the classes' indices in the source's own numbering (the ImageNet index for its subsets), which is
    what a conditional generator is asked for. ``mean`` and ``std`` are per channel, of the training data's pixels in
    [0, 1]. ``flip`` says whether a mirrored image keeps its class (it does not for digits).
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
        """Map pixels in [0, 1], float [n, C, H, W], to what networks see; differentiable, on any device."""
        images = (pixels - self._column(self.mean, pixels)) / self._column(self.std, pixels)
        return images if self.whitening is None else self.whitening.whiten(images)

    def pixels(self, images: Tensor) -> Tensor:
        """Undo ``normalize``; values outside [0, 1] are kept."""
        images = images if self.whitening is None else self.whitening.unwhiten(images)
        return images * self._column(self.std, images) + self._column(self.mean, images)

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
        """Return the images of ``indices`` (int64 [n]) with the same classes and normalisation."""
        return replace(self, images=take(self.images, indices), labels=self.labels[indices])

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the exact mean and standard deviation per channel of these images' pixels in [0, 1].

        A channel that is constant has 1 as its deviation, so that normalising it only centres it.
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
    """Three disjoint sets of images; all share the mean, deviation and whitening of ``train``."""

    train: ImageData
    validation: ImageData
    test: ImageData


def take(images: Tensor | tuple[Path, ...], indices: Tensor) -> Tensor | tuple[Path, ...]:
    """Return the images of ``indices`` in the same form, a tensor or paths."""
    return images[indices] if isinstance(images, Tensor) else tuple(images[i] for i in indices.tolist())


def _moments(counts: list[int]) -> tuple[float, float]:
    """Mean and deviation of values 0..255 over 255; integers, so that every machine gets the same digest."""
    n = sum(counts)
    if not n:
        raise DataError("there are no images to take the mean and deviation of")
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    return total / (255 * n), math.sqrt((squares * n - total * total) / (255 * n) ** 2) or 1.0
