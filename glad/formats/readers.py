"""From a file or folder of another program to the set in it, or to an error that says what it holds instead."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from glad.data.arrays import class_names, load_arrays, pair_keys
from glad.data.notices import DataError, shorten
from glad.data.readers import read
from glad.formats.found import FoundSet, of_arrays, of_raw

FORMS = "a folder of images by class, or a file .npz, .safetensors, .pt, .parquet or .tar"
"""What is read, in words."""


def find_set(path: Path) -> FoundSet:
    """The set at ``path``; ``DataError`` where there is none, with what there is."""
    if not path.exists():
        raise DataError(f"{path} does not exist: check the path")
    if path.is_dir():
        return of_raw(read(str(path.resolve()), path, download=False, least=1), str(path))
    if _head(path).startswith(b"PK\3\4") or path.suffix == ".npz":
        return of_named(load_arrays(path), path)
    raise DataError(f"{path} is no set of images: it is {FORMS}")


def _head(path: Path) -> bytes:
    """The first bytes of a file, which say what it is whatever it is called."""
    with path.open("rb") as file:
        return file.read(512)


def of_named(arrays: Mapping[str, np.ndarray], path: Path) -> FoundSet:
    """The set in arrays with names, such as ``images`` and ``labels``; those of training where there are splits."""
    pairs = pair_keys(arrays, path)
    images, labels = pairs["train"]
    unused = [key for key in arrays if key not in (images, labels, "classes")]
    notices = [f"{path}: the set is {images} and {labels}; not used: {shorten(unused)}"] * bool(unused)
    names = class_names(arrays, 0, path) if "classes" in arrays else None
    return of_arrays(arrays[images], arrays[labels], str(path), names, tuple(notices))
