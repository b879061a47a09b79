"""The demo: fashion-mini at 1 image per class through the embedded generator and as pixels, tested on three networks.

python scripts/demo.py [--out runs/demo]
"""

import resource
import time
from pathlib import Path
from typing import Any

import click
import torch
from PIL import Image
from rich.console import Console

import glad
from glad.cli.options import progress_bar
from glad.cli.results_tables import results_table
from glad.data.coresets import select_random
from glad.data.splits import open_data
from glad.runs.folder import Run
from glad.runs.image_grid import grid, save_png

ITERATIONS, REAL_BATCH, EPOCHS, SEEDS = 40, 48, 200, 3
NETWORKS = ("convnet", "vgg11", "vit")
LR = 1e-2  # the published 1e-3 of other architectures is for 1,000 epochs
# Sized for four minutes of one core; AlexNet, which has no normalization, would not begin to learn in 200 epochs.
NARROW = {"convnet": {"width": 64}, "vgg11": {"width": 8}, "vit": {"width": 64, "depth": 3}}
PRIORS: dict[str, dict[str, Any]] = {
    "generator": {"prior": "fashion-mini"},
    "pixels": {"prior": "pixels", "prior_options": {"init": "real"}},
}


def distill(name: str, settings: dict[str, Any], out: Path) -> Run:
    """One run of DM."""
    click.echo(f"\nDM, 1 image per class, {name}: {ITERATIONS} iterations")
    with progress_bar(ITERATIONS, "iteration") as bar:
        return glad.distill(
            **settings,
            objective_options={"batch": REAL_BATCH},
            network_options=NARROW["convnet"],
            iterations=ITERATIONS,
            grid_every=20,
            out=out / name,
            on_step=lambda i, metrics: bar.advance(i + 1, f"loss {metrics['loss']:.4g}"),
        )


def compare(runs: list[Run]) -> dict[str, Any]:
    """Train the networks on both sets, on random real images and on the codes before optimization."""
    total = len(NETWORKS) * SEEDS * 4
    click.echo(f"\nTraining {', '.join(NETWORKS)} from scratch, {EPOCHS} epochs, {SEEDS} seeds")
    with progress_bar(total, "training") as bar:
        return glad.evaluate(
            runs,
            networks=NETWORKS,
            seeds=SEEDS,
            epochs=EPOCHS,
            learning_rate=LR,
            network_options=NARROW,
            on_cell=lambda cell, left: bar.advance(total - left, f"{cell['label']}: {100 * cell['accuracy']:.1f} %"),
        )


def picture(runs: dict[str, Run], path: Path) -> None:
    """Real images, the codes before and after, and the pixels, one row each."""
    data = open_data(runs["generator"].settings).train
    rows = [select_random(data, 1, 0), runs["generator"].read_set("initial"), runs["generator"].read_set()]
    rows.append(runs["pixels"].read_set())
    images, labels = (torch.cat([row[i] for row in rows]) for i in range(2))
    drawn: Image.Image = grid(data.pixels(images), labels, data.classes)
    save_png(drawn, path)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
def main(out: Path) -> None:
    """Distill, evaluate, and say what it took."""
    began = time.monotonic()
    runs = {name: distill(name, settings, out) for name, settings in PRIORS.items()}
    results = compare(list(runs.values()))
    picture(runs, out / "comparison.png")
    Console(width=None if Console().is_terminal else 160).print(results_table(results))
    click.echo(f"{out}/comparison.png, from the top: random real images, codes before optimization, codes, pixels.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    minutes, cpu = (time.monotonic() - began) / 60, time.process_time() / 60
    click.echo(
        f"DM: {REAL_BATCH} real images per class, {ITERATIONS} iterations; training: {EPOCHS} epochs, {SEEDS} seeds;"
    )
    click.echo(
        f"narrowed: {NARROW}; {minutes:.1f} minutes on {torch.get_num_threads()} threads, {cpu:.1f} of CPU time, "
        f"{peak:.1f} GiB at most."
    )


if __name__ == "__main__":
    main()
