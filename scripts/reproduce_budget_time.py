"""Accuracy against time at equal stored numbers: the curves under "At equal numbers" of docs/RESULTS.md.

The rows and settings of ``reproduce_budget.py``. A run is stopped after some of its iterations, evaluated on validation
images with one ConvNet-3, and goes on. Time is the CPU time of distilling, whoever else was on the machine.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_budget_time.py --root DATA --out runs/budget
    python scripts/reproduce_budget_time.py --out docs/results/equal_bytes_time.json --picture curves.png
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import reproduce_budget as budget
from results_command import of_call, picture_path, results_path, show
from results_files import lines_to_show, read_results, results_to_change, table_of

import glad
from glad.cli.mistakes import OneLineCommand

ROWS = [name for name in budget.ROWS if name.startswith("MTT")] + ["DM, pixels", "DM, FreD"]
SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of a row's iterations, after which its set is evaluated."""
COLUMNS = ("row", "iterations", "CPU minutes", "validation accuracy in %")
Point = dict[str, float]
"""``iterations``, ``seconds`` of CPU time, ``accuracy`` in %."""


def curve(row: str, seed: int, root: str, out: Path, path: Path, of: Mapping[str, Any]) -> None:
    """Add the points of a row to the file of results, as they are made; those that are there are not made again."""
    points = read_results(path, of).get(row, [])
    if budget.ROWS[row]["objective"] != "dm":
        budget.experts(root, out)  # before the clock runs
    for share in SHARES[len(points) :]:
        iterations = max(1, round(budget.ROWS[row]["iterations"] * share))
        start = time.process_time()
        run = budget.distill(row, seed, 1.0, root, out, iterations)
        spent = time.process_time() - start + (points[-1]["seconds"] if points else 0.0)
        points.append({"iterations": iterations, "seconds": round(spent, 1), "accuracy": accuracy(run, root)})
        with results_to_change(path, of) as results:
            results[row] = points
        click.echo(f"{row}, seed {seed}: {points[-1]}")


def accuracy(run: glad.Run, root: str) -> float:
    """The validation accuracy in % of one network trained on a set."""
    rate = {} if run.step_size is not None else {"convnet": budget.LR}
    found = glad.evaluate(
        run, networks=["convnet"], seeds=1, baselines=[], split="validation", epochs=budget.epochs(run), root=root,
        network_options={"convnet": budget.WIDTH}, learning_rate=rate,
    )  # fmt: skip
    return round(100 * found["cells"][0]["accuracy"], 2)


def cells(results: dict[str, list[Point]]) -> Iterator[list[str]]:
    """The lines of the table, under ``COLUMNS``: one per point."""
    for row, points in results.items():
        for point in points:
            minutes = f"{point['seconds'] / 60:.1f}"
            yield [row, f"{point['iterations']:.0f}", minutes, f"{point['accuracy']:.1f}"]


def draw(results: dict[str, list[Point]], path: Path) -> None:
    """Accuracy against CPU time, a line for each row, on a logarithmic axis of time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes: Any = figure.add_subplot()
    for row, points in results.items():
        style = "-o" if row.startswith("MTT") else "--s"
        axes.plot([p["seconds"] / 60 for p in points], [p["accuracy"] for p in points], style, label=row, markersize=4)
    axes.set(xscale="log", xlabel="CPU minutes of distilling", ylabel="validation accuracy in %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=130)


@click.command(cls=OneLineCommand)
@click.option("--root", default="data", show_default=True, help="Where FashionMNIST lies.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/budget"), show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(ROWS), help="Only these rows.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    callback=picture_path,
    help="Draw what there is into this PNG, and end.",
)
@click.option("--table", "shown", is_flag=True, help="Print what there is in a folder, or in a file of results.")
def main(root: str, out: Path, rows: tuple[str, ...], picture: Path | None, shown: bool) -> None:
    """Distill and evaluate by stages, row by row, and print the table."""
    only_shown = shown or picture is not None
    path = results_path(out, "budget-time.json", only_shown)
    of = of_call(Path(__file__).stem, only_shown)
    for row in () if only_shown else rows or ROWS:
        curve(row, budget.SEEDS[0], root, out, path, of)
    lines = lines_to_show(path, of, cells, rows if only_shown else ())
    if picture is not None:
        draw({row: points for row, points in read_results(path).items() if not rows or row in rows}, picture)
    show(table_of(COLUMNS, lines), 120)


if __name__ == "__main__":
    main()
