"""``glad weights compare``."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from generators.classes import GUESS, REST
from generators.license import License
from glad.cli.options import ClassPairs, data_options
from glad.data.splits import open_data
from glad.device import pick_device
from glad.evaluation.prior_comparison import Judge, Sizes, judge, measure
from glad.priors.resolve import resolve_prior
from glad.runs.image_grid import eight_bit, save_png, sheet
from glad.runs.storage import write_json

DEFAULTS = Sizes()
PICTURED = 20  # images a row


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@data_options
@click.option("--layer", type=int, help="Compare in F_n, from this layer on.  [default: W+]")
@click.option(
    "--class-map",
    type=ClassPairs(),
    multiple=True,
    metavar="CLASS=CLASS",
    help="As `glad distill --class-map`; what no name decides is guessed here.",
)
@click.option("--images", default=DEFAULTS.images, help="Samples of each, and as many real images.")
@click.option("--inverted", default=DEFAULTS.inverted, help="Validation images to invert.")
@click.option("--steps", default=DEFAULTS.steps, help="Of inversion.")
@click.option("--epochs", default=DEFAULTS.epochs, help="Of the networks that are trained.")
@click.option("--width", default=DEFAULTS.width, help="Of these networks.")
@click.option("--chunk", default=DEFAULTS.chunk, help="Images rendered at a time.")
@click.option("--seed", default=0)
@click.option("--device", default="auto", help="auto, cpu, cuda, ...")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/priors"),
    help="Folder for compare.json and compare.png.",
)
def compare(
    names: tuple[str, ...],
    layer: int | None,
    class_map: tuple[tuple[str, str], ...],
    seed: int,
    device: str,
    out: Path,
    **settings: Any,
) -> None:
    """Which prior suits the data: measure generators beside real images.

    NAME is one of `glad weights list`, a safetensors file, or org/repo:file. Validation images are used, no test image.
    """
    sizes = Sizes(**{name: settings.pop(name) for name in vars(DEFAULTS)})
    where, splits = pick_device(device), open_data(settings | {"classes": list(settings["classes"]) or None})
    options = {} if layer is None else {"layer": layer}
    opened = {
        name: resolve_prior(name, splits.train, options, where, {REST: GUESS, **dict(class_map)}) for name in names
    }
    click.echo(f"training a network on {sizes.images} real images of {splits.train.name}")
    measured_with = judge(splits, sizes, where, seed)
    found = {}
    for name, prior in opened.items():
        matched = not prior.guessed and prior.description.conditional
        found[name] = measure(measured_with, prior.prior, matched, partial(_say, name), seed)
        found[name]["license"] = None if prior.weights is None else prior.weights.license.fields()
    out.mkdir(parents=True, exist_ok=True)
    save_png(picture(measured_with, found), out / "compare.png")
    write_json(out / "compare.json", record(measured_with, found, layer, seed))
    Console(width=None if Console().is_terminal else 160).print(comparison_table(measured_with, found, layer))
    click.echo(f"{out}: compare.json, and compare.png with the images: real, inverted and drawn")


def _say(name: str, part: str) -> None:
    click.echo(f"{name}: {part}")


def picture(measured_with: Judge, found: Mapping[str, Mapping[str, Any]]) -> Image.Image:
    """The targets above each prior's inversions and samples."""
    rows = [("real (validation)", measured_with.data.train.pixels(measured_with.targets))]
    for name, entry in found.items():
        rows += [(f"{name}, inverted", entry["inverted"]), (f"{name}, samples", entry["samples"])]
    return sheet([(name, eight_bit(images[:PICTURED])) for name, images in rows])


def record(
    measured_with: Judge, found: Mapping[str, Mapping[str, Any]], layer: int | None, seed: int
) -> dict[str, Any]:
    """What ``compare.json`` holds."""
    numbers = {
        name: {k: v for k, v in entry.items() if not isinstance(v, torch.Tensor)} for name, entry in found.items()
    }
    return {
        "data": measured_with.data.train.name,
        "hash": measured_with.data.train.digest,
        "layer": layer,
        "seed": seed,
        "sizes": vars(measured_with.sizes),
        "network_accuracy": measured_with.known,
        "real": dict(measured_with.floor),
        "priors": numbers,
    }


COLUMNS = (
    "prior",
    "accuracy of a network trained on samples, %",
    "Fréchet distance",
    "precision",
    "recall",
    "inversion, dB",
    "feature error",
    "bytes an image",
    "license",
)


def comparison_table(measured_with: Judge, found: Mapping[str, Mapping[str, Any]], layer: int | None) -> Table:
    """A row per prior, and one of other real images: the best that there is."""
    sizes, space = measured_with.sizes, "W+" if layer is None else f"F_{layer}"
    title = f"{sizes.images} images, {sizes.inverted} inverted in {sizes.steps} steps in {space}; {sizes.epochs} epochs"
    table = Table(title=f"{measured_with.data.train.name}: {title}")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("prior", "license") else "right")
    ordered = sorted(found.items(), key=lambda item: item[1]["frechet"])
    for name, entry in ordered:
        known = "-" if entry["accuracy"] is None else f"{100 * entry['accuracy']:.1f}"
        words = License(**entry["license"]).in_words() if entry["license"] else "none needed"
        shown = [f"{entry['psnr']:.1f}", f"{entry['feature_error']:.3f}", f"{entry['bytes']:,}", words]
        table.add_row(name, known, *_distances(entry), *shown)
    table.add_section()
    own = [f"{100 * measured_with.known:.1f}", *_distances(measured_with.floor)]
    table.add_row("other real images", *own, "-", "-", f"{_pixel_bytes(measured_with):,}", "")
    return table


def _distances(entry: Mapping[str, float]) -> Sequence[str]:
    return [f"{entry['frechet']:.2f}", f"{entry['precision']:.2f}", f"{entry['recall']:.2f}"]


def _pixel_bytes(measured_with: Judge) -> int:
    train = measured_with.data.train
    return 4 * train.channels * train.resolution**2
