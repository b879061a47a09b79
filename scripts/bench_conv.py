"""Time whole steps with Winograd's convolutions against the same steps with direct ones.

    THP_MEM_ALLOC_ENABLE=1 python scripts/bench_conv.py

Both take turns in one process, on the workloads of ``bench_objectives.py`` and on an evaluation's training: a ConvNet-3
with instance norm for 10 classes of 3 x 32 x 32. Before a row is timed both must have computed the same up to rounding.
A ratio is the median, over rounds, of that of two neighbors in wall time. Run it on an otherwise idle machine.
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it starts

import click
import torch
from bench_objectives import CLASSES, ROWS, SIDE, STEPS, Results, Side, Workload, mtt_row
from bench_ops import processor
from plain_objectives import timed
from rich.console import Console
from rich.table import Table

from cuda_ops import _library
from cuda_ops.conv3x3 import Convolutions, use_convolutions
from glad.device import keep_freed_memory
from glad.evaluation.protocol import Protocol
from glad.evaluation.training import train_network
from glad.experts.training import flatten
from glad.rng import rng_for

AIMS = {"dm": 1.7, "dc": 1.6, "mtt-adjoint": 1.6, "expert": 1.7, "evaluation": 1.5}
"""Rows, and the ratios that were aimed at."""
TOLERANCE = 1e-2
"""How far two results may be apart, relatively: activations near zero take either sign."""


def evaluation(workload: Workload, epochs: int) -> Side:
    """An evaluation's training on 10 images per class for some of its epochs."""
    images = torch.randn(10 * CLASSES, 3, SIDE, SIDE, generator=rng_for("bench", "synthetic"))
    labels = torch.arange(CLASSES).repeat_interleave(10)

    def call(number: int) -> Results:
        network = workload.network(rng_for("bench", number))
        key, protocol = ("bench", number), Protocol(epochs=epochs)
        train_network(network, images, labels, key=key, learning_rate=1e-2, protocol=protocol)
        return {"parameters": flatten(network)}

    return call


def measure(name: str, side: Side, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds with direct and with Winograd's convolutions, round by round; both have been through round 0."""
    results: list[Results] = []
    seconds: dict[Convolutions, list[float]] = {"direct": [], "auto": []}
    for number in range(rounds + 1):
        for which, taken in seconds.items():
            use_convolutions(which)
            if number:
                taken.append(timed(partial(side, number)))
            else:
                results.append(side(0))
    for what, value in results[0].items():
        apart = float((results[1][what] - value).norm() / value.norm())
        if not apart <= TOLERANCE:
            raise click.ClickException(f"{name}: {what} with Winograd's convolutions are {apart:.1e} apart")
    return seconds["direct"], seconds["auto"]


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(1), default=5)
@click.option("--only", multiple=True, type=click.Choice(list(AIMS)), help="A row, may be repeated; all by default.")
@click.option("--threads", type=click.IntRange(1), default=1)
@click.option("--width", type=click.IntRange(1), default=128, help="Of the ConvNet.")
@click.option("--steps", type=click.IntRange(1), default=STEPS, help="Of MTT's student.")
@click.option("--images", type=click.IntRange(1), default=1024, help="Of the expert's epoch.")
@click.option("--epochs", type=click.IntRange(2), default=4, help="Of the evaluation's training.")
def main(rounds: int, only: tuple[str, ...], threads: int, width: int, steps: int, images: int, epochs: int) -> None:
    """Print seconds and ratios of whole steps."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    shown = Table("row", "direct s", "Winograd s", "ratio", "range", "aim")
    with tempfile.TemporaryDirectory() as folder:
        workload = Workload(width, images, Path(folder))
        sides: dict[str, Callable[[], Side]] = {
            name: partial(lambda make: make(workload).ours, ROWS[name]) for name in ("dm", "dc", "expert")
        }
        sides["mtt-adjoint"] = lambda: mtt_row(workload, "adjoint", None, steps).ours
        sides["evaluation"] = partial(evaluation, workload, epochs)
        for name in only or AIMS:
            direct, ours = measure(name, sides[name](), rounds)
            ratios = [a / b for a, b in zip(direct, ours, strict=True)]
            cells = [f"{statistics.median(taken):.3f}" for taken in (direct, ours)]
            ratio, spread = f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"
            shown.add_row(name, *cells, ratio, spread, f"{AIMS[name]}")
    Console(width=100).print(shown)
    isa = _library.status()["cpu"].isa
    click.echo(f"{processor()}, {isa}, {threads} threads, torch {torch.__version__}, width {width}")


if __name__ == "__main__":
    main()
