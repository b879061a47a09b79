"""What runs tasks, and what it does with their outcomes."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from glad.tasks.order import Key, NodeError, Outcome, TaskKind

RETRIES = 3
"""So often is a task given out again whose process has died."""


class Engine(Protocol):
    """What runs tasks."""

    elsewhere: bool
    """Whether tasks run in other processes, which open the context anew."""
    shared: Path | None
    """A folder that all these processes see; None where any will do."""
    device: str
    """Where tasks compute, by its name there."""

    def run(self, work: TaskKind, keys: Sequence[Key]) -> Iterator[tuple[int, Any]]:
        """Yield the position of each key and what its task returned, as they come.

        Where a task fails the others go on, and its error is raised at the end; in this process it is raised at once.
        ``RunError`` for a task whose process dies again and again.
        """
        ...


class Results:
    """Outcomes as they come: what tasks warned of is said once, and the first error is kept for the end."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []
        self._said: set[str] = set()

    def take(self, position: int, outcome: Outcome) -> Iterator[tuple[int, Any]]:
        """What the task returned; nothing of one that failed, and ``NodeError`` at once."""
        for note in outcome.notes:
            if note not in self._said:
                self._said.add(note)
                warnings.warn(note, stacklevel=4)
        if isinstance(outcome.error, NodeError):
            raise outcome.error
        if outcome.error is not None:
            self._errors.append(outcome.error)
        else:
            yield position, outcome.value

    def end(self) -> None:
        """Raise the first error."""
        if len(self._errors) > 1:
            warnings.warn(f"{len(self._errors)} tasks failed; what the first one said follows", stacklevel=4)
        if self._errors:
            raise self._errors[0]
