"""Time parameterizations: rendering beside a network's pass, and a DM iteration beside that of as many pixels.

    THP_MEM_ALLOC_ENABLE=1 python scripts/bench_priors.py

Images are 3 x 32 x 32 of 10 classes, the network a ConvNet-3 of width 128 with instance norm, priors have the published
sizes for 1 image per class of CIFAR-10. ``render``: about 100 images and the gradient of their latents, as a share of
the network's forward and backward pass on images that take a gradient. ``iteration``: a whole iteration under DM, as a
multiple of that with the same number of plain pixels. The two sides take turns; a ratio is the median over rounds of
that of two neighbors. Run it on an otherwise idle machine.
"""

import os
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it starts

import click
import torch
from bench_ops import processor
from plain_objectives import timed
from rich.console import Console
from rich.table import Table

from glad.data.augment import ALL, augment
from glad.data.dataset import ImageData
from glad.distillation import Step, iterate
from glad.networks import Network, make_network
from glad.objectives.dm import DM
from glad.optimizers import make_optimizer
from glad.priors import IDC, DDiF, FreD, Pixels, Prior, PriorDescription
from glad.rng import rng_for
from glad.runs.storage import write_json
from glad.synthetic_set import SyntheticSet

CLASSES, SIDE, IMAGES = 10, 32, 100
SHARE, TIMES = 1 / 20, 1.3
"""What is aimed at: rendering within this share of a pass, an iteration within so many times that of pixels."""
PRIORS: dict[str, Callable[[ImageData], Prior]] = {
    "idc": lambda data: IDC(data.real, data.normalize, SIDE, 3),
    "fred": lambda data: FreD(data.real, SIDE, 3, [len(data) // CLASSES] * CLASSES, torch.device("cpu")),
    "ddif": lambda data: DDiF(SIDE, 3, torch.device("cpu")),
}


def random_data(count: int) -> ImageData:
    """Images of noise, as many of each class."""
    images = torch.randint(256, (count, 3, SIDE, SIDE), generator=rng_for("bench", "images"), dtype=torch.uint8)
    names = tuple(f"class {c}" for c in range(CLASSES))
    labels = torch.arange(count) % CLASSES
    return ImageData("noise", images, labels, names, tuple(range(CLASSES)), (0.5,) * 3, (0.25,) * 3, SIDE, 3)


def make_set(prior: Prior, rows: int) -> SyntheticSet:
    """``rows`` of latents for each class, all rendered at once."""
    classes = torch.arange(CLASSES).repeat_interleave(rows)
    labels = classes.repeat_interleave(PriorDescription(prior).images_per_row)
    return SyntheticSet(prior, prior.init(classes, rng_for("bench", "latents")), labels, chunk=len(classes))


def network(rng: torch.Generator, width: int) -> Network:
    """The ConvNet-3."""
    return make_network("convnet", channels=3, classes=CLASSES, resolution=SIDE, rng=rng, width=width)


def render(synset: SyntheticSet) -> None:
    """Images, and the gradient of their latents."""
    images = synset.images()
    images.backward(images.detach())


def rendering(data: ImageData, name: str, width: int) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Rendering about ``IMAGES`` images, and a pass of the network with the gradient of as many."""
    each = PriorDescription(PRIORS[name](data)).images_per_row
    synset = make_set(PRIORS[name](data), -(-IMAGES // (CLASSES * each)))
    net = network(rng_for("bench", "network"), width).requires_grad_(False)
    leaf = synset.images().detach().requires_grad_()
    return lambda number: render(synset), lambda number: net(leaf).square().sum().backward()


def iteration(
    data: ImageData, name: str, width: int, batch: int
) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """An iteration under DM of a set in the numbers of one image per class, and of as many images in pixels."""
    objective = DM(data.real, partial(network, width=width), partial(augment, strategy=ALL), batch)
    described = PriorDescription(PRIORS[name](data))
    rows = 3 * SIDE**2 // described.floats_per_row
    sides = []
    for prior, count in ((PRIORS[name](data), rows), (Pixels(data.real), rows * described.images_per_row)):
        synset = make_set(prior, count)
        tensors, kinds = synset.tensors(), PriorDescription(prior).optimizers
        optimizer = make_optimizer(tensors, dict.fromkeys(tensors, 1e-6), 0.5, kinds)
        sides.append(partial(_iterate, synset, objective, optimizer))
    return sides[0], sides[1]


def _iterate(synset: SyntheticSet, objective: DM, optimizer: torch.optim.Optimizer, number: int) -> None:
    iterate(synset, objective, optimizer, Step(0, number))


def measure(ours: Callable[[int], None], other: Callable[[int], None], rounds: int) -> dict[str, Any]:
    """Seconds of both sides in turns after a warm-up, and the median of their ratios."""
    seconds: dict[str, list[float]] = {"ours": [], "other": []}
    for number in range(rounds + 1):
        for side, call in (("other", other), ("ours", ours)):
            seconds[side].append(timed(partial(call, number)))
    kept = {side: times[1:] for side, times in seconds.items()}
    ratios = [one / two for one, two in zip(kept["ours"], kept["other"], strict=True)]
    return {**kept, "ratio": statistics.median(ratios), "ratios": ratios}


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(1), default=7)
@click.option("--width", type=click.IntRange(1), default=128, help="Channels of the network.")
@click.option("--batch", type=click.IntRange(1), default=256, help="Real images per class under DM.")
@click.option("--only", multiple=True, type=click.Choice([*PRIORS]), help="Priors to measure; all if none is named.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the numbers (JSON).")
def main(rounds: int, width: int, batch: int, only: tuple[str, ...], out: Path | None) -> None:
    """Print, for each prior, rendering beside a network's pass, and an iteration beside that of pixels."""
    data, found = random_data(CLASSES * max(batch, 40)), {}
    table = Table(title=f"{processor()}, {torch.get_num_threads()} threads")
    for column in ("prior", "render s", "of a pass", "aim", "iteration s", "times pixels", "aim"):
        table.add_column(column, justify="left" if column == "prior" else "right")
    for name in only or PRIORS:
        drawn = measure(*rendering(data, name, width), rounds)
        whole = measure(*iteration(data, name, width, batch), rounds)
        found[name] = {"render": drawn, "iteration": whole}
        first, second = (f"{statistics.median(part['ours']):.4g}" for part in (drawn, whole))
        shown = [first, f"{drawn['ratio']:.4f}", f"{SHARE:.4f}", second, f"{whole['ratio']:.3f}", f"{TIMES}"]
        table.add_row(name, *shown)
    Console().print(table)
    if out is not None:
        write_json(out, {"machine": processor(), "threads": torch.get_num_threads(), "rows": found})


if __name__ == "__main__":
    main()
