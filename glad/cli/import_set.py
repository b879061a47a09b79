"""``glad import-set``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from glad.cli.export import FORMAT_HELP, say
from glad.cli.options import SetPath
from glad.cli.settings import settings_options
from glad.cli.source import FORMATS
from glad.settings.evaluate import EvaluateSettings
from glad.settings.fields import settings_of

FIELDS = ("data", "root", "classes", "limit", "resolution", "zca", "drop_duplicates", "values", "class_map")
HELP = {
    "data": "The data that the set stands for, whose classes, size and normalization it gets.  [default: none]",
    "root": "Where data sets lie; this and the next five go with the name of the data.",
}


@click.command()
@click.argument("file", type=SetPath())
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(FORMATS)),
    help=f"{FORMAT_HELP}.  [default: by the suffix of OUT, else folder]",
)
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@settings_options(
    EvaluateSettings, skip=tuple(s.name for s in settings_of(EvaluateSettings) if s.name not in FIELDS), help=HELP
)
def import_set(file: Path, out: Path, kind: str | None, force: bool, **options: Any) -> None:
    """Bring a set of another program into the form of `glad export`, and draw it.

    FILE is a folder CLASS/image, a file .npz, .safetensors, .pt, .parquet or .tar, or hf://ORG/NAME. OUT gets a card
    with classes and normalization; OUT.png shows the images by class.
    """
    from glad.data.inspection import describe
    from glad.data.splits import load_data
    from glad.formats.export import export
    from glad.formats.load import load_distilled
    from glad.runs.image_grid import grid, save_png

    source: Mapping[str, Any] = {name: options[name] for name in FIELDS[1:7] if options[name] not in (None, ())}
    splits = None
    if options["data"] is not None:
        splits = load_data(options["data"], **source)
        click.echo(describe(splits), err=True)
    click.echo(f"Reading {file}", err=True)
    loaded = load_distilled(file, data=splits, values=options["values"], class_map=options["class_map"])
    click.echo(f"Writing {len(loaded)} images", err=True)
    say(export(loaded, kind, out, force=force))
    picture = out.with_name(f"{out.name}.png")
    save_png(grid(loaded.pixels, loaded.targets, loaded.classes), picture)
    click.echo(f"Picture: {picture}")
