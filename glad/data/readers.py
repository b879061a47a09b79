"""Readers: from a name, a folder or an npz file to the images and labels as the source has them.

torchvision is imported where it reads: that takes longer than all the rest of what a command imports beside torch.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glad.data.arrays import channels_first, read_npz, read_safetensors
from glad.data.embedded import ASSETS, EMBEDDED
from glad.data.encoded import HUB, read_hub, read_parquet, read_tar
from glad.data.folders import read_folder
from glad.data.notices import DataError
from glad.data.raw import Part, Raw, make_part
from glad.data.tree import Tree

ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


FILES = {".npz": read_npz, ".safetensors": read_safetensors, ".parquet": read_parquet, ".tar": read_tar}
"""The readers of files by suffix."""


def known_sources() -> list[str]:
    """Return the names ``read`` knows, in their long form."""
    return [*EMBEDDED, *TORCHVISION, "imagenet", *_subsets()]


def _subsets() -> dict[str, list[int]]:
    table = json.loads((ASSETS / "imagenet_subsets.json").read_text(encoding="utf-8"))
    return {name: ids for name, ids in table.items() if not name.startswith("_")}


def read(source: str, root: Path, download: bool, least: int = 2) -> Raw:
    """Read a source by its name, or by its path where it has no such name.

    ``DataError`` if that cannot be done, or if a folder or file has fewer than ``least`` classes.
    """
    name, path, subsets = source.lower(), Path(source).expanduser(), _subsets()
    # imagenet-nette, nette and imagenette are one subset.
    alias = {short: long for long in subsets for short in (long[9:], f"image{long[9:]}")}
    name = alias.get(name, name)
    if not source:
        raise DataError(
            f"no data set is named: choose from {', '.join(known_sources())}, or a folder or file of images"
        )
    if name in EMBEDDED:
        return EMBEDDED[name]()
    if name in TORCHVISION:
        return _torchvision(name, root, download)
    if name == "imagenet" or name in subsets:
        return _imagenet(name, root, subsets.get(name))
    if source.startswith(HUB):
        return read_hub(source, least)
    if path.is_dir():
        return read_folder(path, least)
    if path.suffix in FILES and path.is_file():
        return FILES[path.suffix](path, least)
    if path.exists() and path.suffix.lower() in ARCHIVES:
        raise DataError(
            f"{source} is an archive: unpack it, and give the folder that holds train/, or the class folders"
        )
    if path.exists():
        raise DataError(f"{source} is no data set: give a folder of images or a file {', '.join(FILES)}")
    if path.suffix in FILES or len(path.parts) > 1:
        raise DataError(f"{source} does not exist: check the path")
    close = get_close_matches(name, [*known_sources(), *alias], n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise DataError(
        f"unknown data set {source!r}{hint} Known: {', '.join(known_sources())}, or a folder or file of images"
    )


@dataclass(frozen=True)
class _Torchvision:
    dataset: str  # its class in torchvision
    folder: str  # where torchvision keeps it, below the root
    splits: tuple[dict[str, Any], ...] = ({"train": True}, {"train": False})
    flip: bool = True


_NAMED_SPLITS: tuple[dict[str, Any], ...] = ({"split": "train"}, {"split": "test"})
TORCHVISION = {
    "mnist": _Torchvision("MNIST", "MNIST/raw", flip=False),
    "fashionmnist": _Torchvision("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": _Torchvision("CIFAR10", "cifar-10-batches-py"),
    "cifar100": _Torchvision("CIFAR100", "cifar-100-python"),
    "svhn": _Torchvision("SVHN", "", _NAMED_SPLITS, flip=False),
    "stl10": _Torchvision("STL10", "stl10_binary", _NAMED_SPLITS),
}


def _torchvision(name: str, root: Path, download: bool) -> Raw:
    from torchvision import datasets

    entry = TORCHVISION[name]
    make = getattr(datasets, entry.dataset)
    try:
        pair = [make(str(root), download=download, **split) for split in entry.splits]
    except ImportError as error:
        raise DataError(f"{name} needs another package ({error}): install scipy") from error
    except (RuntimeError, OSError, ValueError, EOFError, AssertionError, KeyError) as error:
        raise DataError(
            f"{name} cannot be read from {root / entry.folder} ({' '.join(str(error).split())}): "
            "put torchvision's files there, name another root (--root), or download them in Python: "
            f"glad.load_data({name!r}, root={str(root)!r}, download=True) (of the commands, "
            "`glad weights train --download` alone does that)"
        ) from error
    parts = {}
    for split, data in zip(("train", "test"), pair, strict=True):
        labels = torch.as_tensor(np.asarray(data.labels if hasattr(data, "labels") else data.targets)).long()
        parts[split] = Part(channels_first(np.asarray(data.data), name), labels, f"its {split} images")
    classes = tuple(getattr(pair[0], "classes", None) or map(str, range(10)))
    return Raw(name, classes, parts, tuple(range(len(classes))), len(classes), entry.flip)


def _imagenet(name: str, root: Path, ids: list[int] | None) -> Raw:
    from torchvision.models import ResNet18_Weights

    train = root / "train"
    wnids = list(Tree(train).folders) if train.is_dir() else []
    if len(wnids) != 1000:
        raise DataError(
            f"{name} needs the 1000 class folders of ImageNet in {train}, found {len(wnids)}: name another root "
            "(--root), or give the folder's path as the data set to read just the classes in it"
        )
    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    ids = list(range(1000)) if ids is None else ids
    parts = {
        split: _class_folders(root / part, [wnids[i] for i in ids])
        for split, part in (("train", "train"), ("test", "val"))
    }
    return Raw(name, tuple(names[i] for i in ids), parts, tuple(ids), numbering=1000, channels=3)


def _class_folders(path: Path, folders: list[str]) -> Part:
    """The images of ``folders`` in ``path``, labeled by their order."""
    images = {name: Tree(path / name).all_images if (path / name).is_dir() else [] for name in folders}
    files = [file for group in images.values() for file in group]
    return make_part(files, [name for name, group in images.items() for _ in group], folders, f"{path.name}/")
