"""Memory, time and exactness of the three gradients of an unrolled student, by its number of steps.

Each point runs in a process of its own; its peak of resident memory, less that before, is the gradient's. ConvNet-3 on
one image per class of gray 28 x 28 by default, augmentation replayed, plain SGD.

    THP_MEM_ALLOC_ENABLE=1 python scripts/bench_unroll.py --out runs/unroll
"""

import json
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from glad.data.augment import augment
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.trajectory import Classifier, relative_distance
from glad.objectives.unroll import UNROLLS, Student, adjoint
from glad.rng import rng_for
from glad.runs.storage import write_json

CLASSES = 10
KINDS = (*UNROLLS, "adjoint, all kept")


def student(steps: int, ipc: int, width: int) -> tuple[Student, Tensor, Tensor]:
    """A student of a fresh ConvNet, whose target is a little way off, its images and their labels."""
    network = make_network(
        "convnet", channels=1, classes=CLASSES, resolution=28, rng=rng_for("bench", "network"), width=width
    )
    start = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    images = torch.randn(CLASSES * ipc, 1, 28, 28, generator=rng_for("bench", "images"))
    labels = torch.arange(CLASSES).repeat_interleave(ipc)
    target = start + 0.01 * torch.randn(start.shape, generator=rng_for("bench", "target"))
    classifier = Classifier(network, augment, labels, None, Step(0, 0))
    return classifier.student(start, {steps: relative_distance(start, target)}), images, labels


def gradient(kind: str, chosen: Student, images: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """The images' gradient, and the seconds it took."""
    leaf, rate = images.clone().requires_grad_(), torch.tensor(0.01, requires_grad=True)
    began = time.perf_counter()
    unroll = UNROLLS.get(kind) or partial(adjoint, every=1)
    loss = unroll(chosen, leaf, labels, rate)
    loss.backward()
    assert leaf.grad is not None
    return leaf.grad, time.perf_counter() - began


def peak() -> float:
    """The most resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def point(kind: str, steps: int, ipc: int, width: int, repeats: int) -> dict[str, Any]:
    """Memory above what was there before, and the median seconds after one to warm up."""
    chosen = student(steps, ipc, width)
    gradient("adjoint", *student(1, 1, 4))  # libraries are loaded and kernels built, by a network that is nothing
    before = peak()
    seconds = sorted(gradient(kind, *chosen)[1] for _ in range(repeats + 1))
    return {"kind": kind, "steps": steps, "mib": peak() - before, "seconds": seconds[len(seconds) // 2]}


def deviation(steps: int, ipc: int, width: int) -> dict[str, float]:
    """How TESLA's gradient differs from the exact one: the angle in degrees, and the ratio of norms."""
    chosen = student(steps, ipc, width)
    exact, rough = (gradient(kind, *chosen)[0].flatten().double() for kind in ("adjoint", "tesla"))
    cosine = torch.nn.functional.cosine_similarity(exact, rough, dim=0).clamp(-1, 1)
    return {"steps": steps, "degrees": float(cosine.acos().rad2deg()), "norm": float(rough.norm() / exact.norm())}


def apart(kind: str, steps: int, options: list[str]) -> dict[str, Any]:
    """A point, in a process of its own."""
    command = [sys.executable, __file__, "--point", kind, str(steps), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{kind} at {steps} steps: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def draw(points: list[dict[str, Any]], path: Path) -> None:
    """Memory and time against steps, a line per kind."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for panel, (name, title) in zip(
        figure.subplots(1, 2), (("mib", "memory of the gradient, MiB"), ("seconds", "seconds")), strict=True
    ):
        for kind in KINDS:
            line = [(p["steps"], p[name]) for p in points if p["kind"] == kind]
            panel.plot(*zip(*line, strict=True), marker="o", label=kind)
        panel.set_title(title)
        panel.set_xlabel("steps of the student")
    figure.axes[0].legend()
    figure.savefig(path, dpi=110)


def tables(points: list[dict[str, Any]], rough: list[dict[str, float]]) -> list[Table]:
    """Memory and time by steps, and TESLA's deviation."""
    memory = Table(title="MiB, and seconds, by steps")
    memory.add_column("steps", justify="right")
    for kind in KINDS:
        memory.add_column(kind, justify="right")
    for steps in sorted({p["steps"] for p in points}):
        row = {p["kind"]: f"{p['mib']:.0f}  {p['seconds']:.2f} s" for p in points if p["steps"] == steps}
        memory.add_row(str(steps), *(row[kind] for kind in KINDS))
    off = Table(title="TESLA's gradient against the exact one")
    for heading in ("steps", "angle", "norm, as a factor"):
        off.add_column(heading, justify="right")
    for entry in rough:
        off.add_row(str(entry["steps"]), f"{entry['degrees']:.1f}°", f"{entry['norm']:.3f}")
    return [memory, off]


@click.command(context_settings={"show_default": True})
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/unroll"))
@click.option("--ipc", default=1, help="Images per class.")
@click.option("--width", default=128, help="Of the ConvNet.")
@click.option("--repeats", default=3)
@click.option("--steps", multiple=True, default=(1, 2, 5, 10, 20, 50, 100), help="Of the student.")
@click.option("--point", "single", type=(click.Choice(KINDS), int), help="Measure this kind and number of steps only.")
def main(out: Path, ipc: int, width: int, repeats: int, steps: tuple[int, ...], single: tuple[str, int] | None) -> None:
    """Measure every kind at every number of steps, print tables and write numbers and a picture to OUT."""
    if single is not None:
        click.echo(json.dumps(point(*single, ipc, width, repeats)))
        return
    options = ["--ipc", str(ipc), "--width", str(width), "--repeats", str(repeats)]
    points = []
    for number in steps:
        for kind in KINDS:
            points.append(apart(kind, number, options))
            click.echo(f"{kind}, {number} steps: {points[-1]['mib']:.0f} MiB, {points[-1]['seconds']:.2f} s")
    rough = [deviation(number, ipc, width) for number in steps]
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "unroll.json", {"points": points, "tesla": rough, "threads": torch.get_num_threads()})
    draw(points, out / "unroll.png")
    for table in tables(points, rough):
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
