"""Small distilled sets, for the tests of exporting and loading."""

from dataclasses import replace

import torch
from click.testing import CliRunner

import glad
from glad.cli import main
from glad.formats import FORMATS
from glad.formats.distilled import Card, Distilled
from glad.formats.storage import QuantizationLoss
from glad.rng import rng_for

PICTURES = [kind for kind in FORMATS if kind != "codes"]
QUICK = {"network_options": {"width": 8}, "objective_options": {"batch": 16}, "device": "cpu"}


def distill(out, **options):
    """A run of two iterations on the embedded data."""
    return glad.distill(out=out, **{**QUICK, "iterations": 2, **options})


def make_set(channels=3, soft=True, step_size=0.0123, zca="none"):
    """Seven images of 8 pixels in three classes, not in order, with values that [0, 1] does not hold."""
    rng = rng_for("export tests", channels)
    pixels = torch.rand(7, channels, 8, 8, generator=rng) * 1.6 - 0.3
    card = Card(
        classes=("a/b", "ünt", "c d"),
        images=7,
        channels=channels,
        resolution=8,
        mean=(0.4, 0.5, 0.1)[:channels],
        std=(0.25, 1 / 3, 0.7)[:channels],
        range=(float(pixels.min()), float(pixels.max())),
        zca=zca,
        step_size=step_size,
        format="run",
        levels=None,
        cost=QuantizationLoss(),
        made={"run": "toy", "hashes": {"data": "0f"}},
    )
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 0])
    soft_labels = torch.rand(7, 3, generator=rng).softmax(1) if soft else None
    return Distilled(card.data().normalize(pixels), pixels, labels, soft_labels, card)


def without(source, **changes):
    """A card with what an export changes taken out, to compare the rest."""
    return replace(source.card, format="", levels=None, cost=QuantizationLoss(), **changes)


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def fails(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code != 0 and isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def files_in(path):
    """The bytes of a file, or of all files of a folder by name."""
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def rows_of(images, data):
    """The place of each image in the data; an error unless there is exactly one."""
    return [(data.tensor() == image).flatten(1).all(1).nonzero().item() for image in images]
