"""The command ``glad``: options in, one clear line out when something is wrong."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from glad.cli.distill import distill
from glad.cli.evaluate import evaluate
from glad.cli.experts import experts
from glad.cli.export import export
from glad.cli.info import info
from glad.cli.objectives import objectives
from glad.cli.recipes import recipes
from glad.data import DataError
from glad.distillation import DistillationError
from glad.runs import RunError

MISTAKES = (DataError, RunError, DistillationError, ArithmeticError, ValueError, OSError)


class Commands(click.Group):
    """Turns what went wrong into one line and exit status 1; ``GLAD_DEBUG=1`` shows the traceback instead."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        sys.path.append(str(Path.cwd()))  # as `python -m` does: for module:Class of a file that lies here
        warnings.showwarning = lambda message, *_, **__: click.echo(f"Note: {message}", err=True)
        try:
            return super().invoke(ctx)
        except MISTAKES as error:
            if os.environ.get("GLAD_DEBUG"):
                raise
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            click.echo("\nInterrupted. The same command continues from the last saved state.", err=True)
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="glad-distill", prog_name="glad")
def main() -> None:
    """Distil an image data set into a few synthetic images, as codes of a pretrained generator.

    \b
    glad distill                      the embedded data and generator, 1 image per class
    glad recipes                      published settings, and what they take
    glad experts train --out FOLDER   networks whose paths mtt and ast follow
    glad evaluate runs/NAME           train networks on the result and test them
    glad export runs/NAME             the images as files
    """


for command in (distill, evaluate, experts, export, info, objectives, recipes):
    main.add_command(command)
