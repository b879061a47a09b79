"""Objectives: losses on synthetic images, each in a file of its own.

An objective of one's own is a class with the two methods of ``Objective``, named ``module:Class`` or registered by
``register_objective``. Constructor parameters called ``real``, ``network``, ``augment`` and ``segment`` (of an
expert's trajectory) are handed in; the others are its options. What else it can say of itself is in
``ObjectiveDescription``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from glad.objectives.ast import AST
from glad.objectives.base import Objective, Step
from glad.objectives.cf import CF
from glad.objectives.datadam import DataDAM
from glad.objectives.datm import DATM
from glad.objectives.dc import DC
from glad.objectives.description import ObjectiveDescription
from glad.objectives.dm import DM
from glad.objectives.lgm import LGM
from glad.objectives.mtt import MTT
from glad.objectives.ncfm import NCFM
from glad.registry import Registry

__all__ = [
    "OBJECTIVES",
    "Objective",
    "ObjectiveDescription",
    "Step",
    "list_objectives",
    "objective",
    "register_objective",
]

Made = TypeVar("Made", bound=Callable[..., Any])

OBJECTIVES: Registry[Callable[..., Any]] = Registry(
    "objective",
    {
        "dm": DM,
        "dc": DC,
        "mtt": MTT,
        "ast": AST,
        "datm": DATM,
        "datadam": DataDAM,
        "cf": CF,
        "ncfm": NCFM,
        "lgm": LGM,
    },
)
"""Objectives by name; others are ``module:Class``."""


def register_objective(name: str) -> Callable[[Made], Made]:
    """Decorate an objective's class, or a function that makes one, to make it known as ``name``.

    From the command line it is named ``module:Class``, decorated or not: nothing else would import its module.

    Args:
        name: What ``glad.distill(objective=...)`` is to take.

    Returns:
        A decorator that registers the class and returns it.

    Raises:
        ValueError: Another objective has that name.

    Examples:
        >>> @glad.register_objective("mean")
        ... class Mean:
        ...     def __init__(self, real) -> None:
        ...         self.real = real
        ...
        ...     def terms(self, images, labels, step):
        ...         for c in labels.unique().tolist():
        ...             goal = self.real(c, 16, step.rng(f"real {c}")).mean(0)
        ...             yield (images[labels == c].mean(0) - goal).square().sum()
        ...
        ...     def tensors(self):
        ...         return {}
        >>> "mean" in glad.list_objectives()
        True
    """
    return OBJECTIVES.registering(name)


objective = register_objective
"""The same by a shorter name."""


def list_objectives(pattern: str = "*") -> list[str]:
    """List the objectives known by name.

    Args:
        pattern: Names to keep, such as ``d*``.

    Returns:
        The names in alphabetical order.

    Examples:
        >>> glad.list_objectives("d*")
        ['datadam', 'datm', 'dc', 'dm']
    """
    return OBJECTIVES.names(pattern)
