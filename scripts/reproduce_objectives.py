"""The tables of docs/RESULTS.md that compare objectives: DC, DSA, DM, MTT and AST, as pixels and as codes.

FashionMNIST, ConvNet-3. Every run, training and evaluation resumes where it was cut, and a finished one is skipped, so
rows can be made one by one, in any order, and two at a time on two cores (a row by one process only):

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_objectives.py --root DATA --row "DM pixels"
    python scripts/reproduce_objectives.py --table

MTT and AST follow experts on 10,000 images, which are trained when the first of their rows is made.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import torch
from matplotlib.figure import Figure
from reproduce_results import LR, NARROW, NETWORKS, SEEDS, test_part
from results_command import require_folder, show

import glad
from glad.cli.mistakes import OneLineCommand
from glad.cli.options import progress_bar
from glad.cli.results_tables import results_table
from glad.data.splits import open_data
from glad.evaluation import Protocol, evaluate_sets, set_id, summarize
from glad.evaluation.results_store import read_results
from glad.experts.folder import plan, train_plan
from glad.runs.folder import Run
from glad.runs.image_grid import Row, eight_bit, save_png, sheet
from glad.runs.storage import read_json, read_tensors, write_json
from glad.settings.evaluate import Baseline
from glad.settings.experts import ExpertSettings

EXPERT_IMAGES = 10_000
EXPERTS = {"mtt": {"count": 2, "epochs": 16}, "smooth": {"count": 1, "epochs": 6}}
"""Of about the same cost: an epoch of the smooth recipe takes 3 to 4 times as long. MTT follows 8 epochs, AST 6."""
EVALUATION: dict[int, dict[str, Any]] = {1: {"epochs": 300}, 10: {"epochs": 25, "protocol": Protocol(batch=25)}}
"""At 10 images per class small batches give four times the steps for the same price."""
FULL_EPOCHS, FULL_BATCH = 1, 64  # of a training on all images
RATES = {name: LR for name in NETWORKS if name != "convnet"}  # ConvNet's is 1e-2, or what MTT and AST learned
SECONDS = 8 * 60  # of a run at 10 images per class
CURVE = (0.125, 0.25, 0.5, 1.0)  # shares of them after which the set is looked at
PACE = 3  # iterations by which it is judged how many the seconds pay for

PIXELS = {"prior": "pixels", "prior_options": {"init": "real"}}
CODES = {"prior": "fashion-mini"}
BATCH = {"batch": 64}  # real images per class, of the published 256
SMOOTH = {"recipe": "smooth", "changes": {"batch": 64, "penalty": 2.0}}
"""In batches of 256, 10,000 images are so few steps that until the last epoch most of the way is the growth of the
penalized slope, which no student can follow: cross-entropy does not see the sum of logits."""
COLD = {"bias_correction": 0}
"""AST's momentum as released, with which the student's end follows its step size ten times as fast as MTT's."""
FOLLOWED = {"max_start_epoch": 4, "step_size": 5e-3, **COLD}
SLOW = {"step_size": 1e-3, **COLD}
RATE = {"pixels": 1e3}  # of the images, as of MTT's
METHODS: dict[str, dict[str, Any]] = {
    "DC": {"objective": "dc", "augmentation": "none", "objective_options": BATCH},
    "DSA": {"objective": "dc", "objective_options": BATCH},
    "DM": {"objective": "dm", "objective_options": BATCH},
    "MTT": {"objective": "mtt", "experts": {"recipe": "mtt"}},
    "AST": {
        "objective": "ast",
        "experts": SMOOTH,
        "initialization": "representative",
        "objective_options": FOLLOWED,
        "learning_rate": {**RATE, "step_size": 1e-7},
    },
    "AST-M": {
        "objective": "ast",
        "experts": {"recipe": "mtt"},
        "initialization": "representative",
        "objective_options": SLOW,
        "learning_rate": {**RATE, "step_size": 1e-8},
    },
}
"""AST-M is AST's distillation with the experts of MTT: neither the clipping loss nor the gradient penalty."""
ITERATIONS = {"DC": 300, "DSA": 300, "DM": 800, "MTT": 200, "AST": 200, "AST-M": 200, "parts": 60}
"""At 1 image per class."""
ONCE = {"outer": 1, "inner": 1}
"""DC's loops at 10 images per class: its published ones take minutes per iteration on two cores."""
PARTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "representative start": {"initialization": "prior"},
    "balanced loop": {
        "objective_options": {"step_size": 1e-2, "balance": 0, "momentum": 0.0},
        "learning_rate": {**RATE, "step_size": 1e-6},
    },
    "intermediate matching": {"objective_options": {**SLOW, "intermediate": 0.0}},
    "perturbation": {"objective_options": {**SLOW, "perturbation": 0.0}},
}
"""AST's of the distillation, and what switches each of them off."""
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{name} pixels": (name, {**method, **PIXELS}) for name, method in METHODS.items()},
    **{f"{name} codes": (name, {**method, **CODES}) for name, method in METHODS.items()},
    **{f"AST-M pixels less {part}": ("parts", {**METHODS["AST-M"], **PIXELS, **off}) for part, off in PARTS.items()},
}
"""The key of a row's budget in ``ITERATIONS``, and its settings."""
BASELINES: dict[int, dict[str, list[Baseline]]] = {
    1: {"DM pixels": ["random", "kmeans"], "DM codes": ["before"]},
    10: {"DM pixels": ["random"]},
}
"""What is evaluated beside a row: one of each in the table."""


def experts(settings: Mapping[str, Any], root: str, out: Path) -> Path:
    """The folder of experts of a recipe; trains what is not there."""
    budget = EXPERTS[settings["recipe"]]
    changes = {**settings.get("changes", {}), "epochs": budget["epochs"]}
    name = "-".join([settings["recipe"], *(f"{key}{value}" for key, value in settings.get("changes", {}).items())])
    wanted = ExpertSettings(
        data="fashionmnist", root=root, limit=EXPERT_IMAGES, out=str(out / "experts" / name), count=budget["count"],
        recipe=settings["recipe"], recipe_options=changes,
    )  # fmt: skip
    made = plan(open_data(wanted), wanted)
    train_plan(made, lambda n, epoch, known: click.echo(f"{name} {n}, epoch {epoch}: {100 * known:.1f} %"))
    return made.out


def folder(row: str, ipc: int, out: Path) -> Path:
    """Where a row's run lies."""
    return out / f"{row.replace(' ', '-').lower()}-ipc{ipc}"


def distill(row: str, ipc: int, root: str, out: Path, iterations: int) -> Run:
    """A row's run, or its first ``iterations``."""
    settings = dict(ROWS[row][1])
    if "experts" in settings:
        settings |= {"experts": experts(settings["experts"], root, out), "limit": EXPERT_IMAGES}
    if settings["objective"] == "dc" and ipc > 1:
        settings["objective_options"] = {**settings["objective_options"], **ONCE}
    with progress_bar(iterations, "iteration") as bar:
        return glad.distill(
            "fashionmnist",
            ipc=ipc,
            root=root,
            iterations=iterations,
            grid_every=iterations,
            out=folder(row, ipc, out),
            on_step=lambda i, metrics: bar.advance(i + 1, f"{row}: loss {metrics['loss']:.4g}"),
            **settings,
        )


def seconds(run: Run) -> float:
    """How long a run's iterations have taken."""
    return float(read_tensors(run.state)[1]["seconds"])


def curve(row: str, ipc: int, root: str, out: Path) -> Run:
    """A run as long as ``SECONDS`` pay for, with looks at validation images on the way, kept in ``curve.json``."""
    path = folder(row, ipc, out) / "curve.json"
    if not path.exists():
        pace = seconds(distill(row, ipc, root, out, PACE)) / PACE
        write_json(path, {"iterations": [max(PACE, round(share * SECONDS / pace)) for share in CURVE], "points": []})
    kept = read_json(path)
    for iterations in kept["iterations"][len(kept["points"]) :]:
        run = distill(row, ipc, root, out, iterations)
        results = glad.evaluate(run, networks=["convnet"], seeds=1, baselines=[], split="validation", **EVALUATION[ipc])
        accuracy = results["summary"][set_id(run.name)]["seen"]["mean"]
        kept["points"].append({"iterations": iterations, "seconds": seconds(run), "accuracy": accuracy})
        write_json(path, kept)
    return Run(folder(row, ipc, out))


def evaluate(run: Run, baselines: list[Baseline], ipc: int, root: str) -> None:
    """All networks and seeds, for the table."""
    results = glad.evaluate(
        run,
        networks=NETWORKS,
        seeds=SEEDS,
        learning_rate=RATES,
        network_options=NARROW,
        baselines=baselines,
        data=test_part(root, run.config["limit"]),
        on_cell=lambda cell, left: click.echo(
            f"{cell['label']}, {cell['network']}, seed {cell['seed']}: {100 * cell['accuracy']:.1f} %, {left} left"
        ),
        **EVALUATION[ipc],
    )
    show(results_table(results), 200)


def full_data(root: str, out: Path) -> None:
    """The networks on all training images, for the table's last row."""
    path, parts = out / "full.json", test_part(root)
    cells = read_json(path)["cells"] if path.exists() else []

    def keep(cell: dict[str, Any]) -> None:
        cells.append(cell)
        write_json(path, {"cells": cells, "summary": summarize(cells, "convnet")})
        click.echo(f"{cell['row']}, {cell['network']}: {100 * cell['accuracy']:.1f} %")

    evaluate_sets(
        {f"all {len(parts.train):,} training images": (parts.train.tensor(), parts.train.labels)},
        (parts.test.tensor(), parts.test.labels),
        networks=NETWORKS,
        seen="convnet",
        seeds=[0],
        classes=len(parts.test.classes),
        protocol=Protocol(FULL_EPOCHS, batch=FULL_BATCH).with_learning_rates(LR, "convnet"),
        network_options=NARROW,
        on_cell=keep,
        done=list(cells),
    )


def drawn(run: Run) -> Row:
    """A run's name and the first image of each class."""
    found = glad.load_distilled(run.path)
    firsts = [int((found.labels == c).nonzero()[0]) for c in found.labels.unique()]
    return run.name, eight_bit(found.pixels[firsts])


def draw_curves(runs: list[Run], path: Path) -> None:
    """Accuracy on validation images against the seconds of distillation, a line per run."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in runs:
        points = read_json(run.path / "curve.json")["points"]
        style = "--" if "pixels" in run.name else "-"
        axes.plot(
            [p["seconds"] for p in points], [100 * p["accuracy"] for p in points], style, marker="o", label=run.name
        )
    axes.set_xlabel("seconds of distillation")
    axes.set_ylabel("ConvNet, validation accuracy in %")
    axes.legend()
    figure.savefig(path, dpi=110)


def table(ipc: int, out: Path) -> None:
    """What is finished, a line per set, and the minutes that each run took."""
    runs = [Run(folder(row, ipc, out)) for row in ROWS]
    paths = {run.name: run.path / "results.json" for run in runs}
    known = {name: read_results(path, "convnet")[0] for name, path in paths.items() if path.exists()}
    contents = {name: content for name, content in known.items() if content.get("split") == "test"}  # whole ones
    if not contents:
        raise click.ClickException(f"no row of {ipc} images per class is finished in {out}")
    found = [run for run in runs if run.name in contents]
    cells = [cell for content in contents.values() for cell in content["cells"]]
    summary, rows = summarize(cells, "convnet"), [row for content in contents.values() for row in content["rows"]]
    shown = {**contents[found[0].name], "networks": NETWORKS, "rows": rows, "summary": summary, "seen": "convnet"}
    show(results_table(shown), 200)
    save_png(sheet([drawn(run) for run in found]), out / f"objectives-ipc{ipc}.png")
    if ipc > 1:
        draw_curves(found, out / f"curves-ipc{ipc}.png")
    minutes = {run.name: round(seconds(run) / 60, 1) for run in found}
    write_json(out / f"objectives-ipc{ipc}.json", {"summary": summary, "minutes": minutes})
    click.echo(json.dumps(minutes, indent=1))


@click.command(cls=OneLineCommand)
@click.option("--root", default="data", show_default=True, help="Where FashionMNIST lies.")
@click.option("--ipc", type=click.Choice(["1", "10"]), default="1", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/objectives"), show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="One of the rows; may be repeated.")
@click.option("--full", is_flag=True, help="Train on all images.")
@click.option("--table", "shown", is_flag=True, help="Print what is finished.")
def main(root: str, ipc: str, out: Path, rows: tuple[str, ...], full: bool, shown: bool) -> None:
    """Distill and evaluate the rows that are named, and write what they gave to OUT."""
    number = int(ipc)
    require_folder(out)
    if not (rows or full or shown):
        raise click.UsageError("nothing is asked for: name rows with --row, or give --full or --table")
    if rows and shown:
        raise click.UsageError("--table prints all that is finished: leave --row out")
    for row in rows:
        began = time.monotonic()
        budget = ITERATIONS[ROWS[row][0]]
        run = distill(row, number, root, out, budget) if number == 1 else curve(row, number, root, out)
        click.echo(f"{row}: {seconds(run) / 60:.1f} minutes of distillation")
        evaluate(run, BASELINES[number].get(row, []), number, root)
        click.echo(f"{row}: {(time.monotonic() - began) / 60:.1f} minutes in all, {torch.get_num_threads()} threads")
    if full:
        full_data(root, out)
    if shown:
        table(number, out)


if __name__ == "__main__":
    main()
