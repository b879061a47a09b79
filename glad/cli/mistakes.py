"""What went wrong as one clear line: what the command ``glad`` and the scripts share."""

import os
import re
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

LESS_MEMORY = (
    "Less is taken by smaller batches and networks, and by a smaller --chunk where a generator draws images; "
    "the command's --help names its own"
)


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
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own, such as the end after `--help`
        except Exception as error:
            if getattr(error, "silent", False):  # another rank says it
                ctx.exit(1)
            if os.environ.get("GLAD_DEBUG") or not (line := line_of(error)):
                raise
            raise click.ClickException(line) from error


def line_of(error: Exception) -> str:
    """What went wrong in one line, for people; nothing where it is a fault of this program."""
    if is_mistake(error):
        return _one_line(error)
    from glad.device import ran_out_of_memory  # which imports torch

    return f"out of memory: {_asked(error)}. {LESS_MEMORY}" if ran_out_of_memory(error) else ""


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


def _asked(error: Exception) -> str:
    """What was to be allocated: torch tells it in one sentence of several (of a GPU), or in bytes (of this machine)."""
    text = " ".join(str(error).split()).removeprefix("CUDA out of memory. ")
    if found := re.search(r"allocate (\d+) bytes", text):
        return f"{int(found[1]) / 2**30:,.1f} GiB were asked for"
    return ". ".join(text.split(". ")[:2]) or "no memory is left"
