"""The command ``glad``: options in, one clear line out when something is wrong."""

import os

import click

from glad.cli.lazy import Entry, LazyGroup
from glad.cli.mistakes import OneLineCommand, say_first
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


class Commands(OneLineCommand, LazyGroup):
    """The commands, each imported where it is needed; what went wrong is one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; under torchrun, which starts many processes, only one that shares its work among them."""
        if "TORCHELASTIC_RUN_ID" in os.environ and args[0] != "distill":
            say_first(f"Error: `glad {args[0]}` does not share its work among ranks: start it without torchrun")
            ctx.exit(1)
        return super().resolve_command(ctx, args)


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
