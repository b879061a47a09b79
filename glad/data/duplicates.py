"""Images that are there twice: within a split, and, worse, among those that a network is tested on."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glad.data.notices import DataError
from glad.data.raw import Part

ENDS = 8192  # bytes of a file's head and of its tail that are compared before the whole


def identities(parts: Sequence[Part]) -> list[list[Any]]:
    """For each part a value per image, equal where two images are identical.

    Arrays are compared by their pixels. Files that are decoded on demand are compared by their bytes: first by their
    number, then at both ends, then all.
    """
    arrays = [part.images for part in parts if isinstance(part.images, Tensor)]
    if arrays:  # then all parts are arrays
        return [[_hash(image.tobytes()) for image in images.numpy()] for images in arrays]
    paths = [path for part in parts for path in part.images if isinstance(path, Path)]
    values: list[Any] = [path.stat().st_size for path in paths]
    for refine in (_ends, Path.read_bytes):
        values = _refine(values, paths, refine)
    positions = iter(values)
    return [[next(positions) for _ in part.images] for part in parts]


def _refine(values: list[Any], paths: list[Path], read: Callable[[Path], bytes]) -> list[Any]:
    """``values``, with a hash of what is read beside those that occur more than once."""
    counts = Counter(values)
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(lambda value, path: _hash(read(path)) if counts[value] > 1 else b"", values, paths)
    return [(value, found) for value, found in zip(values, hashes, strict=True)]


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(ENDS)
        file.seek(max(0, path.stat().st_size - ENDS))
        return head + file.read(ENDS)


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def say_of_copies(name: str, parts: dict[str, Part]) -> list[str]:
    """A line where images of the validation or test split are training images too."""
    train, validation, test = identities([parts[split] for split in ("train", "validation", "test")])
    known = set(train)
    counts = {
        "validation": sum(value in known for value in validation),
        "test": sum(value in known for value in test),
    }
    stated = [f"{count} of {len(parts[split].labels)} {split} images" for split, count in counts.items() if count]
    if not stated:
        return []
    which = " and ".join(stated)
    return [f"{name}: {which} are identical to training images (--drop-duplicates leaves them out of training)"]


def drop_copies(name: str, parts: dict[str, Part], classes: Sequence[str]) -> tuple[dict[str, Part], list[str]]:
    """Leave one of each image: that of the test split, else of the validation split, else the first training image.

    Test images are all kept. Returns the parts and a line that says how many went. ``DataError`` where a class loses
    its last image.
    """
    order = ("test", "validation", "train")
    seen: set[Any] = set()
    kept = dict(parts)
    for split, values in zip(order, identities([parts[split] for split in order]), strict=True):
        if split != "test":
            first = {value: i for i, value in reversed(list(enumerate(values)))}
            keep = sorted(i for value, i in first.items() if value not in seen)
            kept[split] = parts[split].take(torch.tensor(keep, dtype=torch.int64))
            for c, count in enumerate(kept[split].labels.bincount(minlength=len(classes)).tolist()):
                if not count:
                    raise DataError(
                        f"class {classes[c]!r} of {name} has no {split} images without duplicates: add some"
                    )
        seen.update(values)
    lost = {split: len(parts[split].labels) - len(kept[split].labels) for split in ("train", "validation")}
    stated = [f"{count} {split} images" for split, count in lost.items() if count]
    return kept, [f"{name}: {' and '.join(stated)} are left out, for they are there twice"] * bool(stated)
