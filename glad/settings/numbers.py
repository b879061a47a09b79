"""Ranges of numbers: what a setting or an option may be, and the line that says so of one that lies outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers that make sense somewhere, such as ``0.5 in SHARE``. NaN and the infinite are in no range.

    Attributes:
        holds: Whether a finite number is in the range.
        words: The range in words, after "must be".
    """

    holds: Callable[[float], bool]
    words: str

    def __contains__(self, number: float) -> bool:
        return -inf < number < inf and self.holds(number)

    def require(self, values: Mapping[str, Any], of: str = "") -> None:
        """Refuse the first of ``values`` that is not in the range.

        Args:
            values: Numbers by name. None, where a number may be left out, passes; where a value is itself a mapping,
                such as learning rates by name, each of its numbers is looked at.
            of: What stands before the name in the message, such as ``ast:`` for the options of an objective.

        Raises:
            ValueError: A number is not in the range; the message has its name, the range and the number.
        """
        for name, value in values.items():
            if isinstance(value, Mapping):
                self.require({f"{name}.{key}": number for key, number in value.items()}, of)
            elif value is not None and value not in self:
                finite = "finite and " if value in (inf, -inf) else ""
                raise ValueError(f"{of} {name} must be {finite}{self.words}, not {value}".lstrip())

    def require_of(self, settings: Any, *names: str, of: str = "") -> None:
        """Refuse the first of the fields ``names`` of ``settings`` that is not in the range, as ``require`` does.

        Raises:
            ValueError: A field is not in the range.
        """
        self.require({name: getattr(settings, name) for name in names}, of)


AT_LEAST_ONE = Range(lambda number: number >= 1, "at least 1")
AT_LEAST_ZERO = Range(lambda number: number >= 0, "at least 0")
ABOVE_ZERO = Range(lambda number: number > 0, "above 0")
SHARE = Range(lambda number: 0 <= number < 1, "at least 0 and below 1")
"""Such as a momentum: at 1 the steps of SGD grow without end."""
SWITCH = Range(lambda number: number in (0, 1), "0 or 1")
