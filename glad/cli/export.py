"""``glad export``, and what it and ``glad render`` say about what was written."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glad.cli.source import FORMATS

if TYPE_CHECKING:
    from glad.formats.export import Exported

FORMAT_HELP = "; ".join(f"{kind}: {text}" for kind, text in FORMATS.items())

ZCA = {
    "kept": "`images` are whitened, `pixels` are not; networks trained on `images` need whitened test images",
    "inverted": "undone, so that networks see these images unwhitened, which they did not while distilling",
}


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(FORMATS)),
    help=f"{FORMAT_HELP}.  [default: by the suffix of --out, else folder]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where to write.  [default: inside the run]")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
def export(run: Path, kind: str | None, out: Path | None, force: bool) -> None:
    """Write the images of a finished run as files."""
    from glad.formats.export import export as write

    say(write(run, kind, out, force=force))


def say(exported: "Exported") -> None:
    """Print where a set lies, what it is, and what storing it cost."""
    card = exported.card
    shape = "x".join(map(str, (card.channels, card.resolution, card.resolution)))
    low, high = card.range
    click.echo(
        f"Written to {exported.path} ({card.format}): {card.images} images {shape} of {len(card.classes)} classes, "
        f"pixels from {low:.3f} to {high:.3f}"
    )
    cost = card.cost
    if card.levels is None:
        click.echo("Floats as they are: nothing is rounded or clipped")
    else:
        clipped = f"{100 * cost.clipped:.3g} % of the values were clipped, the furthest by {cost.outside:.3g}/255"
        click.echo(
            f"{card.levels.bits} bits cost {cost.mean:.3g}/255 on average and {cost.max:.3g}/255 at most; "
            + (clipped if cost.clipped else "no value was clipped")
        )
    if card.zca != "none":
        click.echo(f"ZCA: {ZCA[card.zca]}")
