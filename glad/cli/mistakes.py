"""What went wrong as one clear line: what the command ``glad`` and the scripts share."""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import glad
from glad.runs.disk import reason_of
from glad.runs.interrupts import STATUS, Interrupts, Terminated

MISTAKES = (ArithmeticError, ValueError, OSError)
ELSEWHERE = {"glad.runs.storage": "RunError", "glad.distillation": "DistillationError", "glad.ranks.watch": "RankError"}
"""Modules that are imported only where they are needed, and the mistakes that they define."""


def is_mistake(error: Exception) -> bool:
    """Whether an error says in one line what to change; any other is a fault of this program."""
    known = [getattr(sys.modules.get(module), name, None) for module, name in ELSEWHERE.items()]
    return isinstance(error, (*MISTAKES, *filter(None, known)))


class OneLineCommand(click.Command):
    """Turns what went wrong into one line and exit status 1; ``GLAD_DEBUG=1`` shows the traceback instead."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if line := glad.find_shadowing() or glad.find_old_torch():
            raise click.ClickException(line)
        sys.path.append(str(Path.cwd()))  # as `python -m` does: for module:Class of a file that lies here
        warnings.showwarning = print_once()
        try:
            with Interrupts():
                return super().invoke(ctx)
        except Terminated:
            say_first("Terminated. What is finished is saved, and the same command continues.")
            ctx.exit(STATUS)
        except KeyboardInterrupt:
            say_first("\nInterrupted. The same command continues from the last saved state.")
            ctx.exit(130)
        except BrokenPipeError:
            raise  # whoever read the output, `head` say, has enough: click ends without a word
        except Exception as error:
            if getattr(error, "silent", False):  # another rank says it
                ctx.exit(1)
            if os.environ.get("GLAD_DEBUG") or not is_mistake(error):
                raise
            raise click.ClickException(_one_line(error)) from error


def say_first(line: str) -> None:
    """Say ``line``, unless this is a rank beside the first (``glad.ranks``), which says it."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(line, err=True)


def print_once() -> Callable[..., None]:
    """Return what prints each warning as a note on stderr, equal ones once."""
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if (line := f"Note: {message}") not in said:
            said.add(line)
            click.echo(line, err=True)

    return show


def _one_line(error: BaseException) -> str:
    """What went wrong, for people; of a disk, without the number of its error."""
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        path = Path(os.fsdecode(error.filename))
        return f"{path}: {reason_of(error, path)}"
    return " ".join(str(error).split())
