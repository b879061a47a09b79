"""Settings without the places on the disk of who made a run."""

import re
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from generators import catalog

OF_THE_DISK = ("root", "out", "experts")
"""Settings that only say where things lie."""


def strip_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that name no place on a disk: a file or folder is ``./NAME``, as if it lay where one stands."""
    kept = {key: _strip_absolute(value) for key, value in config.items() if key not in OF_THE_DISK}
    return {**kept, **{key: bare_name(str(kept[key])) for key in ("data", "prior")}}


def _strip_absolute(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strip_absolute(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_strip_absolute(entry) for entry in value]
    return bare_name(value) if isinstance(value, str) and re.match(r"[/~]|\\\\|[A-Za-z]:[\\/]", value) else value


def bare_name(name: str) -> str:
    """``name`` of data or a prior, or ``./NAME`` if it is a path; a file on the Hub keeps its owner."""
    if catalog.is_reference(name) or not re.search(r"[\\/]", name):
        return name
    return f"./{PureWindowsPath(name).name}"
