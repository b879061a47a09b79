"""``glad render``."""

from pathlib import Path

import click

from glad.cli.export import FORMAT_HELP, say
from glad.cli.source import FORMATS


@click.command()
@click.argument("codes", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Where to write.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(FORMATS)),
    help=f"{FORMAT_HELP}.  [default: by the suffix of --out, else folder]",
)
@click.option(
    "--prior", type=click.Path(path_type=Path), help="The generator's file, where the codes name no embedded one."
)
@click.option("--device", default="auto", help="Where the generator renders.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
def render(codes: Path, out: Path, kind: str | None, prior: Path | None, device: str, force: bool) -> None:
    """Render the images of exported codes, the same pixels as the run's."""
    from glad.formats.export import render as write

    say(write(codes, out, kind, prior=prior, device=device, force=force))
