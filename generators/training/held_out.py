"""Which images a generator may be trained on: none that is in a validation or test set, and no twin of one."""

import hashlib
from functools import cache

import torch
from torch import Tensor

from glad.data.dataset import ImageData, Splits
from glad.data.splits import load_data


def digests(data: ImageData) -> list[bytes]:
    """The SHA-256 of the stored pixels of every image, in order."""
    return [hashlib.sha256(image.numpy().tobytes()).digest() for part in data.chunks() for image in data.raw(part)]


def unseen_elsewhere(data: ImageData, held_out: list[ImageData]) -> Tensor:
    """Indices of the images of ``data`` without an identical twin in any of ``held_out``, int64."""
    taken = {digest for other in held_out for digest in digests(other)}
    return torch.tensor([i for i, digest in enumerate(digests(data)) if digest not in taken], dtype=torch.int64)


def training_images(splits: Splits) -> ImageData:
    """The training images, less those in a validation or test set of ``splits`` or of the embedded data."""
    held_out = [splits.validation, splits.test, *_embedded(splits.train.resolution)]
    return splits.train.select(unseen_elsewhere(splits.train, held_out))


@cache
def _embedded(resolution: int) -> tuple[ImageData, ImageData]:
    """The held-out images of the embedded data; twins stay twins when both are resized."""
    embedded = load_data("fashion-mini", resolution=resolution)
    return embedded.validation, embedded.test
