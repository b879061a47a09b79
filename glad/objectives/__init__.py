"""Objectives: losses on synthetic images, each in a file of its own.

An objective of one's own is a class with the two methods of ``Objective`` and one line in ``OBJECTIVES`` (or
``--objective module:Class``). Constructor parameters called ``real``, ``network``, ``augment`` and ``segment`` (of an
expert's path) are handed in; the others are its options. ``learning_rates`` holds the published rate per latent
space, ``options_for_codes`` (if any) the options that are published with other defaults where a generator's codes are
optimised instead of pixels.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from glad.objectives.ast import AST
from glad.objectives.base import Objective, Step
from glad.objectives.datadam import DataDAM
from glad.objectives.dc import DC
from glad.objectives.dm import DM
from glad.objectives.mtt import MTT
from glad.objectives.ncfm import NCFM

__all__ = ["OBJECTIVES", "Objective", "Step", "objective"]

Made = TypeVar("Made", bound=Callable[..., Any])

OBJECTIVES: dict[str, Callable[..., Any]] = {
    "dm": DM,
    "dc": DC,
    "mtt": MTT,
    "ast": AST,
    "datadam": DataDAM,
    "ncfm": NCFM,
}
"""Objectives by name."""


def objective(name: str) -> Callable[[Made], Made]:
    """Decorate a class to make it known as ``name``; ``ValueError`` if another one has it.

    From the command line a class is named ``module:Class``, decorated or not: nothing else would import its module.
    """

    def register(made: Made) -> Made:
        taken = OBJECTIVES.get(name, made)
        if (taken.__module__, taken.__qualname__) != (made.__module__, made.__qualname__):
            raise ValueError(f"there is an objective {name!r} already, {taken.__module__}:{taken.__qualname__}")
        OBJECTIVES[name] = made
        return made

    return register
