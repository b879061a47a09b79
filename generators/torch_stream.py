"""Tensors of a pickle: torch's form of a storage from before its zip files, and the views that tensors are of it.

A storage is a stream of five pickles (a magic number, a version, the system, the object, the keys), a count and the raw
elements. It is read by ``generators.unpickle`` like all else; every size is held against the bytes that are there.
"""

from typing import Any

import numpy as np

from generators.inert import MemoryBudget, Persistent, PickleError, Table, describe, made_by, name_of
from generators.unpickle import load

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
TYPES = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
DIMENSIONS = 8  # of a tensor, at most

PARAMETER = ("torch._utils", "_rebuild_parameter")
TENSOR = ("torch._utils", "_rebuild_tensor_v2")
STORAGE = ("torch.storage", "_load_from_bytes")


def view_tensor(node: Any, budget: MemoryBudget) -> np.ndarray:
    """The tensor or parameter that ``node`` describes, as a view of the file's bytes: read only, maybe unaligned.

    Raises ``PickleError`` when it is none, and when it reaches beyond its storage or repeats its elements.
    """
    if made_by(node, PARAMETER) and node.arguments:
        node = node.arguments[0]
    if not made_by(node, TENSOR) or len(node.arguments) < 4:
        raise PickleError(f"a tensor is expected, not {describe(node)}")
    source, offset, size, stride = node.arguments[:4]
    if not made_by(source, STORAGE) or len(source.arguments) != 1 or not isinstance(source.arguments[0], memoryview):
        raise PickleError(f"a tensor's storage is expected, not {describe(source)}")
    elements = read_storage(source.arguments[0], budget)
    check_view(len(elements), offset, size, stride)
    width = elements.dtype.itemsize
    return np.ndarray(size, elements.dtype, elements.data, offset * width, [step * width for step in stride])


def check_view(count: int, offset: Any, size: Any, stride: Any) -> None:
    """Hold a view of ``count`` elements to what torch writes: nothing negative, outside, or counted twice."""
    stated = (
        f"offset {describe(offset)}, size {_numbers(size)}, stride {_numbers(stride)} in a storage of {count} elements"
    )
    for numbers in (size, stride, (offset,)):
        if not isinstance(numbers, tuple) or not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
            raise PickleError(f"a tensor cannot have {stated}")
    if len(size) != len(stride) or len(size) > DIMENSIONS:
        raise PickleError(f"a tensor cannot have {stated}")
    last, elements = offset, 1
    for n, step in zip(size, stride, strict=True):
        elements *= n
        last += (n - 1) * step
    if offset > count or (elements and last >= count) or elements > count:
        raise PickleError(f"a tensor cannot have {stated}: it reaches beyond it")


def _numbers(values: Any) -> str:
    """A short tuple for a message."""
    if not isinstance(values, tuple) or len(values) > DIMENSIONS:
        return describe(values)
    return f"({', '.join(map(describe, values))})"


def read_storage(data: memoryview, budget: MemoryBudget) -> np.ndarray:
    """The elements of a storage's stream ``data``, [count], as a view; the device that it names is of no account.

    Raises ``PickleError`` on another stream and on a count that is not that of the bytes.
    """
    parts, position = [], 0
    for _ in range(5):
        part, position = load(data, position, budget)
        parts.append(part)
    magic, version, system, reference, keys = parts
    if magic != MAGIC or version != VERSION:
        raise PickleError(f"a storage begins with {describe(magic)}, {describe(version)}, not with torch's numbers")
    if not isinstance(system, Table) or ("little_endian", True) not in [p for p in system[:8] if type(p[0]) is str]:
        raise PickleError("a storage does not say that it is little-endian")
    kind, key, count = _reference(reference)
    if not isinstance(keys, list) or len(keys) != 1 or keys[0] != key:
        raise PickleError(f"a storage called {describe(key)} comes with {describe(keys)} of keys")
    stored = int.from_bytes(data[position : position + 8], "little")
    elements = data[position + 8 :]
    if stored != count or len(elements) != count * kind.itemsize:
        raise PickleError(
            f"a storage claims {count} elements of {kind.itemsize} bytes; {stored} are announced and "
            f"{len(elements)} bytes there"
        )
    return np.frombuffer(elements, kind) if count else np.empty(0, kind)


def _reference(reference: Any) -> tuple[np.dtype, str, int]:
    """Element type, key and count of a persistent identity ('storage', type, key, device, count, None)."""
    identity = reference.identity if isinstance(reference, Persistent) else None
    if not isinstance(identity, tuple) or len(identity) != 6 or describe(identity[0]) != "'storage'":
        raise PickleError(f"a storage is expected, not {describe(reference)}")
    _, name, key, _, count, view = identity
    module, kind = name_of(name) or ("", describe(name))
    if module != "torch" or kind not in TYPES:
        raise PickleError(f"a storage of type {describe(name)}; known are torch's {', '.join(TYPES)}")
    if not isinstance(key, str) or type(count) is not int or count < 0 or view is not None:
        raise PickleError(f"a storage of {describe(count)} elements called {describe(key)}, part {describe(view)}")
    return np.dtype(TYPES[kind]), key, count
