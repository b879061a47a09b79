"""Time a step on one rank and on two, against the model: render / ranks + student + gathers.

    python scripts/bench_scale.py --out docs/results/scale.json

Each rank has one thread. The parts of a step are timed inside it: what sees all images alike on every rank (the student
of MTT; nothing of DM), the gathers, and the rest, which is rendering and what belongs to a class. From the parts on one
rank, and the gathers on several, the model says how long a step takes there. Cores that share memory or a clock slow
each other down: the ceiling is the speed-up of the model if a step takes as much longer as that of a run of one rank
does beside another such run, which has nothing to do with ranks.

Bytes are those that gathers bring to a rank in an iteration; "rows" are the bytes of latents and moments of a rank, and
"step" the peak of a process's own memory in a step above what it has before the first, which is graphs and gradients.
Run it on an otherwise idle machine with a core for each rank, and again: of the runs of each kind in the file of
``--out`` and of now the fastest counts.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from bench_memory import own_memory
from bench_ops import commit, processor
from rich.console import Console
from rich.table import Table

PORT = 29517
KINDS = {"1": (1, False), "2": (2, False), "beside": (2, True)}  # ranks, and whether each runs apart
SKIPPED = 2  # the first iterations, in which memory is found and code is loaded
SETTINGS: dict[str, dict[str, Any]] = {
    "dm": {"objective": "dm", "objective_options": {"batch": 64}},
    "mtt": {
        "objective": "mtt",
        "objective_options": {"syn_steps": 5, "expert_epochs": 1, "max_start_epoch": 2},
        "network_options": {"width": 16},
    },
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


class Memory:
    """What the rows of a rank take, and the peak of a step above what the process has before the first."""

    def __init__(self) -> None:
        self.rows, self.before, self.peak = 0, 0, 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, own_memory())
            time.sleep(0.005)

    def look(self, state: Any) -> None:
        """Called before each step."""
        if not self.before:
            self.before = self.peak = own_memory()
        owned = [tensor for tensors in state.synset.tensors().values() for tensor in tensors]
        moments = [m for t in owned for m in state.optimizer.state.get(t, {}).values() if m is not None]
        self.rows = sum(tensor.nbytes for tensor in [*owned, *moments])


def work(name: str, ipc: int, iterations: int, folder: Path) -> dict[str, float]:
    """Distill as this rank, and say what a step took."""
    import glad
    from glad.ranks import step
    from glad.ranks.group import Ranks
    from glad.ranks.state import ShardedState

    student, gathers, memory, steps = Clock(), Clock(), Memory(), []
    if name == "mtt":
        step.find_cotangents = student.timed(step.find_cotangents)
    gather, iterate = Ranks.all_gather, ShardedState.iterate
    groups: list[Ranks] = []

    def counted(ranks: Ranks, tensor: Any) -> Any:
        groups[:] = [ranks]
        return gather(ranks, tensor)

    def watched(state: ShardedState, at: Any) -> Any:
        memory.look(state)
        return iterate(state, at)

    Ranks.all_gather = gathers.timed(counted)  # type: ignore[method-assign]
    ShardedState.iterate = watched  # type: ignore

    def note(iteration: int, _: Any) -> None:
        steps.append((time.perf_counter(), student.seconds, gathers.seconds, groups[0].gathered))

    place = os.environ.get("MASTER_PORT", os.getpid())
    options: dict[str, Any] = {**SHARED, **SETTINGS[name], "ipc": ipc, "iterations": iterations}
    if name == "mtt":
        options["experts"] = str(folder.parent / "experts")
    glad.distill(**options, out=folder / f"{name}-{place}", on_step=note)
    parts = [[b - a for a, b in zip(one, two, strict=True)] for one, two in pairwise(steps)]
    middle = [statistics.median(column) for column in zip(*parts[SKIPPED:], strict=True)]
    amounts = [*middle, memory.rows / 2**20, (memory.peak - memory.before) / 2**20]
    return dict(zip(("step", "student", "gathers", "bytes", "rows_MiB", "step_MiB"), amounts, strict=True))


def measure(name: str, kind: str, ipc: int, iterations: int, folder: Path) -> dict[str, float]:
    """What the processes of a kind say, in the mean; of memory the most."""
    started, (ranks, apart) = [], KINDS[kind]
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
    means = {key: statistics.mean(result[key] for result in found) for key in found[0]}
    return means | {key: max(result[key] for result in found) for key in means if key.endswith("MiB")}


def row(name: str, kinds: dict[str, Any], ranks: int) -> list[str]:
    """A row of the table."""
    one, two, beside = (kinds[kind] for kind in KINDS)
    found = two if ranks == 2 else one
    rest, crowded = one["step"] - one["student"] - one["gathers"], 1.0 if ranks == 1 else beside["step"] / one["step"]
    alone, crowded_model = ((rest / ranks + one["student"]) * slower for slower in (1.0, crowded))
    times = (found["step"], alone + found["gathers"], found["student"], found["gathers"])
    ratios = (one["step"] / found["step"], one["step"] / crowded_model)
    return [
        name, str(kinds["ipc"]), str(ranks), *(f"{1e3 * t:.0f} ms" for t in times), *(f"{x:.2f}" for x in ratios),
        f"{found['bytes'] / 1e3:.1f}", f"{found['rows_MiB']:.2f}", f"{found['step_MiB']:.0f}",
    ]  # fmt: skip


@click.command()
@click.option("--ipc", default=4, help="Images per class, of 10 classes.")
@click.option("--iterations", default=7, help="Iterations of each run.")
@click.option("--objective", "names", multiple=True, default=tuple(SETTINGS), help="Which to time.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of the experts; a temporary one if None.")
@click.option("--out", type=click.Path(path_type=Path), help="File of what was found, which goes on.")
@click.option("--worker", help="Be a rank of the run of that name.")
def main(
    ipc: int, iterations: int, names: tuple[str, ...], folder: Path | None, out: Path | None, worker: str | None
) -> None:
    """Time a step on one rank and on two."""
    if worker is not None:
        assert folder is not None
        click.echo(json.dumps(work(worker, ipc, iterations, folder)))
        return
    before = json.loads(out.read_text()) if out is not None and out.exists() else {}
    heads = "objective,images per class,ranks,step,model,student,gathers,speed-up,ceiling,kB gathered,rows MiB,step MiB"
    table = Table(*heads.split(","), title=processor())
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        if "mtt" in names and not (place / "experts").exists():
            train_expert(place / "experts")
        for name in names:
            known = before.get(name, {})
            found = {kind: measure(name, kind, ipc, iterations, Path(tempfile.mkdtemp(dir=place))) for kind in KINDS}
            if known.get("ipc") == ipc:
                found = {kind: min(known[kind], found[kind], key=lambda each: each["step"]) for kind in KINDS}
            before[name] = {"machine": processor(), "commit": commit(), "ipc": ipc, **found}
            for ranks in (1, 2):
                table.add_row(*row(name, before[name], ranks))
    if out is not None:
        out.write_text(json.dumps(before, indent=1) + "\n")
    Console(width=160).print(table)


def train_expert(out: Path) -> None:
    """An expert of a few epochs for MTT."""
    command = [sys.executable, "-m", "glad", "experts", "train", "--data", "fashion-mini", "--limit", "1000"]
    options = ["--network-option", "width=16", "--count", "1", "-o", "epochs=3", "--out", str(out), "--device", "cpu"]
    subprocess.run([*command, *options], check=True, capture_output=True)


if __name__ == "__main__":
    main()
