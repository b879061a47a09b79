"""``glad export``."""

from pathlib import Path

import click

from glad.export import FORMATS
from glad.export import export as write
from glad.run_folder import Run


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(FORMATS)),
    default="folder",
    help="PNGs by class, npz (uint8), or safetensors (float).",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where to write.  [default: inside the run]")
def export(run: Path, kind: str, out: Path | None) -> None:
    """Take the images of a finished run out as files."""
    from glad.opening import open_data

    folder = Run(run)
    click.echo(f"Written to {write(folder, open_data(folder.config).train, kind, out)}")
