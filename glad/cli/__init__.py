"""The command ``glad``: options in, one clear line out when something is wrong."""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import glad
from glad.cli.lazy import Entry, LazyGroup
from glad.runs.disk import reason_of
from glad.runs.interrupts import STATUS, Interrupts, Terminated
from glad.version import VERSION

ENTRIES = {
    "audit": Entry("glad.cli.audit:audit", "Check a distilled set: who loses by it, what it covers, what it copied."),
    "check": Entry("glad.cli.check:check", "Look at a data set before anything is made of it."),
    "compress": Entry("glad.cli.compress:compress", "Store a distilled set in fewer bits, as a file of codes."),
    "distill": Entry("glad.cli.distill:distill", "Distill a data set into a few synthetic images per class."),
    "doctor": Entry("glad.cli.doctor:doctor", "Try what glad needs on this machine, and say what mends the rest."),
    "evaluate": Entry("glad.cli.evaluate:evaluate", "Train networks from scratch on distilled sets and test them."),
    "experts": Entry("glad.cli.experts:experts", "Train networks whose trajectories mtt and ast follow."),
    "export": Entry("glad.cli.export:export", "Write the images of a finished run as files."),
    "import-set": Entry(
        "glad.cli.import_set:import_set", "Bring a set of another program into the form of `glad export`, and draw it."
    ),
    "info": Entry("glad.cli.info:info", "Show versions, devices, and how the operators run."),
    "objectives": Entry("glad.cli.objectives:objectives", "List what a synthetic set can be optimized for."),
    "presets": Entry("glad.cli.presets:presets", "List published settings for `glad distill --preset NAME`."),
    "protocols": Entry("glad.cli.protocols:protocols", "List the protocols of `glad evaluate`, or print one."),
    "push": Entry("glad.cli.push:push", "Publish the set of a finished run on the Hub, with its card."),
    "recipes": Entry("glad.cli.presets:presets", "", now="presets"),
    "render": Entry("glad.cli.render:render", "Render the images of exported codes, the same pixels as the run's."),
    "report": Entry("glad.cli.report:report", "Write one HTML page for whoever decides."),
    "tune": Entry("glad.cli.tune:tune", "Search the settings that decide, on the validation images, with short runs."),
    "weights": Entry("glad.cli.weights:weights", "List, fetch, convert, compare and train generators."),
}
MISTAKES = (ArithmeticError, ValueError, OSError)
ELSEWHERE = {"glad.runs.storage": "RunError", "glad.distillation": "DistillationError", "glad.ranks.watch": "RankError"}
"""Modules that are imported only where they are needed, and the mistakes that they define."""


def is_mistake(error: Exception) -> bool:
    """Whether an error says in one line what to change; any other is a fault of this program."""
    known = [getattr(sys.modules.get(module), name, None) for module, name in ELSEWHERE.items()]
    return isinstance(error, (*MISTAKES, *filter(None, known)))


class Commands(LazyGroup):
    """Turns what went wrong into one line and exit status 1; ``GLAD_DEBUG=1`` shows the traceback instead."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; under torchrun, which starts many processes, only one that shares its work among them."""
        if "TORCHELASTIC_RUN_ID" in os.environ and args[0] != "distill":
            _say_first(f"Error: `glad {args[0]}` does not share its work among ranks: start it without torchrun")
            ctx.exit(1)
        return super().resolve_command(ctx, args)

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
            _say_first("Terminated. What is finished is saved, and the same command continues.")
            ctx.exit(STATUS)
        except KeyboardInterrupt:
            _say_first("\nInterrupted. The same command continues from the last saved state.")
            ctx.exit(130)
        except BrokenPipeError:
            raise  # whoever read the output, `head` say, has enough: click ends without a word
        except Exception as error:
            if getattr(error, "silent", False):  # another rank says it
                ctx.exit(1)
            if os.environ.get("GLAD_DEBUG") or not is_mistake(error):
                raise
            raise click.ClickException(_one_line(error)) from error


def _say_first(line: str) -> None:
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


@click.group(
    cls=Commands, entries=ENTRIES, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(VERSION, prog_name="glad")
def main() -> None:
    """Distill an image data set into a few synthetic images, as codes of a pretrained generator.

    \b
    glad distill                      the embedded data and generator, 1 image per class
    glad check DATA                   is it read as you mean it, and can it be used?
    glad presets                      published settings, and what they take
    glad weights list                 generators, and what their licenses say
    glad experts train --out FOLDER   networks whose trajectories mtt and ast follow
    glad tune --minutes N --out F     search the settings that decide
    glad evaluate runs/NAME           train networks on the result and test them
    glad protocols                    how those networks are trained
    glad audit runs/NAME              who loses by it, what it copied, where it is from
    glad report runs/NAME             one page for whoever decides
    glad export runs/NAME             the images as files
    glad compress runs/NAME --bits 4  the set in fewer bits
    glad import-set FILE OUT          a set of another program in that form
    glad push runs/NAME ORG/NAME      the set on the Hugging Face Hub, with its card
    glad render CODES --out FOLDER    the same images from their codes
    glad doctor                       does all of it work on this machine?
    """
