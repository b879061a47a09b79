"""What differs between experts and a run that is to follow them, or a training beside them, and what to change."""

import shlex
from collections.abc import Mapping
from typing import Any

from glad.data.notices import shorten
from glad.settings.fields import as_words

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
TRAINING = {**OTHERS, "augmentation": "--augmentation", "seed": "--seed", "dtype": "--dtype"}
"""By what decides how experts are trained, beside data and recipe, the option that decides it."""
LATER = {"balanced": 0, "slope": "logits", "turn": None}
"""Entries that a stored recipe may lack, with what they are then: see ``Recipe.stored``."""


def difference(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """How the training of an expert differs from the one that is asked for, and what mends it.

    Args:
        stored: What the expert's file says, with its ``dtype``; what it leaves out is not compared.
        asked: What the file would say.

    Returns:
        The end of a sentence that begins with the file's path; empty where nothing differs.
    """
    theirs, ours = _training(stored), _training(asked)
    differing = [name for name in theirs if name in ours and theirs[name] != ours[name]]
    if not differing:
        return ""
    if {"epochs", "drop"} & {*differing}:
        differing = [name for name in differing if name != "turn"]  # which follows from these
    kinds = " and ".join(dict.fromkeys(name if name in TRAINING else "recipe" for name in differing))
    said = "; ".join(f"{name} {_words(theirs[name])} there, {_words(ours[name])} now" for name in differing)
    same = [word for name in differing if name != "turn" for word in _option(name, theirs[name])]
    given = f" ({shlex.join(same)})" if same else ""
    return f"is of another {kinds}: {said}. Ask for the same{given}, or name another folder (--out FOLDER)"


def _training(about: Mapping[str, Any]) -> dict[str, Any]:
    """How an expert is trained, as far as ``about`` says it: the recipe's numbers by their names, then the rest."""
    recipe = {**LATER, **about["recipe"]} if "recipe" in about else {}
    known = {"learning_rate" if name == "lr" else name: value for name, value in recipe.items()}
    return known | {name: about[name] for name in TRAINING if name in about}


def _option(name: str, value: Any) -> list[str]:
    """The words of a command that give ``name`` this value."""
    if name in TRAINING:
        return as_words(TRAINING[name], "none" if value == "" else value)
    return as_words("-o", {name: value})


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
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{len(value)} ({shorten(value, 3)})" if isinstance(value, list) else str(value)
