"""``glad weights measure``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from generators.training.settings import MeasureSettings
from glad.cli.settings import from_options, settings_options
from glad.cli.weights.bars import Bars
from glad.settings.data import DataSettings


@click.command()
@click.argument("name")
@settings_options(DataSettings, skip=("zca",))
@click.option("--out", type=click.Path(file_okay=False), required=True, help="Folder for numbers and pictures.")
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="validation",
    help="Images that accuracy is measured on; touch the test images once, at the end.",
)
@settings_options(MeasureSettings)
def measure(name: str, out: str, split: str, **options: Any) -> None:
    """Measure a generator beside the images it was trained on.

    NAME is an embedded generator or a safetensors file. Accuracy of networks trained on samples, Fréchet distance,
    precision and recall, diversity, nearest training images and speed are written to measure.json, with three pictures.
    """
    source, sizes = from_options(DataSettings, options), from_options(MeasureSettings, options)
    from generators.training.measure import measure_generator
    from glad.data.splits import open_data

    with Bars() as bars:
        found = measure_generator(name, open_data(source, single_class=True), out, sizes, split=split, progress=bars)
    report(found, out)


def report(found: Mapping[str, Any], out: str) -> None:
    """Print the tables."""
    console = Console(width=None if Console().is_terminal else 160)
    for table in (class_table(found, found["options"]["split"]), feature_table(found), copy_table(found)):
        console.print(table)
    share, limit = found["copies"]["share_closer"], found["copies"]["first_percentile"]
    click.echo(
        f"{100 * share:.0f} % of the samples are nearer than {limit:.3f}, the first percentile of unseen images."
    )
    pace, size = found["speed"], found["weights"]["bytes"]
    click.echo(
        f"{pace['images']} images forward and back to the codes: {pace['seconds']:.2f} s, threads: {pace['threads']}; "
        f"{size:,} bytes of weights."
    )
    click.echo(f"{out}: measure.json, samples.png, interpolations.png, nearest.png")


def number(value: float | None, digits: int = 2, scale: float = 1.0) -> str:
    """A number for a table, or a dash."""
    return "-" if value is None else f"{scale * value:.{digits}f}"


def spread_of(score: Mapping[str, Any]) -> str:
    """Mean accuracy in % and, where there is more than one seed, its sample deviation."""
    deviation = "" if score["std"] is None else f" ± {100 * score['std']:.1f}"
    return f"{100 * score['mean']:.1f}{deviation}"


def class_table(found: Mapping[str, Any], split: str) -> Table:
    """Accuracy of networks trained on samples and on real images, and diversity, by class."""
    table = Table(title=f"{split.capitalize()} accuracy in %, and diversity")
    for heading in ("class", "trained on generated", "trained on real", "diversity, generated / real"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    scores = [found.get("classification", {}).get(kind) for kind in ("generated", "real")]
    ratios = found["diversity"]
    for c, name in enumerate(found["data"]["groups"]):
        cells = [number(score["per_class"][c], 1, 100) if score else "-" for score in scores]
        table.add_row(name, *cells, number(ratios["per_class"][c]))
    table.add_section()
    table.add_row("mean", *(spread_of(score) if score else "-" for score in scores), number(ratios["mean"]))
    return table


def feature_table(found: Mapping[str, Any]) -> Table:
    """Distances in the features of a network trained on real images."""
    accuracy = number(found["feature_accuracy"], 1, 100)
    table = Table(title=f"{found['images_compared']} images in features of {accuracy} % validation accuracy")
    for heading in ("against real images", "Fréchet distance", "precision", "recall"):
        table.add_column(heading, justify="left" if heading == "against real images" else "right")
    for kind, name in {"generated": "generated", "floor": "other real (floor)"}.items():
        row = found["features"][kind]
        table.add_row(name, number(row["frechet"], 3), number(row["precision"], 3), number(row["recall"], 3))
    return table


def copy_table(found: Mapping[str, Any]) -> Table:
    """Distances to the nearest training image."""
    table = Table(title="Distance to the nearest training image, of pixels in [0, 1]")
    for heading in ("images", "median", "minimum"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for kind, name in {"generated": "generated", "validation": "real, unseen (validation)"}.items():
        row = found["copies"][kind]
        table.add_row(f"{row['images']} {name}", number(row["median"], 3), number(row["minimum"], 3))
    return table
