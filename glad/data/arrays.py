"""npz files: which arrays are images, which labels, of which split."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from glad.data.layout import SPLITS, own_numbers, resolve_splits, split_of
from glad.data.notices import DataError, shorten
from glad.data.raw import Part, Raw

PARTNERS = {"x": "y", "images": "labels", "image": "label", "imgs": "labels", "data": "labels"}
"""Words for images, and the word for labels that a missing array would have."""
LABELS = {"y": "x", "labels": "images", "label": "image", "targets": "data", "target": "data"}
MADE = ("syn", "best")
"""Words that say that images were made, as in ``image_syn``."""
DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    TypeError,
    LookupError,
    RuntimeError,
    MemoryError,
    OverflowError,
)
"""What numpy raises on damaged files; ``NotImplementedError`` is a ``RuntimeError``."""
CLASSES = ("classes", "class_names", "label_names")
"""What an array of the classes' names is called; the first of these that is there counts."""
OURS = ("mean", "std", "dataset", "soft_labels", "step_size")  # of `glad export --format npz`


def read_npz(path: Path, least: int = 2) -> Raw:
    """Read images and labels; names are ``x_train``, ``train_images``, ``images`` and so on, for each split.

    ``classes``, or another of ``CLASSES``, holds the classes' names. Raises ``DataError`` where the arrays do not fit,
    or where there are fewer than ``least`` classes.
    """
    return _read(load_arrays(path), path, least)


def read_safetensors(path: Path, least: int = 2) -> Raw:
    """Read images and labels as ``read_npz`` does; of an exported set the pixels, rounded to 8 bits."""
    try:
        with safe_open(str(path), "np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            names = (file.metadata() or {}).get("classes")
    except (*DAMAGE, SafetensorError) as error:
        raise DataError(f"{path} is damaged, or no safetensors of plain numbers ({error}): write it anew") from error
    if names is not None:
        arrays["classes"] = np.array(names.split("\n"))
    notices = []
    if (pixels := arrays.pop("pixels", None)) is not None and "images" in arrays:  # which are normalized
        outside = float(((pixels < 0) | (pixels > 1)).mean())
        notices.append(
            f"{path}: pixels are rounded to 8 bits; {100 * outside:.3g} % lay outside 0 to 1 and are clipped"
        )
        arrays["images"] = np.round(pixels.clip(0, 1) * 255).astype(np.uint8)
    raw = _read(arrays, path, least)
    return replace(raw, notices=(*notices, *raw.notices))


def _read(arrays: Mapping[str, np.ndarray], path: Path, least: int) -> Raw:
    pairs = pair_keys(arrays, path)
    notices = []
    parts = {split: _make_part(arrays, pairs[split], path) for split in SPLITS if split in pairs}
    used = {key for pair in pairs.values() for key in pair}
    named = classes_key(arrays)
    if unused := [key for key in arrays if key not in (*used, *OURS, named)]:
        notices.append(f"{path}: not used: {shorten(unused)}")
    count = 1 + max(int(part.labels.max()) for part in parts.values())
    classes = class_names(arrays, count, path)
    if len(classes) < least:
        raise DataError(f"{path} has one class: give at least two")
    numbering = own_numbers(classes)[1] or (len(classes) if named is None else 0)
    ids = tuple(range(len(classes)))
    return Raw(path.stem, classes, parts, ids, numbering, notices=tuple(notices), named=named is not None)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz that ``pair_keys`` may pair and ``CLASSES``, and an empty one in place of each other.

    Raises ``DataError`` where the file is damaged or holds objects.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] if _role(key) or key in CLASSES else np.empty(0) for key in file.files}
    except (*DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path} is damaged, or no .npz file: write it anew") from error
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({error}): write it anew") from error


def _role(key: str) -> tuple[str, bool] | None:
    """The word for the split in ``key``, "" where there is none, and whether it names labels; None for other arrays."""
    words = key.lower().split("_")
    split = next((word for word in words if split_of(word)), "")
    rest = [word for word in words if word not in (split, *MADE)]
    if len(rest) != 1 or rest[0] not in (*PARTNERS, *LABELS):
        return None
    return split, rest[0] in LABELS


def pair_keys(keys: Iterable[str], path: Path) -> dict[str, tuple[str, str]]:
    """The names of images and labels of each split; ``DataError`` where one is missing or there are two."""
    found = list(keys)
    roles = {key: role for key in found if (role := _role(key))}
    words = resolve_splits({split for split, _ in roles.values() if split})
    words.setdefault("train", [""])
    pairs = {}
    for split, names in words.items():
        images, labels = (
            [key for key, (word, kind) in roles.items() if word in names and kind is k] for k in (False, True)
        )
        for keys in (images, labels):
            if len(keys) > 1:
                raise DataError(f"{path} has {' and '.join(keys)}, which both mean {split}: keep one")
        if not images or not labels:
            there = (images + labels or [""])[0]
            missing = "_".join((PARTNERS | LABELS).get(word.lower(), word) for word in there.split("_")) or "images"
            raise DataError(
                f"{path} lacks {missing!r} (found: {shorten(found) or 'none'}): it needs x_train and y_train, "
                "or images and labels"
            )
        pairs[split] = (images[0], labels[0])
    return pairs


def classes_key(arrays: Mapping[str, np.ndarray]) -> str | None:
    """What the array of the classes' names is called; None where there is none."""
    return next((key for key in CLASSES if key in arrays), None)


def class_names(arrays: Mapping[str, np.ndarray], count: int, path: Path) -> tuple[str, ...]:
    """The classes' names, which are their numbers unless an array says others; bytes are UTF-8."""
    key = classes_key(arrays)
    if key is None:
        return tuple(map(str, range(count)))
    names = arrays[key]
    if names.dtype.kind == "S":
        try:
            names = np.char.decode(names, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{key} in {path} is no UTF-8 ({error}): store names as text") from error
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < count or len(set(names.tolist())) < len(names):
        least = f"at least {count} " if count else ""
        raise DataError(
            f"{key} in {path} is {names.dtype} {names.shape}: store {least}different names as text, in label order"
        )
    return tuple(names.tolist())


def _make_part(arrays: Mapping[str, np.ndarray], keys: tuple[str, str], path: Path) -> Part:
    images, labels = (arrays[key] for key in keys)
    if images.dtype != np.uint8:
        raise DataError(f"{keys[0]} in {path} is {images.dtype}: store pixels as uint8 in 0..255")
    if labels.dtype.kind not in "iu" or labels.ndim == 0 or labels.size != labels.shape[0]:
        raise DataError(f"{keys[1]} in {path} is {labels.dtype} {labels.shape}: store one whole number per image")
    if images.shape[:1] != labels.shape[:1] or not labels.size:
        raise DataError(
            f"{path} has {images.shape[:1]} {keys[0]} and {labels.shape} {keys[1]}: store a label per image"
        )
    labels = labels.reshape(-1)
    if labels.min() < 0 or labels.max() > 65535:
        raise DataError(f"{keys[1]} in {path} go from {labels.min()} to {labels.max()}: number the classes from 0")
    pixels = channels_first(images, f"{keys[0]} in {path}")
    return Part(pixels, torch.from_numpy(labels.astype(np.int64)), f"{keys[0]}, {keys[1]}")


def channels_first(images: np.ndarray, name: str) -> Tensor:
    """NHW, NHWC or NCHW to NCHW; channels are last where the last axis has length 1 or 3."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"{name} has shape {images.shape}: store images as NHW, NHWC or NCHW with 1 or 3 channels")
    return torch.from_numpy(np.ascontiguousarray(images))
