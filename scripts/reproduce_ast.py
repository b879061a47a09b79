"""Is AST level with MTT, and which of its parts help? The tables of docs/RESULTS.md, at a scale of minutes.

FashionMNIST, 10,000 training images, 1 image per class (or 10), pixels, ConvNet-3 of width 16, two experts of 9 epochs
for each recipe, which MTT and AST follow alike. Three distillation seeds times three seeds of networks, on the
validation images: nothing here looks at test images. Runs, experts and evaluations resume where they were cut; finished
ones are skipped.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_ast.py --root DATA --out runs/ast
    python scripts/reproduce_ast.py --out docs/results/ast.json --table
"""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from results_command import of_call, results_path, show
from results_files import lines_to_show, read_results, results_to_change, spread, table_of

import glad
from glad.cli.mistakes import OneLineCommand
from glad.evaluation import set_id

LIMIT, EPOCHS, EXPERTS, ITERATIONS = 10_000, 9, 2, 60
WIDTH = {"width": 16}
SEEDS = (0, 1, 2)
OTHERS = {"alexnet": {"width": 16}, "vgg11": {"width": 8}, "resnet18": {"width": 8}}
FOLLOWED = {"max_start_epoch": 4}
REPRESENTATIVE = {"initialization": "representative"}
AST: dict[str, Any] = {"objective": "ast", "experts": "mtt", **REPRESENTATIVE}
RATES = {"mtt": 1000.0, "ast": 333.0}
"""Of the images, at 1 per class; ten times as much at 10, where ten times the images share a step."""
RELEASED = {"bias_correction": 0, "step_size": 1.7e-3}
ROWS: dict[str, dict[str, Any]] = {
    "MTT": {"objective": "mtt", "experts": "mtt", "prior_options": {"init": "real"}},
    "MTT, representative start": {"objective": "mtt", "experts": "mtt", **REPRESENTATIVE},
    "AST": AST,
    "AST less representative start": {"objective": "ast", "experts": "mtt", "prior_options": {"init": "real"}},
    "AST less bias correction": {**AST, "options": RELEASED, "learning_rate": {"step_size": 2.8e-7}},
    "AST less momentum": {**AST, "options": {"momentum": 0.0}},
    "AST less balanced loop": {**AST, "options": {"balance": 0}},
    "AST less intermediate matching": {**AST, "options": {"intermediate": 0.0}},
    "AST less perturbation": {**AST, "options": {"perturbation": 0.0}},
    "AST, images at MTT's rate": {**AST, "learning_rate": {"pixels": 1000.0}},
    "AST, smooth experts": {**AST, "experts": "smooth"},
    "AST, smooth experts without penalty": {**AST, "experts": "smooth-penalty0"},
    "AST, smooth experts, slope of the true logit": {**AST, "experts": "smooth-label"},
    "AST, smooth experts, slope of the loss": {**AST, "experts": "smooth-loss"},
}
"""What each row is, in words, and its settings."""
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "mtt": ("mtt", {}),
    "smooth": ("smooth", {"penalty": 2.0}),
    "smooth-penalty0": ("smooth", {}),
    "smooth-label": ("smooth", {"penalty": 2.0, "slope": "label"}),
    "smooth-loss": ("smooth", {"penalty": 2.0, "slope": "loss"}),
}
COLUMNS = ("row", "ConvNet", "less MTT", "cross-architecture", "less MTT", "last loss", "sets")
Results = dict[str, dict[str, Any]]
"""By row and distillation seed: ``accuracy`` in % by network, and ``loss``."""
WIDE = ("MTT", "AST", "AST, smooth experts without penalty")
"""Rows that other architectures are trained on too."""


def experts(name: str, root: str, out: Path) -> Path:
    """The folder of the experts of a recipe; trains what is not there."""
    recipe, changes = RECIPES[name]
    folder = out / "experts" / name
    glad.train_experts(
        "fashionmnist", folder, root=root, limit=LIMIT, count=EXPERTS, recipe=recipe,  # type: ignore[arg-type]
        recipe_options={"epochs": EPOCHS, **changes}, network_options=WIDTH,
    )  # fmt: skip
    return folder


def distill(row: str, ipc: int, seed: int, root: str, out: Path) -> glad.Run:
    """The run of a row and a seed."""
    settings = dict(ROWS[row])
    options = {**FOLLOWED, **settings.pop("options", {})}
    rates = {"pixels": RATES[settings["objective"]], **settings.pop("learning_rate", {})}
    rates["pixels"] *= ipc
    name = f"{row.replace(' ', '-').replace(',', '')}-{seed}"
    return glad.distill(
        "fashionmnist", settings.pop("objective"), "pixels", root=root, limit=LIMIT, iterations=ITERATIONS, seed=seed,
        experts=experts(settings.pop("experts"), root, out), objective_options=options, network_options=WIDTH,
        ipc=ipc, learning_rate=rates, grid_every=ITERATIONS, out=out / (name if ipc == 1 else f"{ipc}-{name}"),
        **settings,
    )  # fmt: skip


def accuracies(run: glad.Run, wide: bool, root: str) -> dict[str, list[float]]:
    """By network, the validation accuracy in % of every seed, after 300 steps."""
    cross = OTHERS if wide else {}
    found = glad.evaluate(
        run, networks=["convnet", *cross], seeds=len(SEEDS), baselines=[], split="validation", epochs=300, root=root,
        network_options={"convnet": WIDTH, **cross}, learning_rate=dict.fromkeys(cross, 1e-2),
    )  # fmt: skip
    cells = [cell for cell in found["cells"] if cell["row"] == set_id(run.name)]
    return {name: [100 * cell["accuracy"] for cell in cells if cell["network"] == name] for name in ("convnet", *cross)}


def last_distance(run: glad.Run) -> float:
    """The mean loss of the last ten iterations."""
    lines = (run.path / "metrics.jsonl").read_text().splitlines()[-10:]
    return statistics.mean(json.loads(line)["loss"] for line in lines)


def cells(results: Results) -> Iterator[list[str]]:
    """The lines of the table, under ``COLUMNS``: mean and deviation over distillation seeds, of means over networks."""
    means = {row: {seed: _means(one["accuracy"]) for seed, one in of.items()} for row, of in results.items()}
    for row in (row for row in ROWS if results.get(row)):
        line = []
        for which in ("seen", "cross"):
            mtt, values = ({s: m[which] for s, m in means.get(of, {}).items() if which in m} for of in ("MTT", row))
            differences = [] if row == "MTT" else [values[seed] - mtt[seed] for seed in values if seed in mtt]
            line += [spread(list(values.values())), spread(differences)]
        losses = [one["loss"] for one in results[row].values()]
        yield [row, *line, f"{statistics.mean(losses):.3f}", str(len(losses))]


def _means(accuracy: dict[str, list[float]]) -> dict[str, float]:
    """The mean accuracy of ConvNet, and that of the other architectures where they were trained."""
    cross = [value for name in OTHERS for value in accuracy.get(name, [])]
    return {"seen": statistics.mean(accuracy["convnet"]), **({"cross": statistics.mean(cross)} if cross else {})}


@click.command(cls=OneLineCommand)
@click.option("--root", default="data", show_default=True, help="Where FashionMNIST lies.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/ast"), show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows.")
@click.option("--ipc", type=click.Choice(["1", "10"]), default="1", show_default=True, help="Images per class.")
@click.option("--table", "shown", is_flag=True, help="Print the results of a folder, or of a file of results.")
def main(root: str, out: Path, rows: tuple[str, ...], ipc: str, shown: bool) -> None:
    """Distill and evaluate, seed by seed, and print the table."""
    path = results_path(out, "ast.json" if ipc == "1" else f"ast_{ipc}.json", shown)
    of = of_call(Path(__file__).stem, shown, ipc=int(ipc))
    for seed in () if shown else SEEDS:
        for row in rows or ROWS:
            if str(seed) not in read_results(path, of).get(row, {}):
                run = distill(row, int(ipc), seed, root, out)
                found = accuracies(run, row in WIDE, root)
                with results_to_change(path, of) as results:
                    results.setdefault(row, {})[str(seed)] = {"accuracy": found, "loss": last_distance(run)}
                click.echo(f"{row}, seed {seed}: {statistics.mean(found['convnet']):.1f} %")
    show(table_of(COLUMNS, lines_to_show(path, of, cells, rows if shown else ())), 160)


if __name__ == "__main__":
    main()
