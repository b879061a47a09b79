"""How settings name what was handed in as a Python object: by its class, of which nothing can be made again."""

from collections.abc import Mapping
from typing import Any

_MARK = "object:"
HANDED_IN = ("data", "objective", "prior")
"""The settings of a distillation that may be objects."""


def name_of(given: Any) -> str:
    """Return a name as it is, and the mark of an object with the class that it is of."""
    return given if isinstance(given, str) else f"{_MARK}{type(given).__module__}.{type(given).__qualname__}"


def is_object(name: Any) -> bool:
    """Return whether a setting stands for an object."""
    return isinstance(name, str) and name.startswith(_MARK)


def objects_in(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the classes of the objects among ``settings``, by the setting's name."""
    return {key: settings[key].removeprefix(_MARK) for key in HANDED_IN if is_object(settings.get(key))}
