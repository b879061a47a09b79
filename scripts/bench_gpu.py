"""All that is to be timed on a GPU, in one command of eight minutes: operators, whole steps at 32 and 128 px, memory.

    python scripts/bench_gpu.py [--device cuda] [--minutes 8] [--out runs/bench-gpu]

Rows run in an order in which the most telling come first. No row begins that would end after the time, as far as the
rows before tell; those left out are named. After each row OUT/gpu.json is written anew, so that a run that is cut off
has lost nothing. Times are medians between two synchronizations, memory the peak that torch allocates beyond what it
held. ``--sizes``, ``--resolutions``, ``--width`` and ``--batch`` are for a try on a CPU.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from bench_ops import BATCH, SIZES, both_ways, cases, commit, forward, processor
from bench_synthesis import make, render
from rich.console import Console
from rich.table import Table

from cuda_ops import _library
from glad.data.augment import augment
from glad.data.dataset import ImageData
from glad.experts.files import Segment
from glad.experts.training import flatten
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.description import all_terms
from glad.objectives.dm import DM
from glad.objectives.mtt import MTT
from glad.rng import rng_for
from glad.runs.storage import write_json

CLASSES, STEPS = 10, 20
Times = dict[str, Any]
"""What was measured of a row: ``seconds``, ``fastest``, ``mib``."""
DEPTHS = {16: 2, 32: 3, 128: 5}  # of the ConvNet, by resolution
Call = Callable[[], object]
Row = tuple[str, str, Callable[[], Call]]
"""A name, whose time it is (ours or the reference's), and what prepares the call."""


def operators(sizes: tuple[str, ...], device: str) -> Iterator[Row]:
    """Forward, and forward and backward, ours and the reference."""
    for size in sizes:
        for case in cases(size, device):
            for way, what in ((forward, "fwd"), (both_ways, "fwd+bwd")):
                for side, operator in (("ours", case.ours), ("reference", case.reference)):
                    yield f"{case.name}, {size}, {what}", side, partial(way, operator, case.x)


def synthesis(resolution: int, device: str, batch: int) -> Call:
    """Images of the generator with random weights, and the gradient of its codes."""
    generator, rng = make("float32", resolution).to(device), torch.Generator().manual_seed(1)
    ws = torch.randn(batch, generator.num_ws, generator.w_dim, generator=rng).to(device)
    cotangent = torch.randn(batch, *generator.feature_shape(len(generator.layers)), generator=rng).to(device)
    return partial(render, generator, ws, cotangent, batch)


def step(name: str, resolution: int, device: str, width: int, batch: int) -> Call:
    """A step of DM, 1 image per class, or of MTT, 10 per class and 20 steps of the student: loss and gradient."""
    network = partial(
        make_network,
        "convnet",
        channels=3,
        classes=CLASSES,
        resolution=resolution,
        width=width,
        depth=DEPTHS[resolution],
    )

    def fresh(rng: torch.Generator) -> Any:
        return network(rng=rng).to(device)

    start = flatten(fresh(rng_for("bench", "start")))
    pixels = torch.randint(256, (CLASSES * batch, 3, resolution, resolution), dtype=torch.uint8)
    names, moments = tuple(map(str, range(CLASSES))), ((0.5,) * 3, (0.25,) * 3)
    labels = torch.arange(len(pixels)) % CLASSES
    data = ImageData("noise", pixels, labels, names, tuple(range(CLASSES)), *moments, resolution, 3)
    objective: Any = DM(data.real, fresh, augment, batch)
    if name == "mtt":
        objective = MTT(lambda *_: Segment(lambda i: start * (1 + 1e-3 * i), 0, 1), fresh, augment, STEPS)
    per_class = 1 if name == "dm" else 10
    images = torch.randn(CLASSES * per_class, 3, resolution, resolution, device=device, requires_grad=True)
    owners = torch.arange(CLASSES, device=device).repeat_interleave(per_class)

    def call() -> None:
        for term in all_terms(objective, images, owners, Step(0, 1)):
            term.backward()

    return call


def rows(device: str, sizes: tuple[str, ...], resolutions: tuple[int, ...], width: int, batch: int) -> Iterator[Row]:
    """All rows, the most telling first."""
    yield from operators(sizes[:1], device)
    for resolution in resolutions:
        yield f"synthesis, {resolution} px, fwd+bwd", "ours", partial(synthesis, resolution, device, min(batch, BATCH))
        for name in ("dm", "mtt"):
            yield f"a step of {name}, {resolution} px", "ours", partial(step, name, resolution, device, width, batch)
    yield from operators(sizes[1:], device)


def measure(prepare: Callable[[], Call], device: str, repeat: int) -> Times:
    """Median seconds, and the MiB that a call adds at most (None on a CPU, where torch counts none)."""
    gpu = device != "cpu"
    wait: Callable[[], object] = torch.cuda.synchronize if gpu else lambda: None
    call = prepare()
    call()
    wait()
    before = torch.cuda.memory_allocated() if gpu else 0
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        wait()
        taken.append(time.perf_counter() - start)
    mib = (torch.cuda.max_memory_allocated() - before) / 2**20 if gpu else None
    return {"seconds": statistics.median(taken), "fastest": min(taken), "mib": mib}


def table(found: dict[str, dict[str, Times]]) -> Table:
    """A line per row, with the ratio where there is a reference."""
    shown = Table("row", "ms", "MiB", "reference ms", "MiB", "ratio")
    for name, sides in found.items():
        ours, other = sides.get("ours"), sides.get("reference")
        cells = [f"{side['seconds'] * 1e3:.3f}" if side else "" for side in (ours, other)]
        memory = [f"{side['mib']:.0f}" if side and side["mib"] is not None else "" for side in (ours, other)]
        ratio = f"{other['seconds'] / ours['seconds']:.1f}" if ours and other else ""
        shown.add_row(name, cells[0], memory[0], cells[1], memory[1], ratio)
    return shown


@click.command(help=__doc__, context_settings={"show_default": True})
@click.option("--device", default="cuda")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=8.0)
@click.option("--repeat", type=click.IntRange(1), default=20, help="Calls per median.")
@click.option("--sizes", multiple=True, default=SIZES, help="CHANNELSxSIDE of the operators, may be repeated.")
@click.option("--resolutions", multiple=True, type=click.Choice(list(map(str, DEPTHS))), default=("32", "128"))
@click.option("--width", type=click.IntRange(1), default=128, help="Of the ConvNet.")
@click.option("--batch", type=click.IntRange(1), default=256, help="Real images per class.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/bench-gpu"))
def main(
    device: str,
    minutes: float,
    repeat: int,
    sizes: tuple[str, ...],
    resolutions: tuple[str, ...],
    width: int,
    batch: int,
    out: Path,
) -> None:
    if device != "cpu" and not torch.cuda.is_available():
        raise click.ClickException("there is no CUDA device: --device cpu tries the command on a CPU")
    out.mkdir(parents=True, exist_ok=True)
    name = processor() if device == "cpu" else torch.cuda.get_device_name()
    _library.load(torch.device(device).type)
    served = _library.status()[torch.device(device).type].by
    about = {"command": sys.argv, "device": name, "operators": served, "torch": torch.__version__, "commit": commit()}
    found: dict[str, dict[str, Times]] = {}
    left: list[str] = []
    end, longest = time.monotonic() + 60 * minutes, 0.0
    for row, side, prepare in rows(device, sizes, tuple(map(int, resolutions)), width, batch):
        began = time.monotonic()
        if began + longest > end:
            left.append(f"{row}, {side}")
            continue
        found.setdefault(row, {})[side] = measure(prepare, device, repeat)
        longest = max(longest, time.monotonic() - began)
        write_json(out / "gpu.json", {**about, "rows": found, "left": left})
    write_json(out / "gpu.json", {**about, "rows": found, "left": left})
    Console(width=120).print(table(found))
    click.echo(f"{name}, operators: {served}, torch {torch.__version__}, commit {about['commit']}; {out}/gpu.json")
    if left:
        click.echo(f"left out after {minutes:g} minutes: {'; '.join(left)}")


if __name__ == "__main__":
    main()
