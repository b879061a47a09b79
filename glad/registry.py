"""Objectives and priors by name: what the program hands in, and options checked against the constructor."""

import importlib
import inspect
import types
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

RESERVED = (
    "real",
    "network",
    "augment",
    "segment",
    "normalize",
    "resolution",
    "channels",
    "class_ids",
    "generator",
    "frame",
)
"""Names of constructor parameters that the program fills; all others are options."""


def locate(name: str, registry: Mapping[str, Callable[..., Any]], kind: str) -> Callable[..., Any]:
    """The entry ``name`` of ``registry``, or the class of a ``module:Class``; ``ValueError`` naming what exists."""
    if name in registry:
        return registry[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        near = get_close_matches(name, registry, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown {kind} {name!r}: one of {', '.join(registry)}, or module:Class{hint}")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{kind} {name!r} cannot be imported: {error}") from error


def options_of(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor that are options, by name."""
    return {name: p for name, p in inspect.signature(factory).parameters.items() if name not in RESERVED}


def construct(factory: Callable[..., Any], provided: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call ``factory`` with those of ``provided`` that it names and with ``options``.

    Options may be strings, as from a command line; they are read by the parameter's annotation. Raises ``ValueError``
    on an option that does not exist, cannot be read, or is missing.
    """
    known = options_of(factory)
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    name = getattr(factory, "__name__", str(factory)).lower()
    if unknown := [option for option in options if option not in known]:
        have = ", ".join(f"{key}={p.default}" for key, p in known.items()) or "none"
        raise ValueError(f"{name} has no option {unknown[0]!r}; its options are: {have}")
    values = {key: read_option(f"{name}.{key}", value, hints.get(key, str)) for key, value in options.items()}
    if absent := [key for key, p in known.items() if p.default is p.empty and key not in values]:
        raise ValueError(f"{name} needs the option {absent[0]!r}")
    handed = {key: value for key, value in provided.items() if key in inspect.signature(factory).parameters}
    return factory(**handed, **values)


def read_option(name: str, value: Any, kind: Any) -> Any:
    """Read ``value`` as ``kind`` (int, float, str, bool, or one of them or None); ``ValueError`` with its name."""
    if isinstance(kind, types.UnionType):
        if value is None or str(value).lower() == "none":
            return None
        kind = next(k for k in get_args(kind) if k is not type(None))
    if kind is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    try:
        if kind is int and float(value) != int(float(value)):
            raise ValueError("not whole")
        return int(float(value)) if kind is int else kind(value) if kind in (float, str) else value
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"option {name} is {value!r}, which is not a valid {getattr(kind, '__name__', kind)}"
        ) from error
