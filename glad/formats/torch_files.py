"""Files of torch.save, read without running anything of them: tensors, arrays, lists and dictionaries of such."""

import math
import pickle
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generators.inert import Made, MemoryBudget, Persistent, PickleError, Table, describe, made_by, name_of
from generators.numpy_values import ARRAY, DTYPE, KINDS
from generators.torch_stream import PARAMETER, TENSOR, TYPES, check_view
from generators.unpickle import load
from glad.data.arrays import DAMAGE
from glad.data.notices import DataError

MEMORY = 2**30  # bytes that the objects of a file may take: arrays of numpy are texts there
ENCODE = ("_codecs", "encode")
ORDERED = ("collections", "OrderedDict")


def read_torch(path: Path) -> Any:
    """What a file holds.

    torch reads it with ``weights_only``. Where that refuses (numbers of numpy, settings as objects), the pickle is read
    as an inert tree, of which objects of other kinds stay descriptions.

    Args:
        path: A file of ``torch.save``.

    Returns:
        Tensors, arrays of numpy, numbers and texts, and lists, tuples and dictionaries of them.

    Raises:
        DataError: The file is damaged or hostile, or none of torch's.
    """
    try:
        if zipfile.is_zipfile(path):
            _require_checksums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about forms that it will not write any more
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        pass
    except (*DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path} is damaged, or no file of torch.save ({reason})") from error
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path} is a plain pickle, or of torch's old form, and holds other objects than tensors: save its tensors "
            "with torch.save"
        )
    try:
        return _read_inert(path)
    except (PickleError, zipfile.BadZipFile, OSError, LookupError, ValueError) as error:
        raise DataError(f"{path} cannot be read without running code of it ({error}): save its tensors anew") from error


def _require_checksums(path: Path) -> None:
    """Raise ``BadZipFile`` where a part of a zip is not what was written: torch does not look at the checksums."""
    with zipfile.ZipFile(path) as archive:
        if (part := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"the checksum of {part} is another one")


def _read_inert(path: Path) -> Any:
    """The tree of the pickle in torch's zip, with its tensors as views of the file's bytes."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        tree, _ = load(memoryview(archive.read(name)), budget=MemoryBudget(MEMORY))
        return _value(tree, archive, name.removesuffix("data.pkl"))


def _value(node: Any, archive: zipfile.ZipFile, folder: str) -> Any:
    """``node`` as a value; what is none of those that are read stays a description."""
    if isinstance(node, Table):
        return {key: _value(item, archive, folder) for key, item in node if isinstance(key, str | int)}
    if isinstance(node, list | tuple):
        return [_value(item, archive, folder) for item in node]
    if made_by(node, ORDERED):
        return _value(node.pairs or Table(), archive, folder)
    if made_by(node, PARAMETER) and node.arguments:
        return _value(node.arguments[0], archive, folder)
    if made_by(node, TENSOR) and len(node.arguments) >= 4:
        return _tensor(node, archive, folder)
    if isinstance(node, Made) and name_of(node.maker) in ARRAY:
        return _array(node.state)
    return node if node is None or isinstance(node, bool | int | float | str) else describe(node)


def _tensor(node: Made, archive: zipfile.ZipFile, folder: str) -> Tensor:
    source, offset, size, stride = node.arguments[:4]
    identity = source.identity if isinstance(source, Persistent) else ()
    if not isinstance(identity, tuple) or len(identity) < 5 or not isinstance(identity[2], str):
        raise PickleError(f"a storage is expected, not {describe(source)}")
    module, kind = name_of(identity[1]) or ("", "")
    if module != "torch" or kind not in TYPES:
        raise PickleError(f"a storage of type {describe(identity[1])}; known are torch's {', '.join(TYPES)}")
    dtype = np.dtype(TYPES[kind])
    elements = np.frombuffer(archive.read(f"{folder}data/{identity[2]}"), dtype)
    check_view(len(elements), offset, size, stride)
    steps = [step * dtype.itemsize for step in stride]
    return torch.from_numpy(np.ndarray(size, dtype, elements.data, offset * dtype.itemsize, steps).copy())


def _array(state: Any) -> Any:
    """An array of numpy from its state (version, shape, type, column order, bytes); a description of any other."""
    if not isinstance(state, tuple) or len(state) != 5 or not made_by(state[2], DTYPE):
        return "an array"
    shape, kind, columns, data = state[1], state[2].arguments[0], state[3], state[4]
    if made_by(data, ENCODE) and len(data.arguments) == 2 and isinstance(data.arguments[0], str):
        data = data.arguments[0].encode("latin-1")  # how protocol 2 writes bytes
    whole = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**40 for n in shape)
    if kind not in KINDS or columns or not whole or not isinstance(data, bytes | memoryview):
        return "an array"
    dtype = np.dtype(kind)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise PickleError(f"an array of {shape} does not go with {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape).copy()
