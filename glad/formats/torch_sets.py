"""The set in a file of torch.save, in the forms that the field's scripts write: a pair of files, of tensors, a list."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glad.data.notices import DataError, shorten
from glad.formats.found import FoundSet, of_arrays, of_named
from glad.formats.torch_files import read_torch

SUFFIXES = (".pt", ".pth")
WORDS = (
    ("images", "labels"),
    ("image", "label"),
    ("imgs", "labels"),
    ("data", "labels"),
    ("data", "targets"),
    ("x", "y"),
)
"""How files of images and of labels are called, which lie beside each other."""
EXPECTED = (
    "images_best.pt beside labels_best.pt, {'images': ..., 'labels': ...}, {'data': [[images, labels]]} or "
    "[images, labels]"
)


def of_torch_folder(path: Path) -> FoundSet | None:
    """The set of the pair of files in a folder; None where there is none. Several are refused, but for the best one."""
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    pairs = [(file, partner) for file in files for partner in _partners(file, 0)]
    if not pairs:
        alone = len(files) == 1 and not any(child.is_dir() for child in path.iterdir())
        return of_torch_file(files[0]) if alone else None
    best = [pair for pair in pairs if "best" in pair[0].stem]
    if len(pairs) > 1 and len(best) != 1:
        raise DataError(f"{path} holds {shorten(file.name for file, _ in pairs)}: give the file of one set")
    images, labels = (best or pairs)[0]
    unused = [file.name for file in files if file not in (images, labels)]
    notices = [f"{path}: the set is {images.name} and {labels.name}; not used: {shorten(unused)}"] * bool(unused)
    return of_arrays(_array_of(images), _array_of(labels), str(path), notices=tuple(notices))


def of_torch_file(path: Path) -> FoundSet:
    """The set in a file, or in it and the one beside it; ``DataError`` that says what it holds where there is none."""
    content = read_torch(path)
    if isinstance(content, Tensor | np.ndarray):
        return _of_pair(path, content)
    notices: tuple[str, ...] = ()
    if isinstance(content, Mapping) and isinstance(content.get("data"), list | tuple):
        unused = [str(key) for key in content if key != "data"]
        notices += (f"{path}: the set is in data; not used: {shorten(unused)}",) * bool(unused)
        content = content["data"]
    if isinstance(content, list | tuple) and content and all(_is_item(entry) for entry in content):
        images = np.stack([_numpy(image) for image, _ in content])
        return of_arrays(images, np.array([int(label) for _, label in content]), str(path), notices=notices)
    if isinstance(content, list | tuple) and content and all(_is_pair(entry) for entry in content):
        notices += (f"{path} holds {len(content)} sets: the first is taken",) * (len(content) > 1)
        content = content[0]
    if _is_pair(content):
        return of_arrays(_numpy(content[0]), _numpy(content[1]), str(path), notices=notices)
    if isinstance(content, Mapping):
        arrays = {str(key): _numpy(value) if _is_array(value) else np.empty(0) for key, value in content.items()}
        try:
            return of_named(arrays, path)
        except DataError as error:
            raise DataError(f"{path} holds {_stated(content)}: a set is {EXPECTED} ({error})") from error
    raise DataError(f"{path} holds {_stated(content)}: a set is {EXPECTED}")


def _of_pair(path: Path, content: Any) -> FoundSet:
    """The set of one tensor and of that in the file beside it."""
    for role in (0, 1):
        for partner in _partners(path, role):
            one, other = _numpy(content), _array_of(partner)
            images, labels = (one, other) if role == 0 else (other, one)
            return of_arrays(images, labels, str(path))
    raise DataError(f"{path} holds {_stated(content)} and no file of labels lies beside it: a set is {EXPECTED}")


def _partners(path: Path, role: int) -> Iterator[Path]:
    """The files beside ``path`` that belong to it if it holds images (``role`` 0) or labels (1)."""
    parts = path.stem.split("_")
    for words in WORDS:
        for i in (i for i, part in enumerate(parts) if part.lower() == words[role]):
            name = "_".join([*parts[:i], words[1 - role], *parts[i + 1 :]])
            if (partner := path.with_name(name + path.suffix)).is_file():
                yield partner


def _array_of(path: Path) -> np.ndarray:
    content = read_torch(path)
    if not isinstance(content, Tensor | np.ndarray):
        raise DataError(f"{path} holds {_stated(content)} where a tensor is expected")
    return _numpy(content)


def _is_pair(value: Any) -> bool:
    """Whether ``value`` is a tensor of images and one, or a list, of labels."""
    listed = isinstance(value, list | tuple) and len(value) == 2
    return listed and isinstance(value[0], Tensor | np.ndarray) and _is_array(value[1])


def _is_item(value: Any) -> bool:
    """Whether ``value`` is one image and its label, as a data set gives them."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not isinstance(value[0], Tensor | np.ndarray):
        return False
    number = isinstance(value[1], int) or (isinstance(value[1], Tensor | np.ndarray) and value[1].ndim == 0)
    return value[0].ndim in (2, 3) and number


def _is_array(value: Any) -> bool:
    """Whether ``value`` is a tensor, an array or a list of numbers or of names."""
    if isinstance(value, list | tuple):
        return bool(value) and any(all(isinstance(entry, kind) for entry in value) for kind in (int | float, str))
    return isinstance(value, Tensor | np.ndarray)


def _numpy(value: Any) -> np.ndarray:
    """A tensor, an array or a list of numbers or of names as an array."""
    if not isinstance(value, Tensor):
        return np.asarray(value)
    dense = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).cpu().contiguous().numpy()


def _stated(content: Any) -> str:
    """What there is, in a few words."""
    if isinstance(content, Tensor | np.ndarray):
        return f"{str(content.dtype).removeprefix('torch.')} {list(content.shape)}"
    if isinstance(content, Mapping):
        entries = (f"{key!r}: {_stated(value)}" for key, value in content.items())
        return f"a dictionary of {shorten(entries, 3) or 'nothing'}"
    if isinstance(content, list | tuple):
        return f"a {type(content).__name__} of {len(content)}" + (f" ({_stated(content[0])}, ...)" if content else "")
    return f"{type(content).__name__} {str(content)[:60]!r}"
