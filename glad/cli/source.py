"""What a class says of itself, read from its source: importing it would take seconds."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).parents[2]
OBJECTIVES = {
    "dm": "glad.objectives.dm:DM",
    "dc": "glad.objectives.dc:DC",
    "mtt": "glad.objectives.mtt:MTT",
    "ast": "glad.objectives.ast:AST",
    "datm": "glad.objectives.datm:DATM",
    "datadam": "glad.objectives.datadam:DataDAM",
    "cf": "glad.objectives.cf:CF",
    "ncfm": "glad.objectives.ncfm:NCFM",
    "lgm": "glad.objectives.lgm:LGM",
}
"""Where the classes of the registry ``glad.objectives.OBJECTIVES`` are written, in its order."""
FORMATS = {
    "folder": "PNGs by class",
    "folder16": "the same with 16 bits, nothing clipped",
    "npz": "uint8, for --data",
    "safetensors": "exact floats",
    "parquet": "for Hugging Face datasets and pandas",
    "webdataset": "a tar",
    "torch": "images_best.pt and labels_best.pt, normalized",
    "codes": "latents alone, for glad render",
}
"""The names and the help of the registry ``glad.formats.FORMATS``."""
FILLED = ("real", "network", "augment", "segment")
"""Parameters of an objective that the program fills."""


@dataclass(frozen=True)
class ClassSource:
    """The first sentence of a class, the options of its constructor with their defaults, and its dicts of numbers."""

    summary: str
    options: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, float]]


@cache
def read_class(place: str, reserved: tuple[str, ...]) -> ClassSource:
    """The class at ``module:Class`` of this project.

    Args:
        place: its module and name.
        reserved: parameters of the constructor that the program fills, which are no options.
    """
    module, _, name = place.partition(":")
    tree = ast.parse(PACKAGES.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
    constants = _literals(tree.body)
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    summary = (ast.get_docstring(found) or "").partition("\n")[0]
    tables = {key: value for key, value in _literals(found.body).items() if isinstance(value, dict)}
    makers = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    options = _defaults(makers[0], constants) if makers else {}
    return ClassSource(summary, {key: value for key, value in options.items() if key not in reserved}, tables)


def _literals(body: list[ast.stmt]) -> dict[str, Any]:
    """The names that literals are assigned to."""
    values = {}
    for node in body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            try:
                values[ast.unparse(target)] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError):
                continue
    return values


def _defaults(function: ast.FunctionDef, constants: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with a default."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(positional[::-1], arguments.defaults[::-1], strict=False)][::-1]
    pairs += [(name, value) for name, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return {
        name.arg: constants[value.id] if isinstance(value, ast.Name) else ast.literal_eval(value)
        for name, value in pairs
    }
