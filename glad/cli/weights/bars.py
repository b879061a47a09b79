"""Progress of training and measuring a generator, as lines and bars."""

import math
import sys
from contextlib import ExitStack
from types import TracebackType

import click

from generators.training.progress import Progress
from glad.cli.options import Bar, progress_bar


class Bars(Progress):
    """A bar for each stage; it closes when the next one begins, and before a line is printed."""

    def __init__(self) -> None:
        self.stack, self.stage, self.done = ExitStack(), ("", 0), -1
        self.bar: Bar | None = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def say(self, line: str) -> None:
        """Print ``line``."""
        self._close()
        click.echo(line)

    def advance(self, unit: str, done: int, total: int, note: str) -> None:
        """Draw ``done`` of ``total``; a stage is told from the one before by its unit and total."""
        if (unit, total) != self.stage or self.bar is None or done < self.done:
            self._close()
            self.bar, self.stage = self.stack.enter_context(progress_bar(total, unit)), (unit, total)
        if done != self.done:
            self.bar.advance(done, note)
            self.done = done

    def spend(self, minutes: float, total: float, note: str) -> None:
        """Draw the minutes as they pass; elsewhere than on a terminal the lines of ``say`` are enough."""
        if sys.stdout.isatty():
            self.advance("minute", min(int(minutes), math.ceil(total)), math.ceil(total), note)

    def _close(self) -> None:
        self.stack.close()
        self.bar, self.done = None, -1
