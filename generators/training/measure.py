"""Measure a generator beside the real images it was trained on: accuracy, fidelity, diversity, copies, speed.

Features come from a ConvNet trained on the real images, so the Fréchet distance compares generators of one data set
with each other and with the floor (real images against other real images), not with published FIDs.

    python generators/training/measure.py --data fashionmnist --root DATA --out runs/measured
"""

import hashlib
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from generators.training.measures import (
    SEED,
    Subject,
    classification,
    copies,
    disjoint_halves,
    diversities,
    draw_images,
    embed,
    make_extractor,
    open_subject,
    speed,
    train_extractor,
)
from generators.training.pictures import interpolation_rows, sample_rows
from glad.evaluation.prior_comparison import distances
from glad.networks import Network
from glad.rng import rng_for
from glad.runs.image_grid import save_png, sheet
from glad.runs.storage import write_json


def measure(subject: Subject, extractor: Network, out: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Everything there is to measure; the pictures go to ``out``."""
    for name, rows in {"samples": sample_rows, "interpolations": interpolation_rows}.items():
        drawn = sheet(rows(subject.prior, subject.groups, rng_for(SEED, "measure", name)))
        save_png(drawn, out / f"{name}.png")
    found: dict[str, Any] = {"speed": speed(subject), "copies": copies(subject, out)}
    images = draw_images(subject, options["images"])
    found["feature_accuracy"] = train_extractor(extractor, subject, options["feature_epochs"])
    real, other, generated = (embed(extractor, subject.train, x) for x in (images.real, images.other, images.generated))
    found["features"] = {"generated": distances(generated, real), "floor": distances(other, real)}
    found["diversity"] = diversities(generated, real, subject.in_groups(images.labels), len(subject.groups))
    if subject.conditional:
        sizes = (options[name] for name in ("seeds", "epochs", "width"))
        found["classification"] = classification(subject, images, *sizes)
    else:
        click.echo("The generator is unconditional, its samples have no labels: no classification accuracy score.")
    return found | {"images_compared": len(images.labels)}


def provenance(subject: Subject, options: dict[str, Any]) -> dict[str, Any]:
    """What the numbers depend on."""
    content = subject.path.read_bytes()
    return {
        "weights": {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "metadata": subject.metadata,
        },
        "data": {
            "name": subject.train.name,
            "classes": list(subject.train.classes),
            "training_images": len(subject.train),
            "tested_images": len(subject.tested),
        },
        "options": options,
        "seed": SEED,
    }


def number(value: float | None, digits: int = 2, scale: float = 1.0) -> str:
    """A number for a table, or a dash."""
    return "-" if value is None else f"{scale * value:.{digits}f}"


def spread_of(score: dict[str, Any]) -> str:
    """Mean accuracy in % and, where there is more than one seed, its sample deviation."""
    deviation = "" if score["std"] is None else f" ± {100 * score['std']:.1f}"
    return f"{100 * score['mean']:.1f}{deviation}"


def class_table(subject: Subject, found: dict[str, Any], split: str) -> Table:
    """Accuracy of networks trained on samples and on real images, and diversity, by class."""
    table = Table(title=f"{split.capitalize()} accuracy in %, and diversity")
    for heading in ("class", "trained on generated", "trained on real", "diversity, generated / real"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    scores = [found.get("classification", {}).get(kind) for kind in ("generated", "real")]
    ratios = found["diversity"]
    for c, name in enumerate(subject.groups):
        cells = [number(score["per_class"][c], 1, 100) if score else "-" for score in scores]
        table.add_row(name, *cells, number(ratios["per_class"][c]))
    table.add_section()
    table.add_row("mean", *(spread_of(score) if score else "-" for score in scores), number(ratios["mean"]))
    return table


def feature_table(found: dict[str, Any]) -> Table:
    """Distances in the features of a network trained on real images."""
    accuracy = number(found["feature_accuracy"], 1, 100)
    table = Table(title=f"{found['images_compared']} images in features of {accuracy} % validation accuracy")
    for heading in ("against real images", "Fréchet distance", "precision", "recall"):
        table.add_column(heading, justify="left" if heading == "against real images" else "right")
    for kind, name in {"generated": "generated", "floor": "other real (floor)"}.items():
        row = found["features"][kind]
        table.add_row(name, number(row["frechet"], 3), number(row["precision"], 3), number(row["recall"], 3))
    return table


def copy_table(found: dict[str, Any]) -> Table:
    """Distances to the nearest training image."""
    table = Table(title="Distance to the nearest training image, of pixels in [0, 1]")
    for heading in ("images", "median", "minimum"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for kind, name in {"generated": "generated", "validation": "real, unseen (validation)"}.items():
        row = found["copies"][kind]
        table.add_row(f"{row['images']} {name}", number(row["median"], 3), number(row["minimum"], 3))
    return table


def report(subject: Subject, found: dict[str, Any], out: Path, split: str) -> None:
    """Print the tables."""
    console = Console(width=None if Console().is_terminal else 160)
    for table in (class_table(subject, found, split), feature_table(found), copy_table(found)):
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


@click.command()
@click.option("--weights", "name", default="fashion-mini", show_default=True, help="Embedded weights, or a file.")
@click.option("--data", "source", default="fashionmnist", show_default=True, help="Data set, as `glad distill --data`.")
@click.option("--root", default="data", show_default=True, help="Where the data set lies.")
@click.option("--resolution", type=click.IntRange(min=1), help="Pixels a side; the data's own by default.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for numbers and pictures."
)
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="validation",
    show_default=True,
    help="Images that accuracy is measured on; touch the test images once, at the end.",
)
@click.option(
    "--images", type=click.IntRange(min=1), default=5000, show_default=True, help="Samples, and as many real images."
)
@click.option("--seeds", type=click.IntRange(min=1), default=2, show_default=True, help="Networks trained on each set.")
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Of these networks.")
@click.option(
    "--feature-epochs", type=click.IntRange(min=1), default=3, show_default=True, help="Of the feature network."
)
@click.option("--width", type=click.IntRange(min=1), default=128, show_default=True, help="Channels of all networks.")
def main(name: str, source: str, root: str, resolution: int | None, out: Path, split: str, **sizes: int) -> None:
    """Measure a generator and write OUT/measure.json and three pictures."""
    try:
        subject = open_subject(name, source, root, resolution, split)
        extractor = make_extractor(subject.train, sizes["width"])
        disjoint_halves(subject.train, sizes["images"])
        out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:  # of data, weights, networks and the folder: each says what is wrong
        raise click.ClickException(str(error)) from error
    found = measure(subject, extractor, out, sizes)
    found |= provenance(subject, {"weights": name, "resolution": subject.train.resolution, "split": split, **sizes})
    write_json(out / "measure.json", found)
    report(subject, found, out, split)


if __name__ == "__main__":
    main()
