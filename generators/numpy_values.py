"""Numbers of a pickle: plain ones, and numpy's scalars and small arrays, decoded from their bytes."""

import math
from typing import Any

import numpy as np

from generators.inert import Made, PickleError, describe, made_by, name_of

DTYPE = ("numpy", "dtype")
MODULES = [
    f"{package}.{part}" for package in ("numpy.core", "numpy._core") for part in ("multiarray", "_multiarray_umath")
]
SCALAR, ARRAY = ([(module, name) for module in MODULES] for name in ("scalar", "_reconstruct"))
DILL_ARRAY = ("dill._dill", "_create_array")
KINDS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
LONGEST = 64  # entries of an array or a list


def read_value(node: Any) -> Any:
    """A number, text, truth value or None; a list, tuple or numpy array becomes a list of such.

    Raises ``PickleError`` on anything else, object arrays and nested lists among it.
    """
    if isinstance(node, list | tuple) and len(node) <= LONGEST:
        return [_scalar(item) for item in node]
    name = name_of(node.maker) if isinstance(node, Made) else None
    if name == DILL_ARRAY and len(node.arguments) >= 3 and name_of(node.arguments[0]) in ARRAY:
        state = node.arguments[2]
    elif name in ARRAY:
        state = node.state
    else:
        return _scalar(node)
    if not isinstance(state, tuple) or len(state) != 5:
        raise PickleError(f"an array with {describe(state)} for its state")
    return _array(state[1], state[2], state[4]).tolist()


def _scalar(node: Any) -> Any:
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, Made) and name_of(node.maker) in SCALAR and len(node.arguments) == 2:
        return _array((), *node.arguments).item()
    raise PickleError(f"a number is expected, not {describe(node)}")


def _array(shape: Any, dtype: Any, data: Any) -> np.ndarray:
    """The array of ``shape`` in the bytes ``data``; its type is the call of numpy.dtype and the state it was given."""
    arguments = dtype.arguments if made_by(dtype, DTYPE) else ()
    state = dtype.state if arguments else None
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    if not arguments or arguments[0] not in KINDS or order not in ("<", ">", "=", "|"):
        kind = describe(arguments[0]) if arguments else describe(dtype)
        raise PickleError(f"an array of {kind} is not one of plain numbers ({', '.join(KINDS)})")
    kind = np.dtype((order if order in "<>" else "") + arguments[0])
    whole = isinstance(shape, tuple) and len(shape) <= 1 and all(type(n) is int and 0 <= n <= LONGEST for n in shape)
    if not whole or not isinstance(data, memoryview) or len(data) != math.prod(shape) * kind.itemsize:
        raise PickleError(f"an array of {describe(shape)} as its shape does not go with {describe(data)}")
    return np.frombuffer(data, kind).reshape(shape)
