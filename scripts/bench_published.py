"""Time whole GLaD steps of the published implementation against ours, with the same generator's weights.

    git clone https://github.com/GeorgeCazenavette/glad ~/published
    python scripts/bench_published.py ~/published [--only dm ...] [--layer -1 ...] [--out FILE]

PATH is a checkout of the published GLaD code, of which nothing is part of this project; the packages that it imports
must be installed. ``published_steps.py`` says which functions of it make a step and which lines are ours. It was
written from the interface of commit d221e9c and has never been run on the published code here: only a stand-in of the
tests has been driven.

Each row is one step at one layer: a random StyleGAN-XL, a ConvNet-3 with instance norm, 10 classes. Either side has a
process of its own on one thread of a CPU, with the same allocator; they take turns call by call. Seconds are CPU time,
medians; a ratio is the median over rounds of that of two neighbors; memory is the peak of the process, imports
included. Round 0 warms up, and both sides must then compute the same without augmentation: the images of the same
latents, and the loss in the same network on the same real images. Where images differ by more than 1e-2, or the loss by
more than 1 %, the command ends with an error. "apart" of gradients is the largest of the latents, relatively; of
MTT it is comparable under --unroll tesla alone, as the published step is. Run it on an otherwise idle machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from bench_builds import Turns, answer_turns
from published_steps import CheckoutError, PublishedSteps, StepJob

TARGETS = {"dm": 5.0, "dc": 3.5, "mtt": 5.0}
"""Ratios aimed at before the first layer: in W+ and F_0."""
MEMORY = 1.2 * 2**10  # MiB of our process, at most
IMAGES, LOSS = 1e-2, 1e-2
"""How far images (absolutely) and the loss (relatively) may be apart."""
ENVIRON = {
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),  # as glad.device sets them, for both sides
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONWARNINGS": "ignore",
}


def work(job: StepJob, checkout: Path, folder: Path, side: str) -> None:
    """Be the process of one side, see ``Turns``; what goes wrong is one line."""
    answers = sys.stdout  # the published functions print
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            answer_turns(make_step(job, checkout, folder, side), folder / side, answers)
        except Exception as error:
            *_, last = traceback.extract_tb(error.__traceback__)
            where = f"{type(error).__name__} in {last.filename}:{last.lineno}: "
            line = ("" if isinstance(error, CheckoutError) else where) + " ".join(str(error).split())
            print(json.dumps({"error": line}), file=answers, flush=True)
            sys.exit(1)


def make_step(job: StepJob, checkout: Path, folder: Path, side: str) -> Callable[[int], dict[str, Any]]:
    """What a side computes, given the number of the round."""
    torch.set_num_threads(1)
    if side == "published":
        return PublishedSteps(checkout, job, folder / side).step
    from our_steps import OurSteps  # and this project with it, which the other process does without

    return OurSteps(job, folder / "published").step


def start(job: StepJob, checkout: Path, folder: Path, side: str) -> Turns:
    """Start the process of a side."""
    about = json.dumps([asdict(job), str(folder), side])
    command = [sys.executable, str(Path(__file__).resolve()), str(checkout), "--work", about]
    return Turns(str(checkout) if side == "published" else "ours", command, folder / side, ENVIRON)


def measure(job: StepJob, checkout: Path, rounds: int) -> dict[str, Any]:
    """One row: seconds and memory of both sides, their ratios, and how far apart they were in round 0."""
    sides: list[Turns] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in ("published", "ours"):  # ours reads what the other has written in round 0
                sides.append(start(job, checkout, Path(folder), name))
                sides[-1].turn(0)
            apart = compare(*(side.folder for side in sides))
            for number in range(1, rounds + 1):
                for side in sides:
                    side.turn(number)
        finally:
            for side in sides:
                side.close()
    published, ours = sides
    ratios = [a / b for a, b in zip(published.seconds, ours.seconds, strict=True)]
    if job.method == "mtt" and job.unroll != "tesla":
        apart["gradient"] = None
    return {
        "published": {"seconds": published.seconds, "mib": published.mib},
        "ours": {"seconds": ours.seconds, "mib": ours.mib},
        **{"ratio": statistics.median(ratios), "ratios": ratios, "apart": apart},
        "target": TARGETS[job.method] if job.layer <= 0 else None,
    }


def compare(published: Path, ours: Path) -> dict[str, float | None]:
    """How far apart images, loss and gradients of round 0 are; an error where the sides do not compute the same."""
    first, theirs, found = (
        torch.load(path, weights_only=True)
        for path in (published / "start.pt", published / "results.pt", ours / "results.pt")
    )
    distances = {
        name: float((found[name] - theirs[name]).norm() / theirs[name].norm()) for name in found.keys() & theirs
    }
    images = float((found["images"] - first["images"]).abs().max())
    loss = distances.pop("loss")
    for what, apart, most in (("images", images, IMAGES), ("the loss", loss, LOSS)):
        if not apart <= most:
            raise click.ClickException(f"{what} of both sides are {apart:.1e} apart, at most {most:g}: not comparable")
    return {"images": images, "loss": loss, "gradient": max(distances.values())}


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The rows as lines of Markdown, and whether the aims are reached."""
    columns = (
        "row, published s, ours s, ratio, range, aim, published MiB, ours MiB, images apart, loss apart, gradient apart"
    )
    lines = [f"| {columns.replace(', ', ' | ')} |", "|" + " --- |" * (columns.count(",") + 1)]
    for name, row in rows.items():
        cells = [name, *(f"{statistics.median(row[side]['seconds']):.3g}" for side in ("published", "ours"))]
        cells += [f"**{row['ratio']:.2f}**", f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"]
        cells += [
            f">= {row['target']}" if row["target"] else "",
            *(f"{row[s]['mib']:.0f}" for s in ("published", "ours")),
        ]
        cells += ["not comparable" if value is None else f"{value:.0e}" for value in row["apart"].values()]
        lines.append(f"| {' | '.join(cells)} |")
    missed = [name for name, row in rows.items() if row["ratio"] < (row["target"] or 0)]
    heavy = [name for name, row in rows.items() if row["ours"]["mib"] > MEMORY]
    lines += [
        "",
        f"Ratio aimed at: {'missed by ' + ', '.join(missed) if missed else 'reached by every row that has one'}.",
    ]
    return [*lines, f"Memory of at most {MEMORY:.0f} MiB: {'missed by ' + ', '.join(heavy) if heavy else 'kept'}."]


def describe(checkout: Path) -> dict[str, str]:
    """Commits and machine."""
    from bench_ops import processor

    git, ours = ["git", "describe", "--always", "--dirty"], Path(__file__).parent
    commits = [
        subprocess.run(git, cwd=path, capture_output=True, text=True).stdout.strip() for path in (checkout, ours)
    ]
    versions = {"torch": torch.__version__, "processor": processor()}
    return {"published": commits[0] or "no commit", "ours": commits[1] or "no commit", **versions}


@click.command(help=__doc__, context_settings={"show_default": True})
@click.argument("path", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.option(
    "--only", multiple=True, type=click.Choice(list(TARGETS)), help="A step, may be repeated; all by default."
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    type=click.IntRange(-1),
    default=(-1, 8),
    help="As in the published code: -1 is W+, N is F_N; may be repeated.",
)
@click.option("--rounds", type=click.IntRange(1), default=3, help="Timed calls of either side.")
@click.option("--resolution", type=click.IntRange(8), default=32, help="Of the images; a power of two.")
@click.option("--width", type=click.IntRange(1), default=128, help="Of the ConvNet-3.")
@click.option("--batch", type=click.IntRange(1), default=256, help="Real images per class.")
@click.option("--ipc", type=click.IntRange(1), default=1, help="Synthetic images per class.")
@click.option("--steps", type=click.IntRange(1), default=20, help="Of MTT's student.")
@click.option("--unroll", type=click.Choice(["tesla", "adjoint", "full"]), default="tesla", help="Of our MTT.")
@click.option("--generator-layers", type=click.IntRange(4), default=10, help="Besides the last, to RGB.")
@click.option("--channel-base", type=click.IntRange(1), default=8192, help="Of the generator.")
@click.option(
    "--channel-max", type=click.IntRange(1), default=128, help="Of the generator: 2.2 M parameters of synthesis."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write all numbers there (JSON).")
@click.option("--work", "job", hidden=True)
def main(
    path: Path,
    only: tuple[str, ...],
    layers: tuple[int, ...],
    rounds: int,
    out: Path | None,
    job: str | None,
    **sizes: Any,
) -> None:
    if job is not None:
        options, folder, side = json.loads(job)
        work(StepJob(**options), path, Path(folder), side)
        return
    if max(layers) > sizes["generator_layers"]:
        raise click.UsageError(
            f"there is no layer {max(layers)} in a generator of {sizes['generator_layers']}: lower --layer"
        )
    rows = {}
    for layer in layers:
        for method in only or TARGETS:
            name = f"{method} {'W+' if layer < 0 else f'F_{layer}'}"
            rows[name] = measure(StepJob(method, layer, **sizes), path, rounds)
            click.echo(f"{name}: {rows[name]['ratio']:.2f}", err=True)
    about = describe(path)
    click.echo("\n".join([*table(rows), "; ".join(f"{key} {value}" for key, value in about.items())]))
    if out:
        found = {"command": sys.argv, **about, "sizes": sizes, "rounds": rounds, "rows": rows}
        out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
