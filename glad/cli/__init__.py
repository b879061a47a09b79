"""The command ``glad``: options in, one clear line out when something is wrong."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from glad.cli.audit import audit
from glad.cli.distill import distill
from glad.cli.doctor import doctor
from glad.cli.evaluate import evaluate
from glad.cli.experts import experts
from glad.cli.export import export
from glad.cli.info import info
from glad.cli.objectives import objectives
from glad.cli.presets import recipes
from glad.cli.protocols import protocols
from glad.cli.push import push
from glad.cli.render import render
from glad.cli.report import report
from glad.cli.tune import tune
from glad.cli.weights import weights
from glad.data.dataset import DataError
from glad.distillation import DistillationError
from glad.runs.disk import reason_of
from glad.runs.interrupts import STATUS, Interrupts, Terminated
from glad.runs.storage import RunError

MISTAKES = (DataError, RunError, DistillationError, ArithmeticError, ValueError, OSError)


class Commands(click.Group):
    """Turns what went wrong into one line and exit status 1; ``GLAD_DEBUG=1`` shows the traceback instead."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        sys.path.append(str(Path.cwd()))  # as `python -m` does: for module:Class of a file that lies here
        warnings.showwarning = lambda message, *_, **__: click.echo(f"Note: {message}", err=True)
        try:
            with Interrupts():
                return super().invoke(ctx)
        except MISTAKES as error:
            if os.environ.get("GLAD_DEBUG"):
                raise
            raise click.ClickException(_in_one_line(error)) from error
        except Terminated:
            click.echo("Terminated. What is finished is saved, and the same command continues.", err=True)
            ctx.exit(STATUS)
        except KeyboardInterrupt:
            click.echo("\nInterrupted. The same command continues from the last saved state.", err=True)
            ctx.exit(130)


def _in_one_line(error: BaseException) -> str:
    """What went wrong, for people; of a disk, without the number of its error."""
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        path = Path(os.fsdecode(error.filename))
        return f"{path}: {reason_of(error, path)}"
    return " ".join(str(error).split())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="glad-distill", prog_name="glad")
def main() -> None:
    """Distil an image data set into a few synthetic images, as codes of a pretrained generator.

    \b
    glad distill                      the embedded data and generator, 1 image per class
    glad recipes                      published settings, and what they take
    glad weights list                 generators, and what their licenses say
    glad experts train --out FOLDER   networks whose paths mtt and ast follow
    glad tune --minutes N --out F     search the knobs that decide
    glad evaluate runs/NAME           train networks on the result and test them
    glad protocols                    how those networks are trained
    glad audit runs/NAME              who loses by it, what it copied, where it is from
    glad report runs/NAME             one page for whoever decides
    glad export runs/NAME             the images as files
    glad push runs/NAME ORG/NAME      the set on the Hugging Face Hub, with its card
    glad render CODES --out FOLDER    the same images from their codes
    glad doctor                       does all of it work on this machine?
    """


for command in (
    audit,
    distill,
    doctor,
    evaluate,
    experts,
    export,
    info,
    objectives,
    protocols,
    push,
    recipes,
    render,
    report,
    tune,
    weights,
):
    main.add_command(command)
