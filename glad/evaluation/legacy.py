"""Results of the first version (up to commit d10c73f), whose rows were named by the labels of tables.

``convert`` makes of such a file what is written now, so that its finished trainings stay valid. Nothing else of the
project knows the old form and its words.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import Any

from glad.evaluation.rows import BEFORE, FULL, HYBRID, SET, SHARE, ResultRow

KINDS = {
    BEFORE: "{owner} before optimisation",
    "random": "random real images, {ipc} per class",
    "kmeans": "real images nearest to k-means centres, {ipc} per class",
    "herding": "real images by herding in {features}, {ipc} per class",
    FULL: "all {images} training images",
    HYBRID: "{owner} + {percent} % of the real images",
    SHARE: "{percent} % of the real images alone",
}
"""The labels of then by kind of row; a set's was its name."""
VARIANTS = {
    "epochs": ", {epochs} epochs",
    "hard": ", hard labels",
    "augmented": ", augmented",
    "plain": ", no augmentation",
}
FEATURES = "features of a trained {network}"
DEFAULT = {
    "epochs": 1000,
    "lr_same": 1e-2,
    "lr_other": 1e-3,
    "lr_by_network": {"vgg11": 1e-4},
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch": 256,
    "strategy": "color_crop_cutout_flip_scale_rotate",
    "decay": 0.995,
    "norm": "instance",
    "schedule": "cosine",
}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {},
    "dc": {"epochs": 300, "lr_other": 1e-2, "lr_by_network": {}, "decay": 0.0, "schedule": "step"},
    "glad": {"lr_same": 1e-3, "lr_other": 1e-3, "lr_by_network": {}},
}
"""The protocols of then: what differed from ``DEFAULT``."""
FIELDS = {
    "lr_same": "learning_rate_seen",
    "lr_other": "learning_rate_cross",
    "lr_by_network": "learning_rates",
    "strategy": "augmentation",
    "decay": "average_decay",
}
"""Fields of a protocol that have another name now."""
FULL_EPOCHS = 20  # the default of then
PARAMETERS: dict[str, Callable[[str], Any]] = {"ipc": int, "images": int, "epochs": int, "percent": float}
PATTERNS = {"ipc": r"\d+", "images": r"\d+", "epochs": r"\d+", "percent": r"[\d.e+-]+"}


def is_old(content: Any) -> bool:
    """Whether results are of the first version."""
    return isinstance(content, Mapping) and "format" not in content and "cells" in content


def convert(
    content: Mapping[str, Any], network: str | None, resolve: Callable[[str], str] = lambda augmentation: augmentation
) -> dict[str, Any]:
    """Results of the first version in the form of today.

    Args:
        content: What the old file holds; an evaluation that was cut off has ``settings`` and ``cells`` alone.
        network: The network that the set was distilled with, for files that do not say it.
        resolve: Gives the augmentation that networks were trained with from the one that was asked for.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The content is not of the old form.
    """
    settings: Mapping[str, Any] = content.get("settings", {})
    seen = str(content.get("same") or settings.get("same") or network)
    rows = _rows(content, settings.get("sets", {}))
    ids = {name: row.id for name, row in rows.items()}
    found: dict[str, Any] = {
        "settings": _settings(settings, content.get("protocol"), seen, resolve),
        "config": _config(content, settings, seen, list(rows.values())),
        "protocol_name": settings.get("protocol", "default"),
        "rows": [row.to_dict() for row in rows.values()],
    }
    found |= {part: [_cell(cell, ids) for cell in content[part]] for part in ("cells", "kept") if part in content}
    return found | _summaries(content, ids, seen, found["settings"]) if "summary" in content else found


def _summaries(
    content: Mapping[str, Any], ids: Mapping[str, str], seen: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What a finished evaluation says of its cells."""
    found = {
        "protocol": settings["protocol"],
        "network_options": content.get("network_options", {}),
        "networks": content["networks"],
        "seen": seen,
        "seeds": content["seeds"],
        "split": content.get("split", settings["split"]),
        "label_mode": content.get("recipe", settings["label_mode"]),
        "summary": {ids[name]: _rename(entry, same="seen") for name, entry in content["summary"].items()},
        "differences": [
            {**_rename(entry, set="row", same="seen"), "row": ids[entry["set"]], "against": ids[entry["against"]]}
            for entry in content.get("differences", [])
        ],
    }
    found |= {name: content[name] for name in ("teacher", "own_labels") if name in content}
    for part in (part for part in ("scores", "cost") if part in content):
        found[part] = {ids[name]: _rename(entry, race="training") for name, entry in content[part].items()}
    return found


def _rename(entry: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """``entry`` under the names of today; sentences are made anew where they are shown."""
    return {names.get(name, name): value for name, value in entry.items() if name != "sentences"}


def _cell(cell: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    return {**_rename(cell, set="row", lr="learning_rate"), "row": ids[cell["set"]]}


def _rows(content: Mapping[str, Any], sets: Collection[str]) -> dict[str, ResultRow]:
    """The rows by their labels of then, in the order of the table; ``sets`` are the names of the sets themselves."""
    differences = content.get("differences", [])
    names = [*content.get("summary", {}), *(cell["set"] for cell in (*content["cells"], *content.get("kept", [])))]
    names += [name for entry in differences for name in (entry["set"], entry["against"])]
    names += content.get("cost", {})
    rows = {name: _row(name, sets) for name in dict.fromkeys(names)}
    shown = content["summary"] if "summary" in content else {cell["set"] for cell in content["cells"]}
    return {
        name: replace(
            row,
            shown=name in shown,
            against=tuple(rows[entry["against"]].id for entry in differences if entry["set"] == name),
        )
        for name, row in rows.items()
    }


def _row(name: str, sets: Collection[str]) -> ResultRow:
    """The row that was called ``name``; what is no other row is a set, which differences of another set may name."""
    base: str = name
    changes: dict[str, Any] = {}
    for variant, text in reversed(list(VARIANTS.items())):
        if found := re.fullmatch(f"(?P<base>.+){_pattern(text)}", base):
            base = found["base"]
            changes |= {"epochs": int(found["epochs"])} if variant == "epochs" else {}
            changes |= {"label_mode": "hard"} if variant == "hard" else {}
            changes |= {"augmented": variant == "augmented"} if variant in ("augmented", "plain") else {}
    for text, given in ((name, {}), (base, changes)):  # a set may be called like a variant of another one
        if text in sets:
            return ResultRow(SET, text, **given)
    for kind, label in KINDS.items():
        if found := re.fullmatch(_pattern(label), base):
            parameters = {key: PARAMETERS.get(key, _features_or_owner)(text) for key, text in found.groupdict().items()}
            return ResultRow(kind, **parameters, **changes)
    return ResultRow(SET, name)


def _pattern(template: str) -> str:
    """The regular expression of what a template makes."""
    fields = [(re.escape(literal), name) for literal, name, *_ in Formatter().parse(template)]
    return "".join(f"{text}(?P<{name}>{PATTERNS.get(name, '.+')})" if name else text for text, name in fields)


def _features_or_owner(text: str) -> str:
    """The network behind ``features of a trained NETWORK``; any other text as it is."""
    found = re.fullmatch(_pattern(FEATURES), text)
    return text if found is None else found["network"]


def _protocol(settings: Mapping[str, Any], seen: str, resolve: Callable[[str], str]) -> dict[str, Any]:
    """The protocol behind settings that name it alone."""
    made: dict[str, Any] = {**DEFAULT, **PROTOCOLS.get(settings.get("protocol", "default"), {"schedule": "unknown"})}
    made |= {"epochs": settings.get("epochs"), "strategy": resolve(settings.get("augmentation", ""))}
    rates = settings.get("lr")
    if isinstance(rates, Mapping):
        made["lr_same"] = rates.get(seen, made["lr_same"])
        made["lr_by_network"] = {**made["lr_by_network"], **rates}
    elif rates is not None:
        made |= {"lr_same": rates, "lr_other": rates, "lr_by_network": {}}
    return made


def _settings(
    settings: Mapping[str, Any], protocol: Mapping[str, Any] | None, seen: str, resolve: Callable[[str], str]
) -> dict[str, Any]:
    """What finished cells depend on."""
    made = _protocol(settings, seen, resolve) if protocol is None else {**DEFAULT, **protocol}
    steps = settings.get("learned_lr", {})
    return {
        "training_version": 1,
        "protocol": _rename(made, **FIELDS),
        "seen": seen,
        "split": settings.get("split", "test"),
        "label_mode": settings.get("recipe", "hard"),
        "teacher": settings.get("teacher"),
        "network_options": settings.get("network_options", {}),
        "hashes": settings.get("hashes", {}),
        "sets": {
            name: {"hashes": hashes, "step_size": steps.get(name)} for name, hashes in settings.get("sets", {}).items()
        },
    }


def _config(
    content: Mapping[str, Any], settings: Mapping[str, Any], seen: str, rows: Sequence[ResultRow]
) -> dict[str, Any]:
    """What was asked for, as ``EvaluationConfig.to_dict`` says it."""
    shown = [row for row in rows if row.shown]
    teacher, cost = settings.get("teacher") or {}, content.get("cost") or {}
    epochs = [row.epochs for row in rows if row.kind == FULL and row.epochs]
    if not epochs and (cost or "scores" in content):
        epochs = [settings["epochs"]]
    kinds = {row.kind for row in shown}
    augmentation = settings.get("augmentation")
    return {
        "networks": content.get("networks") or list(dict.fromkeys(cell["network"] for cell in content["cells"])),
        "seeds": content.get("seeds") or sorted({cell["seed"] for cell in content["cells"]}),
        "epochs": settings.get("epochs"),
        "baselines": [kind for kind in (BEFORE, "random", "kmeans", "herding", FULL) if kind in kinds],
        "seen": seen,
        "split": settings.get("split", "test"),
        "augmentation": None if augmentation == DEFAULT["strategy"] else augmentation,
        "protocol": settings.get("protocol", "default"),
        "label_mode": settings.get("recipe", "hard"),
        "teacher": teacher.get("network"),
        "full_epochs": teacher.get("epochs") or (epochs or [FULL_EPOCHS])[0],
        "learning_rate": settings.get("lr"),
        "network_options": settings.get("network_options", {}),
        "hybrid": list(dict.fromkeys(row.percent for row in shown if row.kind == HYBRID)),
        "scores": "scores" in content,
        "cost": bool(cost),
        "reach": next((entry["reach"] for entry in cost.values()), 0.8),
    }
