"""How settings name what was handed in from Python.

A class is named as ``module:Class`` and can be found again. Of an object only the class is known, and nothing makes the
same object of it.
"""

from collections.abc import Mapping
from typing import Any

_MARK = "object:"
HANDED_IN = ("data", "objective", "prior")
"""The settings of a distillation that may be objects."""


def name_of(given: Any) -> str:
    """Return a name as it is, a class as ``module:Class``, and of an object the mark with its class."""
    if isinstance(given, str):
        return given
    if isinstance(given, type):
        return f"{given.__module__}:{given.__qualname__}"
    return f"{_MARK}{type(given).__module__}.{type(given).__qualname__}"


def object_or_none(given: Any) -> Any:
    """Return an object as it is, and None for what settings can name."""
    return None if isinstance(given, str | type) else given


def is_object(name: Any) -> bool:
    """Return whether a setting stands for an object."""
    return isinstance(name, str) and name.startswith(_MARK)


def objects_in(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the classes of the objects among ``settings``, by the setting's name."""
    return {key: settings[key].removeprefix(_MARK) for key in HANDED_IN if is_object(settings.get(key))}
