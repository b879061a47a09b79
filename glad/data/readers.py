"""Readers: from a name, a folder or an npz file to the images and labels as the source has them."""

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.models import ResNet18_Weights

from glad.data.dataset import DataError, take

ASSETS = Path(__file__).parent / "assets"
TEST_FRACTION = 0.2  # of a source that has no test images of its own


@dataclass(frozen=True)
class Part:
    """N images, uint8 [N, C, H, W] or paths, and their labels, int64 [N]."""

    images: Tensor | tuple[Path, ...]
    labels: Tensor

    def take(self, indices: Tensor) -> "Part":
        """Return the images and labels of ``indices``."""
        return Part(take(self.images, indices), self.labels[indices])


@dataclass(frozen=True)
class Raw:
    """What a reader returns: the parts that the source has, as they are there.

    ``parts`` has "train", and "validation" and "test" where the source has them. ``channels`` is set where the reader
    knows it without a look at the images.
    """

    name: str
    classes: tuple[str, ...]
    parts: dict[str, Part]
    class_ids: tuple[int, ...]
    flip: bool = True
    channels: int | None = None


def known_sources() -> list[str]:
    """Return the names ``read`` knows, in their long form."""
    return ["fashion-mini", *TORCHVISION, "imagenet", *_subsets()]


def _subsets() -> dict[str, list[int]]:
    table = json.loads((ASSETS / "imagenet_subsets.json").read_text(encoding="utf-8"))
    return {name: ids for name, ids in table.items() if not name.startswith("_")}


def read(source: str, root: Path, download: bool) -> Raw:
    """Read a source by its name, or by its path where it has no such name; ``DataError`` if that cannot be done."""
    name, path, subsets = source.lower(), Path(source).expanduser(), _subsets()
    # imagenet-nette, nette and imagenette are one subset.
    alias = {short: long for long in subsets for short in (long[9:], f"image{long[9:]}")}
    name = alias.get(name, name)
    if not source:
        raise DataError(f"no data set is named: choose from {', '.join(known_sources())}, or a folder or .npz file")
    if name == "fashion-mini":
        return _fashion_mini()
    if name in TORCHVISION:
        return _torchvision(name, root, download)
    if name == "imagenet" or name in subsets:
        return _imagenet(name, root, subsets.get(name))
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".npz" and path.is_file():
        return _npz(path)
    if path.exists():
        raise DataError(f"{source} is neither a folder nor an .npz file: give a folder of images or an .npz file")
    if path.suffix == ".npz" or len(path.parts) > 1:
        raise DataError(f"{source} does not exist: check the path")
    close = get_close_matches(name, [*known_sources(), *alias], n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise DataError(f"unknown data set {source!r}{hint} Known: {', '.join(known_sources())}, or a folder or .npz file")


def _fashion_mini() -> Raw:
    tensors = load_file(ASSETS / "fashion-mini.safetensors")
    parts = {
        split: Part(tensors[f"{split}_images"].unsqueeze(1), tensors[f"{split}_labels"].long())
        for split in ("train", "validation", "test")
    }
    return Raw("fashion-mini", tuple(datasets.FashionMNIST.classes), parts, tuple(range(10)))


@dataclass(frozen=True)
class _Torchvision:
    dataset: Any
    folder: str  # where torchvision keeps it, below the root
    splits: tuple[dict[str, Any], ...] = ({"train": True}, {"train": False})
    flip: bool = True


_NAMED_SPLITS: tuple[dict[str, Any], ...] = ({"split": "train"}, {"split": "test"})
TORCHVISION = {
    "mnist": _Torchvision(datasets.MNIST, "MNIST/raw", flip=False),
    "fashionmnist": _Torchvision(datasets.FashionMNIST, "FashionMNIST/raw"),
    "cifar10": _Torchvision(datasets.CIFAR10, "cifar-10-batches-py"),
    "cifar100": _Torchvision(datasets.CIFAR100, "cifar-100-python"),
    "svhn": _Torchvision(datasets.SVHN, "", _NAMED_SPLITS, flip=False),
    "stl10": _Torchvision(datasets.STL10, "stl10_binary", _NAMED_SPLITS),
}


def _torchvision(name: str, root: Path, download: bool) -> Raw:
    entry = TORCHVISION[name]
    try:
        pair = [entry.dataset(str(root), download=download, **split) for split in entry.splits]
    except ImportError as error:
        raise DataError(f"{name} needs another package ({error}): install scipy") from error
    except (RuntimeError, OSError, ValueError, EOFError, AssertionError, KeyError) as error:
        raise DataError(
            f"{name} cannot be read from {root / entry.folder} ({' '.join(str(error).split())}): "
            "put torchvision's files there, name another root (--root), or ask for a download (--download)"
        ) from error
    parts = {}
    for split, data in zip(("train", "test"), pair, strict=True):
        labels = torch.as_tensor(np.asarray(data.labels if hasattr(data, "labels") else data.targets)).long()
        parts[split] = Part(_channels_first(np.asarray(data.data), name), labels)
    classes = tuple(getattr(pair[0], "classes", None) or map(str, range(10)))
    return Raw(name, classes, parts, tuple(range(len(classes))), entry.flip)


def _imagenet(name: str, root: Path, ids: list[int] | None) -> Raw:
    train = root / "train"
    wnids = _subfolders(train)
    if len(wnids) != 1000:
        raise DataError(
            f"{name} needs the 1000 class folders of ImageNet in {train}, found {len(wnids)}: name another root "
            "(--root), or give the folder's path as the data set to read just the classes in it"
        )
    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    ids = list(range(1000)) if ids is None else ids
    folders = [wnids[i] for i in ids]
    parts = {"train": _listed(train, folders), "test": _listed(root / "val", folders)}
    return Raw(name, tuple(names[i] for i in ids), parts, tuple(ids), channels=3)


def _folder(path: Path) -> Raw:
    inside = set(_subfolders(path))
    split = {"train": "train"}
    if "train" not in inside or not inside & {"test", "val"}:
        split = {"train": "."}
    elif "test" in inside:
        split |= {"test": "test"} | ({"validation": "val"} if "val" in inside else {})
    else:
        split |= {"test": "val"}
    classes = _subfolders(path / split["train"])
    if not classes:
        raise DataError(f"{path / split['train']} has no class folders: lay the images out as CLASS/image.png")
    for folder in split.values():
        if extra := sorted(set(_subfolders(path / folder)) - set(classes)):
            raise DataError(f"class {extra[0]!r} is in {path / folder} but not among the training classes: remove it")
    parts = {part: _listed(path / folder, classes) for part, folder in split.items()}
    return Raw(path.resolve().name, tuple(classes), parts, tuple(range(len(classes))))


def _subfolders(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir() if p.is_dir() and p.name[0] != ".") if path.is_dir() else []


def _listed(path: Path, classes: Sequence[str]) -> Part:
    files = [
        sorted(p for p in (path / c).rglob("*") if p.suffix.lower() in IMG_EXTENSIONS and p.name[0] != ".")
        for c in classes
    ]
    labels = torch.arange(len(classes)).repeat_interleave(torch.tensor([len(f) for f in files], dtype=torch.int64))
    return Part(tuple(p for group in files for p in group), labels)


def _npz(path: Path) -> Raw:
    arrays = _arrays(path)
    pairs = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
    if not {"x_train", "y_train"} & set(arrays):
        pairs = {"train": ("images", "labels")}
    elif not {"x_test", "y_test"} & set(arrays):
        del pairs["test"]
    parts = {}
    for part, keys in pairs.items():
        if missing := [key for key in keys if key not in arrays]:
            found = ", ".join(arrays) or "none"
            raise DataError(
                f"{path} lacks {missing[0]!r} (found: {found}): it needs x_train and y_train, or images and labels"
            )
        parts[part] = _labelled(arrays, keys, path)
    count = 1 + max(int(part.labels.max()) for part in parts.values())
    return Raw(path.stem, tuple(map(str, range(count))), parts, tuple(range(count)))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    wanted = ("x_train", "y_train", "x_test", "y_test", "images", "labels")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in file.files if key in wanted}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({error}): write it anew") from error


def _labelled(arrays: dict[str, np.ndarray], keys: tuple[str, str], path: Path) -> Part:
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
    return Part(_channels_first(images, f"{keys[0]} in {path}"), torch.from_numpy(labels.astype(np.int64)))


def _channels_first(images: np.ndarray, name: str) -> Tensor:
    """uint8 NHW, NHWC or NCHW to NCHW; channels are last where the last axis has length 1 or 3."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"{name} has shape {images.shape}: store images as NHW, NHWC or NCHW with 1 or 3 channels")
    return torch.from_numpy(np.ascontiguousarray(images))
