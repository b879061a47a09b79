"""Values of settings by their annotation: checked, brought to one form, and described for JSON.

Understood are bool, int, float, str, None, Any, ``Literal``, ``Mapping``, ``tuple[X, ...]`` and ``Sequence``, unions of
them, and classes, whose instances stay as they are.
"""

import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}
LISTS = (tuple, Sequence)
JSON = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def conform(name: str, value: Any, kind: Any) -> Any:
    """``value`` in the form of ``kind``: paths are texts, sequences tuples, mappings dicts, whole floats ints.

    Numbers may be texts, since YAML takes 1e-6 for one. Raises ``ValueError`` with ``name``, the value, and what it
    must be.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_union(kind):
        return _first_that_fits(name, value, kind)
    if origin is Literal:
        return _choice(name, value, parts)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is {value!r}: it must be a mapping of names to values")
        return {key: conform(f"{name}.{key}", entry, parts[1]) for key, entry in value.items()}
    if origin in LISTS:
        if isinstance(value, str):
            raise ValueError(f"{name} is {value!r}: it must be a list, such as [{value!r}]")
        if not isinstance(value, Sequence):
            raise ValueError(f"{name} is {value!r}: it must be a list")
        return tuple(conform(name, entry, parts[0]) for entry in value)
    return _scalar(name, value, kind)


def as_tuple(value: Any) -> Any:
    """An argument as a field of settings takes it: any iterable as a tuple; None, numbers and texts as they are."""
    return value if value is None or isinstance(value, int | float | str) else tuple(value)


def is_union(kind: Any) -> bool:
    """Whether ``kind`` is a union, in either spelling."""
    return get_origin(kind) in (Union, types.UnionType)


def optional(kind: Any) -> Any:
    """``kind`` without None."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    return parts[0] if is_union(kind) and len(parts) == 1 else kind


def _first_that_fits(name: str, value: Any, kind: Any) -> Any:
    """``value`` as the kind of a union that it already is, else as the first that it can be read as."""
    if value is None and type(None) in get_args(kind):
        return None
    parts = [part for part in get_args(kind) if (get_origin(part) is Mapping) == isinstance(value, Mapping)]
    parts = [part for part in parts if part is not type(None)]
    if len(parts) == 1:
        return conform(name, value, parts[0])
    for part in sorted(parts, key=lambda part: type(value) is not part):
        try:
            return conform(name, value, part)
        except ValueError:
            continue
    raise ValueError(f"{name} is {value!r}: it must be {describe(kind)}")


def _choice(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    if value in choices:
        return value
    near = get_close_matches(str(value), [str(choice) for choice in choices], 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {name} {value!r}: one of {', '.join(map(str, choices))}{hint}")


def _scalar(name: str, value: Any, kind: type) -> Any:
    if isinstance(value, PurePath) and kind is str:
        return str(value)
    if type(value) is kind or (kind not in WORDS and isinstance(value, kind)):
        return value
    if kind in (int, float) and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
        if number is not None and (kind is float or number.is_integer()):
            return kind(number)
    raise ValueError(f"{name} is {value!r}: it must be {WORDS.get(kind, kind.__name__)}")


def describe(kind: Any) -> str:
    """``kind`` in words."""
    if is_union(kind):
        return " or ".join(describe(part) for part in get_args(kind))
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(str, parts))
    return {Mapping: "a mapping", tuple: "a list", Sequence: "a list"}.get(origin) or WORDS.get(kind, kind.__name__)


def json_type(kind: Any) -> dict[str, Any]:
    """``kind`` in JSON schema."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if is_union(kind):
        return {"anyOf": [json_type(part) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": json_type(parts[1])}
    if origin in LISTS:
        return {"type": "array", "items": json_type(parts[0])}
    return {"type": JSON[kind]} if kind in JSON else {}
