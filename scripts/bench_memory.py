"""Measure the peak memory of a distillation with and without ``--offload disk``, against what it should be.

    python scripts/bench_memory.py [--classes 100] [--ipc 50] [--ranks 1]

A set of so many images per class at 32 px is distilled by DM in F_n of a generator with random weights, from random
images, for a few iterations, sharded and on a CPU. "expected" is what the rows take: latents, gradients, moments and
the copy that is written as the set, without ``--offload`` four times the latents, with it nothing. "measured" is the
peak of a process's own (anonymous) memory, less that of the same command with two classes for each rank (whose rows
count in neither). Pages of the file under the rows, which the kernel takes back when memory is short, are not in it.
All is of the rank that takes most.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from bench_ops import commit, processor
from rich.console import Console
from rich.table import Table

GENERATOR = ((4, 16, 4096.0, 64), (4, 2, 4096.0, 64))
LAYER = 6  # whose features are 64 x 32 x 32, and which is soon rendered
REAL, SIDE, FEW = 16, 32, 2
PORT = 29521


def prepare(folder: Path, classes: int) -> None:
    """Random images, and a narrow generator with random weights."""
    from generators import weights
    from generators.configurations import random_generator
    from generators.models import Configuration, Stage

    shape = Configuration("narrow", tuple(Stage(*stage) for stage in GENERATOR), 0, "for this script")
    weights.save(folder / "narrow.safetensors", random_generator(shape))
    images = np.random.default_rng(0).integers(0, 256, (classes * 2 * REAL, 3, SIDE, SIDE), np.uint8)
    np.savez(folder / "data.npz", images=images, labels=np.arange(classes).repeat(2 * REAL))


def own_memory() -> int:
    """Bytes of this process's memory that are pages of no file."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def work(folder: Path, classes: int, ipc: int, offload: Any, iterations: int) -> dict[str, float]:
    """Distill as this rank: its peak, the bytes of its latents, and the seconds of an iteration."""
    import glad
    from glad.ranks.sharded_set import ShardedSet

    peak, ended, times, latents = [0], threading.Event(), [], [0]

    def watch() -> None:
        while not ended.wait(0.01):
            peak[0] = max(peak[0], own_memory())

    step = ShardedSet.step

    def counted(synset: ShardedSet, optimizer: Any) -> None:
        latents[0] = sum(latent.nbytes for part in synset.parts.values() for latent in part.latents.values())
        step(synset, optimizer)

    ShardedSet.step = counted  # type: ignore
    threading.Thread(target=watch, daemon=True).start()
    data, prior = (str(folder.parent / name) for name in ("data.npz", "narrow.safetensors"))
    glad.distill(
        data, "dm", prior, ipc, offload=offload, iterations=iterations, save_every=2, grid_every=10_000, device="cpu",
        prior_options={"layer": LAYER, "rand_f": 1}, class_map="guess", network_options={"width": 8}, sharded=True,
        objective_options={"batch": REAL}, rank_timeout=600, out=folder / "run", classes=range(classes),
        on_step=lambda *_: times.append(time.perf_counter()),
    )  # fmt: skip
    ended.set()
    seconds = statistics.median(b - a for a, b in pairwise(times))
    return {"peak": peak[0], "latents": latents[0], "seconds": seconds}


def measure(folder: Path, classes: int, ipc: int, offload: str, iterations: int, ranks: int) -> dict[str, float]:
    """What the rank says that takes most."""
    started = []
    for rank in range(ranks):
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        if ranks > 1:
            environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
            environ |= {"MASTER_PORT": str(PORT)}
        numbers = {"--classes": classes, "--ipc": ipc, "--iterations": iterations, "--folder": folder}
        words = ["--worker", offload, *(str(word) for pair in numbers.items() for word in pair)]
        started.append(
            subprocess.Popen([sys.executable, __file__, *words], env=environ, stdout=subprocess.PIPE, text=True)
        )
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    return max(found, key=lambda result: result["peak"])


@click.command()
@click.option("--classes", default=100, help="Classes of the data.")
@click.option("--ipc", default=50, help="Images per class.")
@click.option("--iterations", default=2, help="Iterations of each run.")
@click.option("--ranks", default=1, help="Processes that share each run.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of data and runs; a temporary one if None.")
@click.option("--worker", help="Be a rank of a run with that --offload.")
def main(classes: int, ipc: int, iterations: int, ranks: int, folder: Path | None, worker: str | None) -> None:
    """Measure the peak memory of a distillation with and without --offload disk."""
    if worker is not None:
        assert folder is not None
        click.echo(json.dumps(work(folder, classes, ipc, worker, iterations)))
        return
    heads = ("offload", "latents", "expected", "measured", "peak", "s per iteration")
    table = Table(*heads, title=f"{processor()}, {commit()}: {classes} classes, {ipc} images per class, {ranks} ranks")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        prepare(Path(place), classes)
        for offload, times in (("none", 4), ("disk", 0)):
            few, most = (
                measure(Path(tempfile.mkdtemp(dir=place)), count, ipc, offload, iterations, ranks)
                for count in (FEW * ranks, classes)
            )
            more = {key: most[key] - few[key] for key in ("latents", "peak")}
            amounts = (most["latents"], times * more["latents"], more["peak"], most["peak"])
            table.add_row(offload, *(f"{amount / 2**30:.2f} GiB" for amount in amounts), f"{most['seconds']:.1f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
