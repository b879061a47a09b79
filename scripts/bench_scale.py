"""Time a step on one rank and on two, against the model: render / ranks + student + gathers.

    python scripts/bench_scale.py

Each rank has one thread. The parts of a step are timed inside it: what sees all images alike on every rank (the student
of MTT; nothing of DM), the gathers, and the rest, which is rendering and what belongs to a class. From the parts on one
rank, and the gathers on several, the model says how long a step takes there. Bytes are those that gathers bring to a
rank in an iteration, memory is the most that a process had resident. Run it on an otherwise idle machine with a core
for each rank. Cores that share memory or a clock slow each other down; ``crowded`` is how much longer a step takes on
one rank beside another run of one rank, which has nothing to do with ranks, and which the model takes into account.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from bench_ops import processor
from rich.console import Console
from rich.table import Table

PORT = 29517
KINDS = ((1, False), (2, False), (2, True))  # ranks, and whether each runs apart
SKIPPED = 2  # the first iterations, in which memory is found and code is loaded
SETTINGS: dict[str, dict[str, Any]] = {
    "dm": {"objective": "dm", "objective_options": {"batch": 64}},
    "mtt": {"objective": "mtt", "objective_options": {"syn_steps": 10, "expert_epochs": 1, "max_start_epoch": 2}},
}
SHARED: dict[str, Any] = {
    "data": "fashion-mini", "prior": "fashion-mini", "network_options": {"width": 32}, "device": "cpu",
    "sharded": True, "save_every": 10_000, "grid_every": 10_000, "limit": 1000,
}  # fmt: skip


class Clock:
    """Seconds that calls of some functions took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose calls count."""

        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return call


def work(name: str, ipc: int, iterations: int, folder: Path) -> dict[str, float]:
    """Distill as this rank, and say what a step took."""
    import glad
    from glad.ranks import step
    from glad.ranks.group import Ranks

    student, gathers, steps = Clock(), Clock(), []
    if name == "mtt":
        step.find_cotangents = student.timed(step.find_cotangents)
    gather = Ranks.all_gather
    groups: list[Ranks] = []

    def counted(ranks: Ranks, tensor: Any) -> Any:
        groups[:] = [ranks]
        return gather(ranks, tensor)

    Ranks.all_gather = gathers.timed(counted)  # type: ignore[method-assign]

    def note(iteration: int, _: Any) -> None:
        steps.append((time.perf_counter(), student.seconds, gathers.seconds, groups[0].gathered))

    place = os.environ.get("MASTER_PORT", os.getpid())
    options: dict[str, Any] = {**SHARED, **SETTINGS[name], "ipc": ipc, "iterations": iterations}
    if name == "mtt":
        options["experts"] = str(folder.parent / "experts")
    out = folder / f"{name}-{place}"
    glad.distill(**options, out=out, on_step=note)
    parts = [[b - a for a, b in zip(one, two, strict=True)] for one, two in pairwise(steps)]
    middle = [statistics.median(column) for column in zip(*parts[SKIPPED:], strict=True)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return dict(zip(("step", "student", "gathers", "bytes", "MB"), [*middle, peak], strict=True))


def measure(name: str, ranks: int, ipc: int, iterations: int, folder: Path, apart: bool = False) -> dict[str, float]:
    """What rank 0 says of a run on so many ranks, and the most memory of any; or of so many runs of one rank each."""
    started = []
    for rank in range(ranks):
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        if ranks > 1 and not apart:
            environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
            environ |= {"MASTER_PORT": str(PORT)}
        command = [sys.executable, __file__, "--worker", name, "--ipc", str(ipc), "--iterations", str(iterations)]
        started.append(
            subprocess.Popen([*command, "--folder", str(folder)], env=environ, stdout=subprocess.PIPE, text=True)
        )
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    return {**found[0], "MB": max(result["MB"] for result in found)}


def fastest(rounds: int, name: str, ipc: int, iterations: int, folder: Path) -> list[dict[str, float]]:
    """One rank, two ranks, and two runs of one rank beside each other: each the fastest of so many, in turns."""
    taken = [
        [measure(name, ranks, ipc, iterations, folder / str(number), apart) for ranks, apart in KINDS]
        for number in range(rounds)
    ]
    return [min(column, key=lambda found: found["step"]) for column in zip(*taken, strict=True)]


@click.command()
@click.option("--ipc", default=1, help="Images per class, of 10 classes.")
@click.option("--iterations", default=8, help="Iterations of each run.")
@click.option("--rounds", default=2, help="Runs of each kind, of which the fastest counts.")
@click.option("--objective", "names", multiple=True, default=("dm", "mtt"), help="Which to time.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of the runs; a temporary one if None.")
@click.option("--worker", help="Be a rank of the run of that name.")
def main(
    ipc: int, iterations: int, rounds: int, names: tuple[str, ...], folder: Path | None, worker: str | None
) -> None:
    """Time a step on one rank and on two."""
    if worker is not None:
        assert folder is not None
        click.echo(json.dumps(work(worker, ipc, iterations, folder)))
        return
    heads = (
        "objective",
        "ranks",
        "step",
        "model",
        "student",
        "gathers",
        "speedup",
        "crowded",
        "kB gathered",
        "MB a rank",
    )
    table = Table(*heads, title=f"{processor()}, {ipc} images per class")
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        if "mtt" in names:
            train_expert(place / "experts")
        for name in names:
            one, two, beside = fastest(rounds, name, ipc, iterations, place)
            crowded = beside["step"] / one["step"]
            for ranks, found, slower in ((1, one, 1.0), (2, two, crowded)):
                rendering = one["step"] - one["student"] - one["gathers"]
                model = slower * (rendering / ranks + one["student"]) + found["gathers"]
                times = [f"{1e3 * t:.0f} ms" for t in (found["step"], model, found["student"], found["gathers"])]
                ratios = [f"{ratio:.2f}" for ratio in (one["step"] / found["step"], slower)]
                table.add_row(name, str(ranks), *times, *ratios, f"{found['bytes'] / 1e3:.1f}", f"{found['MB']:.0f}")
    Console(width=140).print(table)


def train_expert(out: Path) -> None:
    """An expert of a few epochs for MTT."""
    command = [sys.executable, "-m", "glad", "experts", "train", "--data", "fashion-mini", "--limit", "1000"]
    options = ["--network-option", "width=32", "--count", "1", "-o", "epochs=3", "--out", str(out), "--device", "cpu"]
    subprocess.run([*command, *options], check=True, capture_output=True)


if __name__ == "__main__":
    main()
