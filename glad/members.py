"""Members of what users write: those that must be there, and optional ones, read with a default and held to a form."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad.optimizers import OPTIMIZERS


@dataclass(frozen=True)
class Form:
    """What a member may be.

    Attributes:
        holds: Whether a value is of this form.
        words: The form in words, for messages.
    """

    holds: Callable[[Any], bool]
    words: str


def require_methods(owner: Any, methods: Sequence[str], who: str) -> None:
    """Raise ``ValueError`` unless ``owner``, an object or its class, has all of ``methods``."""
    if absent := [name for name in methods if not callable(getattr(owner, name, None))]:
        raise ValueError(f"{who} has no method {absent[0]}: it must have {', '.join(methods)}")


def read_member(owner: Any, member: str, default: Any, form: Form, who: str) -> Any:
    """Read ``owner.member``, or ``default`` where there is none.

    Args:
        owner: An object, or its class: what only objects compute (a property) counts as absent there.
        member: The name.
        default: What stands for an absent member.
        form: What it may be.
        who: The owner, for messages, such as ``prior mine:Decoder``.

    Raises:
        ValueError: The value is not of its form; the message names both.
    """
    value = getattr(owner, member, default)
    if inspect.isclass(owner) and isinstance(value, property):
        value = default
    if not form.holds(value):
        raise ValueError(f"{who}: {member} cannot be {value!r}; it is {form.words}")
    return value


def whole(least: int) -> Form:
    """A whole number of at least ``least``."""
    return Form(lambda value: _is_whole(value) and value >= least, f"a whole number of at least {least}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _maps(entry: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is a dict from names to values of which ``entry`` is true."""
    return lambda value: (
        isinstance(value, Mapping)
        and all(isinstance(name, str) for name in value)
        and all(entry(found) for found in value.values())
    )


RATE = Form(_is_rate, "a number of at least 0")
SWITCH = Form(lambda value: isinstance(value, bool), "True or False")
NAME = Form(lambda value: value is None or isinstance(value, str), "a name or None")
NAMES = Form(
    lambda value: isinstance(value, tuple | list) and all(isinstance(name, str) for name in value), "a tuple of names"
)
RENAMED = Form(_maps(lambda value: isinstance(value, str)), "a dict from former names to present ones")
OPTIONS = Form(_maps(lambda value: True), "a dict from names of options to values")
RATES = Form(_maps(_is_rate), "a dict from names of tensors to rates")
RATES_BY_OBJECTIVE = Form(
    _maps(lambda value: _is_rate(value) or RATES.holds(value)),
    "a dict from names of latents to rates, or from names of objectives to such dicts",
)
KINDS = Form(
    _maps(lambda value: isinstance(value, str) and value in OPTIMIZERS),
    f"a dict from names of tensors to {' or '.join(OPTIMIZERS)}",
)
