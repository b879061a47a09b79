"""Time our objectives and experts against plain transcriptions of the published algorithms, and against a floor.

    THP_MEM_ALLOC_ENABLE=1 python scripts/bench_objectives.py

The transcriptions and the floor are in ``plain_objectives.py``. Both sides take turns in one process, with the same
random images, draws and augmentation, on a ConvNet-3 with instance norm for 10 classes of 3 x 32 x 32; before a row is
timed they must have computed the same. A ratio is the median, over rounds, of that of two neighbors in wall time.
Normalization, pooling and memory traffic are not in the floor, so that one time the floor is out of reach. Memory is
that of processes of their own. Run it on an otherwise idle machine.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it starts

import click
import plain_objectives as plain
import torch
from bench_ops import processor
from bench_unroll import peak
from plain_objectives import Flops, fastest, matmul_rate, timed
from rich.console import Console
from rich.table import Table
from torch import Tensor

from glad.data.augment import ALL, augment
from glad.data.dataset import ImageData
from glad.experts.files import Expert, ExpertFile, Segment
from glad.experts.training import Recipe, flatten, make_optimizer, train_epoch
from glad.networks import Network, make_network
from glad.objectives.base import Step
from glad.objectives.dc import DC
from glad.objectives.description import all_terms
from glad.objectives.dm import DM
from glad.objectives.mtt import MTT
from glad.rng import rng_for
from glad.runs.storage import write_json

CLASSES, SIDE, BATCH = 10, 32, 256
STEPS, EPOCHS, PAIR = 20, 50, (4, 7)  # of the student; of the expert's file; its rows that are read
MEMORY = ("mtt-full", "mtt-adjoint")  # rows whose memory is measured too
TOLERANCE = {"loss": 1e-3, "gradient": 1e-2, "parameters": 1e-3, "start": 0.0, "end": 0.0}
"""How far ours may be from the plain result, relatively."""

Results = dict[str, Tensor]
Side = Callable[[int], Results]
"""What a call computes, by name, given the number of the round, which its draws depend on."""


@dataclass(frozen=True)
class Workload:
    """What the rows have in common, and a folder for files."""

    width: int
    images: int
    folder: Path

    def network(self, rng: torch.Generator) -> Network:
        """A fresh ConvNet."""
        return make_network("convnet", channels=3, classes=CLASSES, resolution=SIDE, rng=rng, width=self.width)

    def plain_network(self, rng: torch.Generator) -> Network:
        """The same in plain torch."""
        return plain.in_plain_torch(self.network(rng))

    def flops(self) -> Flops:
        """Its arithmetic."""
        return Flops.of(self.network(rng_for("bench", "flops")), SIDE)


@dataclass(frozen=True)
class Benchmark:
    """The two sides of a comparison, calls per timing, the ratio aimed at, and the floor's seconds at a rate."""

    plain: Side
    ours: Side
    target: float | None
    floor: Callable[[float], float]
    calls: int = 1


def random_data(count: int) -> ImageData:
    """Noise in equal classes."""
    images = torch.randint(256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=rng_for("bench", "data"))
    names = tuple(str(c) for c in range(CLASSES))
    moments = ((0.5,) * 3, (0.25,) * 3)
    return ImageData("noise", images, torch.arange(count) % CLASSES, names, tuple(range(CLASSES)), *moments, SIDE, 3)


def gradient(objective: Any, ipc: int) -> Side:
    """The loss on ``ipc`` random images per class, the sum of the objective's terms, and its gradient."""
    images = torch.randn(CLASSES * ipc, 3, SIDE, SIDE, generator=rng_for("bench", "synthetic"))
    labels = torch.arange(CLASSES).repeat_interleave(ipc)

    def call(number: int) -> Results:
        leaf, loss = images.clone().requires_grad_(), torch.zeros(())
        for term in all_terms(objective, leaf, labels, Step(0, number)):
            term.backward()
            loss = loss + term.detach()
        assert leaf.grad is not None
        return {"loss": loss, "gradient": leaf.grad}

    return call


def dm_row(workload: Workload) -> Benchmark:
    """One iteration of DM, 1 image per class."""
    data = random_data(2 * BATCH * CLASSES)
    published = plain.PlainDM(plain.RealImages(data), workload.plain_network, BATCH)
    flops = workload.flops().matching_features(BATCH * CLASSES, CLASSES)
    ours = DM(data.real, workload.network, augment, BATCH)
    return Benchmark(gradient(published, 1), gradient(ours, 1), 1.5, lambda rate: flops / rate)


def dc_row(workload: Workload, ipc: int, target: float | None) -> Benchmark:
    """One update of DC with a fresh network."""
    data = random_data(2 * BATCH * CLASSES)
    published = plain.PlainDC(plain.RealImages(data), workload.plain_network, BATCH)
    flops = workload.flops().matching_gradients(BATCH * CLASSES, CLASSES * ipc)
    ours = DC(data.real, workload.network, augment, BATCH, outer=1)
    return Benchmark(gradient(published, ipc), gradient(ours, ipc), target, lambda rate: flops / rate)


def mtt_row(workload: Workload, unroll: str, target: float | None, steps: int = STEPS) -> Benchmark:
    """One iteration of MTT, 10 images per class, all of them in every step of the student."""
    start = flatten(workload.network(rng_for("bench", "expert")))
    # About as far as the student comes, so that where it ends decides the loss.
    end = start + 1e-3 * torch.randn(start.shape, generator=rng_for("bench", "target"))
    alpha = torch.tensor(1e-2, requires_grad=True)
    published = plain.PlainMTT(start, end, workload.plain_network, steps, alpha)

    def segment(rng: torch.Generator, max_start_epoch: int, length: int) -> Segment:
        return Segment(lambda i: end if i else start, 0, 1)

    ours = MTT(segment, workload.network, augment, steps, unroll=unroll)
    flops = workload.flops().matching_trajectories(10 * CLASSES, steps)
    return Benchmark(gradient(published, 10), gradient(ours, 10), target, lambda rate: flops / rate)


def expert_row(workload: Workload) -> Benchmark:
    """One epoch of an expert's training and the copy of its parameters, without the published evaluation."""
    data, recipe = random_data(workload.images), Recipe(batch=BATCH)
    kept = data.tensor()

    def published(number: int) -> Results:
        network = workload.plain_network(rng_for("bench", number))
        order = torch.randperm(len(data), generator=rng_for("bench", number, 0, "order")).split(BATCH)
        optimizer = torch.optim.SGD(network.parameters(), recipe.learning_rate)
        draws = rng_for("bench", number, 0, "augment")
        loss, snapshot = plain.train_epoch(network, optimizer, kept, data.labels, order, draws)
        return {"loss": torch.tensor(loss), "parameters": torch.cat([part.flatten() for part in snapshot])}

    def ours(number: int) -> Results:
        network = workload.network(rng_for("bench", number))
        optimizer = make_optimizer(network, recipe, 0)
        loss = train_epoch(network, optimizer, data, recipe, ALL, 0, ("bench", number))
        return {"loss": torch.tensor(loss), "parameters": flatten(network)}

    flops = workload.flops().weights * len(data)
    return Benchmark(published, ours, 1.8, lambda rate: flops / rate)


def read_row(workload: Workload) -> Benchmark:
    """Opening an expert's file and reading two rows, the file in the page cache; the floor is copying the two."""
    network = workload.network(rng_for("bench", "expert"))
    rows = torch.randn(EPOCHS + 1, len(flatten(network)), generator=rng_for("bench", "rows"))
    pickled, mapped = workload.folder / "expert.pt", workload.folder / "expert.safetensors"
    file = ExpertFile(mapped, len(rows), rows.shape[1], "float32", {})
    plain.save_expert(network, rows, pickled)
    file.begin()
    for epoch, row in enumerate(rows):
        file.write(epoch, row, 0.0, {})

    def ours(number: int) -> Results:
        expert = Expert(mapped)
        return {"start": expert.checkpoint(PAIR[0]), "end": expert.checkpoint(PAIR[1])}

    def published(number: int) -> Results:
        return dict(zip(("start", "end"), plain.read_pair(pickled, *PAIR), strict=True))

    copied = fastest(rows[:2].clone)
    return Benchmark(published, ours, 20.0, lambda rate: copied, calls=5)


ROWS: dict[str, Callable[[Workload], Benchmark]] = {
    "dm": dm_row,
    "dc": lambda workload: dc_row(workload, 1, 1.5),
    "dc-10": lambda workload: dc_row(workload, 10, None),
    "mtt-full": lambda workload: mtt_row(workload, "full", 1.3),
    "mtt-adjoint": lambda workload: mtt_row(workload, "adjoint", None),
    "expert": expert_row,
    "read": read_row,
}


def check(name: str, row: Benchmark) -> None:
    """Raise unless both sides compute the same; this warms them up too."""
    expected, found = row.plain(0), row.ours(0)
    for what, value in expected.items():
        apart = float((found[what] - value).norm() / value.norm())
        if not apart <= TOLERANCE[what]:
            raise click.ClickException(f"{name}: ours and the plain {what} differ by {apart:.1e} of it: not comparable")


def measure(row: Benchmark, rounds: int, rate: float) -> dict[str, Any]:
    """Seconds of both sides in turns, the median and the range of their ratios, and ours over the floor."""
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for number in range(1, rounds + 1):
        for side, call in (("plain", row.plain), ("ours", row.ours)):
            seconds[side].append(sum(timed(partial(call, number)) for _ in range(row.calls)) / row.calls)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    about = {"floor": row.floor(rate), "times_floor": statistics.median(seconds["ours"]) / row.floor(rate)}
    return {**seconds, "ratio": statistics.median(ratios), "ratios": ratios, "target": row.target, **about}


def memory(name: str, side: str, workload: Workload) -> float:
    """MiB that a side of a row adds to a process that has been through one step of a student."""
    mtt_row(workload, "adjoint", None, steps=1).ours(0)  # libraries are loaded, kernels built
    row, before = ROWS[name](workload), peak()
    (row.plain if side == "plain" else row.ours)(1)
    return peak() - before


def memory_apart(name: str, side: str, options: list[str]) -> float:
    """``memory`` in a process of its own."""
    command = [sys.executable, __file__, "--memory", name, side, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"memory of {name}, {side}: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.splitlines()[-1])


COLUMNS = ("row", "plain s", "ours s", "ratio", "spread", "target", "floor s", "times floor", "plain MiB", "ours MiB")


def table(found: dict[str, dict[str, Any]]) -> Table:
    """A line per row."""
    shown = Table(title="plain against ours")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column == "row" else "right")
    for name, row in found.items():
        seconds = [f"{statistics.median(row[side]):.4g}" for side in ("plain", "ours")]
        spread, target = f"{min(row['ratios']):.2f}-{max(row['ratios']):.2f}", f"{row['target'] or '-'}"
        mib = [f"{row['mib'][side]:.0f}" if "mib" in row else "" for side in ("plain", "ours")]
        floor = [f"{row['floor']:.3g}", f"{row['times_floor']:.2f}"]
        shown.add_row(name, *seconds, f"{row['ratio']:.2f}", spread, target, *floor, *mib)
    return shown


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(1), default=5)
@click.option("--only", multiple=True, type=click.Choice(list(ROWS)), help="A row, may be repeated; all by default.")
@click.option("--threads", type=click.IntRange(1), default=2)
@click.option("--images", type=click.IntRange(1), default=10_000, help="Of the expert's epoch.")
@click.option("--width", type=click.IntRange(1), default=128, help="Of the ConvNet.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/bench-objectives"))
@click.option("--memory", "single", type=(click.Choice(MEMORY), click.Choice(["plain", "ours"])), hidden=True)
def main(
    rounds: int,
    only: tuple[str, ...],
    threads: int,
    images: int,
    width: int,
    out: Path,
    single: tuple[str, str] | None,
) -> None:
    """Compare both sides of every row, print a table and write all numbers to OUT/objectives.json."""
    torch.set_num_threads(threads)
    if single is not None:
        click.echo(memory(*single, Workload(width, images, out)))
        return
    chosen = [name for name in ROWS if not only or name in only]
    options = ["--threads", str(threads), "--width", str(width)]
    # Before anything large: a process takes the peak of its parent along.
    mib = {n: {side: memory_apart(n, side, options) for side in ("plain", "ours")} for n in chosen if n in MEMORY}
    rate, found = matmul_rate(), {}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        for name in chosen:
            row = ROWS[name](Workload(width, images, Path(folder)))
            check(name, row)
            found[name] = measure(row, rounds, rate) | ({"mib": mib[name]} if name in mib else {})
            click.echo(f"{name}: {found[name]['ratio']:.2f}")
    about = {"command": sys.argv, "processor": processor(), "threads": threads, "torch": torch.__version__}
    write_json(out / "objectives.json", {**about, "width": width, "images": images, "matmul": rate, "rows": found})
    Console(width=140).print(table(found))
    click.echo(f"{processor()}, {threads} threads, torch {torch.__version__}, products at {rate / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
