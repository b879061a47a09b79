"""What differs between experts and a run that is to follow them, in words, and what to change."""

from collections.abc import Mapping
from typing import Any

from glad.data.notices import shorten

FLAGS = {
    "data": "--data",
    "images": "--limit (or --drop-duplicates)",
    "classes": "--classes",
    "resolution": "--resolution",
    "channels": "--data",
    "zca": "--zca",
}
"""By what differs, the option that decides it."""
OTHERS = {"network": "--network", "network_options": "--network-option"}
UNSEEN = ("--data", "--limit", "--classes", "--resolution", "--zca", "--drop-duplicates")
"""Options of which one differs where the files do not say which."""


def remedy(name: str, about: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """What is to follow the sentence that ``name`` of an expert is not the run's.

    Args:
        name: An entry of ``glad.experts.plan.kind``.
        about: What the expert's file says; one of an earlier version says less.
        data: What the run's data are, by ``glad.experts.plan.described``; empty if nobody knows.
    """
    if name != "data":
        return f": give both the same {OTHERS[name]}" if name in OTHERS else ""
    theirs, ours = _flat(about), _flat(data)
    differing = [part for part in ours if part in theirs and theirs[part] != ours[part]]
    flags = list(dict.fromkeys(FLAGS[part] for part in differing)) or list(UNSEEN)
    said = "; ".join(f"{part} {_words(theirs[part])} there, {_words(ours[part])} here" for part in differing)
    return f". {said or 'The files do not say how these differ'}: give both the same {', '.join(flags)}"


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of data, by its name in ``FLAGS``."""
    known = {"data": about.get("data_name"), **about.get("data_form", {})}
    return {part: value for part, value in known.items() if part in FLAGS and value is not None}


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{len(value)} ({shorten(value, 3)})" if isinstance(value, list) else str(value)
