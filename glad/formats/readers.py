"""From a file or folder of another program to the set in it, or to an error that says what it holds instead."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch

from glad.data.arrays import load_arrays
from glad.data.encoded import hub_address, read_hub, read_parquet, read_tar
from glad.data.notices import DataError
from glad.data.readers import read
from glad.formats.found import FoundSet, of_named, of_raw
from glad.formats.torch_sets import SUFFIXES, of_torch_file, of_torch_folder
from glad.runs.storage import read_tensors

FORMS = "a folder of images by class, a file .npz, .safetensors, .pt, .parquet or .tar, or hf://ORG/NAME"
"""What is read, in words."""


def find_set(path: Path) -> FoundSet:
    """The set at ``path``; ``DataError`` where there is none, with what there is."""
    if (source := hub_address(path)) is not None:
        return of_raw(read_hub(source), source)
    if not path.exists():
        raise DataError(f"{path} does not exist: check the path")
    if path.is_dir():
        found = of_torch_folder(path)
        return found or of_raw(read(str(path.resolve()), path, download=False), str(path))
    head = _head(path)
    if head[8:9] == b"{":
        return of_named(_read_safetensors(path), path)
    if path.suffix in SUFFIXES or head.startswith(b"\x80") or _holds_pickle(path):
        return of_torch_file(path)
    if head.startswith(b"PK\3\4") or path.suffix == ".npz":
        return of_named(load_arrays(path), path)
    if head.startswith(b"PAR1"):
        return of_raw(read_parquet(path), str(path))
    if tarfile.is_tarfile(path):
        return of_raw(read_tar(path), str(path))
    raise DataError(f"{path} is no set of images: expected is {FORMS}")


def _head(path: Path) -> bytes:
    """The first bytes of a file, which say what it is whatever it is called."""
    with path.open("rb") as file:
        return file.read(512)


def _holds_pickle(path: Path) -> bool:
    """Whether a zip is one of torch's."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    tensors, metadata = read_tensors(path)
    arrays = {k: (v.float() if v.dtype == torch.bfloat16 else v).numpy() for k, v in tensors.items()}
    names = metadata.get("classes")  # a line each, as `glad export` writes them
    return arrays if names is None else {**arrays, "classes": np.array(names.split("\n"))}
