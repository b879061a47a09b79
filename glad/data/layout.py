"""The words of folders: which name splits, which are nobody's data, and in which order classes stand."""

import re
from collections.abc import Iterable, Sequence

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Those of torchvision's ``ImageFolder``."""
SPLITS = ("train", "validation", "test")
WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "validate", "valid", "val", "dev"),
    "test": ("test", "testing"),
    "evaluation": ("eval", "evaluation"),
}
"""What Hugging Face documents, and ``validate``; its ``eval`` is the test split, here validation beside ``test``."""
_SPLIT_NAME = re.compile(rf"({'|'.join(w for words in WORDS.values() for w in words)})[ ._-]?(set|images|data|split)?")
_TOKEN = re.compile(r"[^-._ 0-9]+")
SYSTEM = {"__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
"""Folders that an operating system, a NAS or a notebook leaves behind; hidden ones begin with a dot."""
PICTURES = frozenset(
    f".{suffix}"
    for suffix in (
        *("gif", "jfif", "jpe", "avif", "heic", "heif", "jxl", "jp2", "j2k", "tga", "ico", "exr", "hdr", "psd", "svg"),
        *("dcm", "pcx", "ras", "dng", "raw", "cr2", "cr3", "nef", "arw", "orf", "rw2", "mp4", "avi", "mov", "webm"),
    )
)
"""Suffixes of pictures that are not read; they are counted and said."""


def split_of(name: str) -> str | None:
    """The split that a folder called ``name`` holds: a key of ``WORDS``, or None where the name is none of a split."""
    match = _SPLIT_NAME.fullmatch(name.strip().casefold())
    return next((split for split, words in WORDS.items() if match and match[1] in words), None)


def has_split_word(name: str) -> bool:
    """Whether one of the words in ``name`` is a split's, as in ``seg_train``."""
    return any(split_of(token) for token in _TOKEN.findall(name))


def resolve_splits(names: Iterable[str]) -> dict[str, list[str]]:
    """``names`` by split; ``eval`` is the test split, or the validation split where another name says test."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(split_of(name) or "", []).append(name)
    found.pop("", None)
    evaluation = found.pop("evaluation", [])
    if evaluation:
        found.setdefault("validation" if "test" in found else "test", []).extend(evaluation)
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or a system's."""
    return name.startswith(".") or name.casefold() in SYSTEM


def is_image(name: str) -> bool:
    """Whether the suffix is that of a file that is read."""
    return name.lower().endswith(IMG_EXTENSIONS)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Classes in the order of their labels: numbers by their value, other names as text."""
    numbers = numbers_of(names := list(names))
    return (
        tuple(sorted(names)) if numbers is None else tuple(name for _, name in sorted(zip(numbers, names, strict=True)))
    )


def numbers_of(names: Sequence[str]) -> list[int] | None:
    """The numbers that all ``names`` are, if they are different numbers."""
    if not all(name.isascii() and name.isdecimal() for name in names):
        return None
    numbers = [int(name) for name in names]
    return numbers if len(set(numbers)) == len(numbers) else None


def own_numbers(classes: Sequence[str]) -> tuple[tuple[int, ...], int]:
    """The numbers of classes in their source, and how many it counts: 0 where the names are no numbering.

    Names that are the numbers from 0 or 1 on are one; others get their position.
    """
    numbers, count = numbers_of(classes), len(classes)
    if numbers in (list(range(count)), list(range(1, count + 1))):
        return tuple(range(count)), count
    return tuple(range(count)), 0
