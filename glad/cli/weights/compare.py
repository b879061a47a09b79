"""``glad weights compare``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from generators.classes import GUESS, REST
from generators.license import License
from glad.cli.options import CONFIG
from glad.cli.settings import from_options, settings_options
from glad.settings.compare import CompareSettings, CompareSizes

if TYPE_CHECKING:
    from PIL.Image import Image

    from glad.evaluation.prior_comparison import ComparisonSetup

PICTURED = 20  # images a row


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@CONFIG
@settings_options(CompareSettings)
@settings_options(CompareSizes)
def compare(names: tuple[str, ...], **options: Any) -> None:
    """Measure which generator suits the data.

    NAME is one of `glad weights list`, a safetensors file, or org/repo:file. Generators are measured beside real
    images: validation images, no test image.
    """
    settings, sizes = from_options(CompareSettings, options), from_options(CompareSizes, options)
    from glad.data.splits import open_data
    from glad.device import pick_device
    from glad.evaluation.prior_comparison import measure_prior, prepare_comparison
    from glad.priors.resolve import resolve_prior
    from glad.runs.image_grid import save_png
    from glad.runs.storage import write_json

    device, splits = pick_device(settings.device), open_data(settings)
    chosen = {} if settings.layer is None else {"layer": settings.layer}
    classes = {REST: GUESS, **settings.class_map}
    resolved = {name: resolve_prior(name, splits.train, chosen, device, classes) for name in names}
    click.echo(f"training a network on {sizes.images} real images of {splits.train.name}")
    setup = prepare_comparison(splits, sizes, device, settings.seed)
    found = {}
    for name, prior in resolved.items():
        matched = not prior.guessed and prior.description.conditional
        found[name] = measure_prior(setup, prior.prior, matched, partial(_say, name), settings.seed)
        found[name]["license"] = None if prior.weights is None else prior.weights.license.fields()
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    save_png(picture(setup, found), out / "compare.png")
    write_json(out / "compare.json", record(setup, found, settings.layer, settings.seed))
    table = comparison_table(setup, found, settings.layer)
    Console(width=None if Console().is_terminal else 160).print(table)
    click.echo(f"{out}: compare.json, and compare.png with the images: real, inverted and drawn")


def _say(name: str, part: str) -> None:
    click.echo(f"{name}: {part}")


def picture(setup: "ComparisonSetup", found: Mapping[str, Mapping[str, Any]]) -> "Image":
    """The targets above each prior's inversions and samples."""
    from glad.runs.image_grid import eight_bit, sheet

    rows = [("real (validation)", setup.data.train.pixels(setup.targets))]
    for name, entry in found.items():
        rows += [(f"{name}, inverted", entry["inverted"]), (f"{name}, samples", entry["samples"])]
    return sheet([(name, eight_bit(images[:PICTURED])) for name, images in rows])


def record(
    setup: "ComparisonSetup", found: Mapping[str, Mapping[str, Any]], layer: int | None, seed: int
) -> dict[str, Any]:
    """What ``compare.json`` holds."""
    from torch import Tensor

    numbers = {name: {k: v for k, v in entry.items() if not isinstance(v, Tensor)} for name, entry in found.items()}
    return {
        "data": setup.data.train.name,
        "hash": setup.data.train.digest,
        "layer": layer,
        "seed": seed,
        "sizes": asdict(setup.sizes),
        "network_accuracy": setup.validation_accuracy,
        "real": dict(setup.real_distances),
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


def comparison_table(setup: "ComparisonSetup", found: Mapping[str, Mapping[str, Any]], layer: int | None) -> Table:
    """A row per prior, and one of other real images: the best that there is."""
    sizes, space = setup.sizes, "W+" if layer is None else f"F_{layer}"
    title = f"{sizes.images} images, {sizes.inverted} inverted in {sizes.steps} steps in {space}; {sizes.epochs} epochs"
    table = Table(title=f"{setup.data.train.name}: {title}")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("prior", "license") else "right")
    ordered = sorted(found.items(), key=lambda item: item[1]["frechet"])
    for name, entry in ordered:
        known = "-" if entry["accuracy"] is None else f"{100 * entry['accuracy']:.1f}"
        words = License(**entry["license"]).in_words() if entry["license"] else "none needed"
        shown = [f"{entry['psnr']:.1f}", f"{entry['feature_error']:.3f}", f"{entry['bytes']:,}", words]
        table.add_row(name, known, *_distances(entry), *shown)
    table.add_section()
    own = [f"{100 * setup.validation_accuracy:.1f}", *_distances(setup.real_distances)]
    table.add_row("other real images", *own, "-", "-", f"{_pixel_bytes(setup):,}", "")
    return table


def _distances(entry: Mapping[str, float]) -> Sequence[str]:
    return [f"{entry['frechet']:.2f}", f"{entry['precision']:.2f}", f"{entry['recall']:.2f}"]


def _pixel_bytes(setup: "ComparisonSetup") -> int:
    train = setup.data.train
    return 4 * train.channels * train.resolution**2
