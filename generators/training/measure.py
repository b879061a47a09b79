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
from generators.training.progress import Progress
from generators.training.settings import Sizes
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
    sizes: Sizes | None = None,
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
    sizes, out, progress = sizes or Sizes(), Path(out), progress or Progress()
    subject = open_subject(weights, splits, split)
    extractor = make_extractor(subject.train, sizes.width)
    disjoint_halves(subject.train, sizes.images)  # says at once where there are too few
    out.mkdir(parents=True, exist_ok=True)
    found = measure(subject, extractor, out, sizes, progress)
    options = {"weights": weights, "resolution": subject.train.resolution, "split": split, **asdict(sizes)}
    found |= provenance(subject, options)
    write_json(out / "measure.json", found)
    return found


def measure(subject: Subject, extractor: Network, out: Path, sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Everything there is to measure; the pictures go to ``out``."""
    for name, rows in {"samples": sample_rows, "interpolations": interpolation_rows}.items():
        drawn = sheet(rows(subject.prior, subject.groups, rng_for(SEED, "measure", name)))
        save_png(drawn, out / f"{name}.png")
    found: dict[str, Any] = {"speed": speed(subject), "copies": copies(subject, out)}
    images = draw_images(subject, sizes.images)
    found["feature_accuracy"] = train_extractor(extractor, subject, sizes.feature_epochs, progress)
    real, other, generated = (embed(extractor, subject.train, x) for x in (images.real, images.other, images.generated))
    found["features"] = {"generated": distances(generated, real), "floor": distances(other, real)}
    found["diversity"] = diversities(generated, real, subject.in_groups(images.labels), len(subject.groups))
    if subject.conditional:
        found["classification"] = classification(subject, images, sizes.seeds, sizes.epochs, sizes.width, progress)
    else:
        progress.say("The generator is unconditional, its samples have no labels: no classification accuracy score.")
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
            "groups": list(subject.groups),
            "training_images": len(subject.train),
            "tested_images": len(subject.tested),
        },
        "options": options,
        "seed": SEED,
    }
