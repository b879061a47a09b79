"""Measure an iteration and the peak memory of published presets, and note them for `glad presets`.

    python scripts/measure_presets.py [--only NAME ...] [--ipc 10] [--repeat 3]

Each preset runs through ``glad.distill`` in a process of its own, on random images of its size and number of classes,
experts with random weights and, as prior, a generator of the published geometry with random weights: nothing is
downloaded, and neither time nor memory depends on the values. Only the data set itself is smaller than the real one.
Presets of one file and size of images are measured once; those whose generator's geometry is not known are left out.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it starts

import click
import numpy as np
import torch
from bench_ops import commit, processor

import glad
from generators import weights
from generators.configurations import random_generator
from glad.data.splits import open_data
from glad.experts.folder import plan
from glad.experts.training import flatten
from glad.presets import MEASURED, Preset, all_presets, leaves, load
from glad.rng import rng_for
from glad.runs.storage import read_json, write_json
from glad.settings.experts import ExpertSettings

NOTES = Path(glad.__file__).parent / "presets" / MEASURED
CLASSES = 10  # of every data set that a preset names
IMAGES, LEFT = 400, 288  # per class at least, and how many of so many are left for training


GENERATORS = {"imagenet128.safetensors": "imagenet128"}
"""Priors that presets name, and their configuration: 16 to 128 px, 158.7 M parameters."""


def random_data(preset: Preset, path: Path) -> str:
    """An npz of random images like the preset's, enough for its batches."""
    channels, side = preset.images()
    count = max(IMAGES, -(-preset.settings()["objective_options"].get("batch", 1) * IMAGES // LEFT) + 1)
    images = np.random.default_rng(0).integers(0, 256, (CLASSES * count, channels, side, side), np.uint8)
    np.savez(path, images=images, labels=np.arange(CLASSES).repeat(count))
    return str(path)


def random_experts(preset: Preset, settings: dict[str, Any], folder: Path) -> str:
    """One expert with random weights, with as many epochs as the preset's have."""
    shared = {name: settings[name] for name in ("data", "resolution", "zca", "network") if name in settings}
    own = {name: value for name, value in preset.experts.items() if name != "count"}
    wanted = ExpertSettings(out=str(folder), count=1, **shared, **own)
    planned = plan(open_data(wanted), wanted)
    file, start = planned.file(0), flatten(planned.make(rng_for("start")))
    file.begin()
    for epoch in range(file.rows):
        walked = epoch * 0.01 * torch.randn(start.shape, generator=rng_for("way", epoch))
        file.write(epoch, start + walked, 0.0, {})
    return str(folder)


def work(name: str, ipc: int, repeat: int, folder: Path) -> dict[str, Any]:
    """Run the preset for one iteration to warm up and ``repeat`` more, in this process."""
    preset = load(name)
    settings = preset.settings(ipc)
    settings["data"] = random_data(preset, folder / "data.npz")
    # Rates cost nothing, and on random weights the published ones lead to infinity.
    rates = [key.partition(".")[2] for key in leaves(settings) if key.startswith("learning_rate.")]
    settings["learning_rate"] = dict.fromkeys(rates, 0.0)
    if settings["prior"] in GENERATORS:
        network = random_generator(GENERATORS[settings["prior"]], classes=1000)
        weights.save(folder / settings["prior"], network, torch.float16)
        del network
        settings["prior"] = str(folder / settings["prior"])
    if preset.experts:
        settings["experts"] = random_experts(preset, settings, folder / "experts")
    settings |= {"iterations": repeat + 1, "save_every": repeat + 1, "out": folder / "run"}
    ends: list[float] = []
    glad.distill(**settings, on_step=lambda *_: ends.append(time.perf_counter()))
    on_gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": float(f"{statistics.median(b - a for a, b in pairwise(ends)):.4g}"),
        "gib": round(peak / 2**30, 2),
        "machine": machine(on_gpu),
    }


def machine(on_gpu: bool) -> str:
    """What the numbers depend on."""
    where = torch.cuda.get_device_name() if on_gpu else f"{processor()}, {torch.get_num_threads()} thread(s)"
    return f"{where}, torch {torch.__version__}, commit {commit(f'glad/presets/{MEASURED}')}"


def measure(preset: Preset, ipc: int, repeat: int) -> dict[str, Any]:
    """``work`` in a process of its own."""
    job = ["--only", preset.name, "--ipc", str(ipc), "--repeat", str(repeat)]
    done = subprocess.run([sys.executable, __file__, *job, "--work"], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "command": f"python scripts/measure_presets.py {' '.join(job)}"}


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(all_presets())),
    metavar="PRESET",
    help="May be repeated.  [default: all]",
)
@click.option("--ipc", type=int, help="Synthetic images per class.  [default: each preset's first]")
@click.option("--repeat", default=3, show_default=True, help="Iterations after the first; the median counts.")
@click.option("--out", "notes", type=click.Path(path_type=Path), default=NOTES, help="File to note them in.")
@click.option("--work", "here", is_flag=True, hidden=True)
def main(only: tuple[str, ...], ipc: int | None, repeat: int, notes: Path, here: bool) -> None:
    """Measure, and note each result as soon as it is there."""
    chosen = [load(name) for name in only] or list(all_presets().values())
    if here:
        with tempfile.TemporaryDirectory() as folder:
            click.echo(json.dumps(work(chosen[0].name, ipc or chosen[0].ipc[0], repeat, Path(folder))))
        return
    done = set()
    for preset in chosen:
        count = ipc or preset.ipc[0]
        key = preset.measure(count)
        if preset.needs and preset.distill["prior"] not in GENERATORS:
            click.echo(f"{preset.name}: the geometry of {preset.distill['prior']} is not known")
        elif key not in done:
            found = measure(preset, count, repeat)
            write_json(notes, dict(sorted({**read_json(notes), key: found}.items())))
            click.echo(f"{key}: {found['seconds']} s, {found['gib']} GiB")
            done.add(key)


if __name__ == "__main__":
    main()
