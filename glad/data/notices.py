"""What a data set says: the error that stops, and the notice that does not."""

import warnings
from collections.abc import Iterable


class DataError(ValueError):
    """A data set that cannot be used as it is: one line that names the value and the fix."""


class DataNotice(UserWarning):
    """What was done with a data set that its owner may not expect, in one line."""


def warn_of(notices: Iterable[str]) -> None:
    """Raise each of ``notices`` as a :class:`DataNotice`, which the command line prints as a line of its own."""
    for notice in notices:
        warnings.warn(notice, DataNotice, stacklevel=3)


def shorten(names: Iterable[str], count: int = 5) -> str:
    """The first ``count`` of ``names``, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:count]) + (f" and {len(listed) - count} more" if len(listed) > count else "")
