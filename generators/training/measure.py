"""Measure a generator beside the real images it was trained on: accuracy, fidelity, diversity, copies, speed.

Features come from a ConvNet trained on the real images, so the Fréchet distance compares generators of one data set
with each other and with the floor (real images against other real images), not with published FIDs. The command is
``glad weights measure``.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from generators.training.measures import (
    SEED,
    MeasuredGenerator,
    classification,
    copies,
    disjoint_halves,
    diversities,
    draw_images,
    embed,
    load_measured,
    make_extractor,
    speed,
    train_extractor,
)
from generators.training.pictures import interpolation_rows, sample_rows
from generators.training.progress import Progress
from generators.training.settings import MeasureSettings
from glad.data.dataset import Splits
from glad.evaluation.prior_comparison import distances
from glad.networks import Network
from glad.rng import rng_for
from glad.runs.image_grid import save_png, sheet
from glad.runs.storage import write_json


def measure_generator(
    weights: str,
    splits: Splits,
    out: str | Path,
    sizes: MeasureSettings | None = None,
    *,
    split: str = "validation",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the generator of a file, and write ``measure.json`` and three pictures into ``out``.

    Args:
        weights: name of embedded weights, or a safetensors file.
        splits: the data that the generator was trained on.
        out: folder, made where there is none.
        sizes: how much is measured.
        split: "validation" or "test": the images that accuracy is measured on.
        progress: hears lines and how far the measuring is.

    Returns:
        The numbers, as in ``measure.json``; accuracies in [0, 1].

    Raises:
        ValueError: weights that cannot be used, or not with these data; too few images.
    """
    sizes, out, progress = sizes or MeasureSettings(), Path(out), progress or Progress()
    measured = load_measured(weights, splits, split)
    extractor = make_extractor(measured.train, sizes.width)
    disjoint_halves(measured.train, sizes.images)  # says at once where there are too few
    out.mkdir(parents=True, exist_ok=True)
    found = measure(measured, extractor, out, sizes, progress)
    options = {"weights": weights, "resolution": measured.train.resolution, "split": split, **asdict(sizes)}
    found |= provenance(measured, options)
    write_json(out / "measure.json", found)
    return found


def measure(
    measured: MeasuredGenerator, extractor: Network, out: Path, sizes: MeasureSettings, progress: Progress
) -> dict[str, Any]:
    """Everything there is to measure; the pictures go to ``out``."""
    for name, rows in {"samples": sample_rows, "interpolations": interpolation_rows}.items():
        drawn = sheet(rows(measured.prior, measured.groups, rng_for(SEED, "measure", name)))
        save_png(drawn, out / f"{name}.png")
    found: dict[str, Any] = {"speed": speed(measured), "copies": copies(measured, out)}
    images = draw_images(measured, sizes.images)
    found["feature_accuracy"] = train_extractor(extractor, measured, sizes.feature_epochs, progress)
    real, other, generated = (
        embed(extractor, measured.train, x) for x in (images.real, images.other, images.generated)
    )
    found["features"] = {"generated": distances(generated, real), "floor": distances(other, real)}
    found["diversity"] = diversities(generated, real, measured.in_groups(images.labels), len(measured.groups))
    if measured.conditional:
        found["classification"] = classification(measured, images, sizes.seeds, sizes.epochs, sizes.width, progress)
    else:
        progress.say("The generator is unconditional, its samples have no labels: no classification accuracy score.")
    return found | {"images_compared": len(images.labels)}


def provenance(measured: MeasuredGenerator, options: dict[str, Any]) -> dict[str, Any]:
    """What the numbers depend on."""
    content = measured.path.read_bytes()
    return {
        "weights": {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "metadata": measured.metadata,
        },
        "data": {
            "name": measured.train.name,
            "classes": list(measured.train.classes),
            "groups": list(measured.groups),
            "training_images": len(measured.train),
            "tested_images": len(measured.tested),
        },
        "options": options,
        "seed": SEED,
    }
