"""Objectives and parameterizations at equal stored numbers: the table "At equal numbers" of docs/RESULTS.md.

FashionMNIST, as many numbers per class as one image has (or ten), ConvNet-3. Settings were chosen on validation images
and networks are tested on test images, unless ``--split validation`` says otherwise. Runs, experts and trainings resume
where they were cut; finished ones are skipped: a table grows over many calls.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_budget.py --root DATA --out runs/budget
    python scripts/reproduce_budget.py --out docs/results/equal_bytes.json --table
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click
from results_command import of_call, results_path, said, show
from results_files import (
    accuracy_cells,
    choose,
    lines_to_show,
    read_results,
    results_to_change,
    spread,
    table_of,
)

import glad
from glad.cli.mistakes import OneLineCommand
from glad.settings.evaluate import Baseline, Equal

DATA = "fashionmnist"
WIDTH = {"width": 32}
OTHERS = {"alexnet": {"width": 16}, "vgg11": {"width": 8}, "resnet18": {"width": 8}, "vit": {"width": 64, "depth": 3}}
NETWORKS = ("convnet", *OTHERS)
LR = 1e-2  # of all networks but ConvNet where a step size is learned; the published 1e-3 is for 1,000 epochs
SEEDS = (0, 1)
STEPS, BATCH = 300, 256
"""Of a training on a set: steps, and images in a step at most."""
NETWORK_SEEDS = {"convnet": 3, **dict.fromkeys(OTHERS, 1)}
EXPERTS = {"count": 2, "epochs": 8}
LIMIT: int | None = None
"""Real images, of the 54,000 that there are; all if None."""
MATCHED = {"syn_steps": 20, "expert_epochs": 2, "max_start_epoch": 4}
"""What MTT and DATM match: so many steps of the student against so many epochs of the expert."""
OBJECTIVES: dict[str, dict[str, Any]] = {
    "DM": {"objective": "dm", "iterations": 60, "objective_options": {"batch": 32}},
    "MTT": {"objective": "mtt", "iterations": 200, "objective_options": MATCHED},
    "DATM": {
        "objective": "datm",
        "iterations": 200,
        "objective_options": {**MATCHED, "skip_above": 1.1},
        "learning_rate": {"pixels": 1e3, "labels": 5.0, "step_size": 1e-5},  # of images and step size that of MTT
        "labels": "logits",
        "initialization": "correct",
    },
}
CHEAP = {"chunk": 1000}  # rendered at once
PRIORS: dict[str, dict[str, Any]] = {
    "pixels": {"prior": "pixels", "prior_options": {"init": "real"}, **CHEAP},
    "codes W": {"prior": "fashion-mini", "prior_options": {"space": "w"}},
    "codes W+": {"prior": "fashion-mini"},
    "IDC": {"prior": "idc", **CHEAP},
    "FreD": {"prior": "fred", **CHEAP},
    "DDiF": {"prior": "ddif", "initialization": "fit", "inversion_steps": 2000, **CHEAP},
}
ROWS: dict[str, dict[str, Any]] = {
    **{f"{how}, {what}": OBJECTIVES[how] | PRIORS[what] for how, what in product(("DM", "MTT"), PRIORS)},
    "DATM, pixels": PRIORS["pixels"] | OBJECTIVES["DATM"],
    "DM, pixels, 400 iterations": OBJECTIVES["DM"] | PRIORS["pixels"] | {"iterations": 400},
}
"""What each row is, in words, and its settings."""
SMALLEST = {"codes W+": 1.5}
"""Budgets without which there is no row: a W+ code has the numbers of 1.47 images."""
RATES_AT_TEN: dict[str, dict[str, float]] = {
    "DM, FreD": {"coefficients": 100.0},
    "MTT, pixels": {"pixels": 1e4},
    "MTT, codes W": {"w": 10.0},
    "MTT, codes W+": {"w": 30.0},
    "MTT, IDC": {"pixels": 1e4},
    "MTT, FreD": {"coefficients": 3.2e5},
    "DATM, pixels": {"pixels": 1e4, "labels": 50.0, "step_size": 1e-5},
}
"""At 10 images per class: where ten times the images share a mean, ten times the rate moves them as far."""
ITERATIONS_AT_TEN, BATCH_SYN = 100, 100
"""Of MTT and DATM at 10 images per class: iterations, and synthetic images in a step of the student (at 1 all)."""
Beside = dict[Equal, dict[Baseline, str]]
REAL: Beside = {
    "bytes": {
        "random": "random real images, equal bytes",
        "kmeans": "real images nearest to k-means centers, equal bytes",
    },
    "numbers": {"random": "random real images", "kmeans": "real images nearest to k-means centers"},
}
BASELINES: dict[str, Beside] = {
    "DM, pixels": REAL,
    "DM, codes W": {"numbers": {"before": "codes W before optimization"}},
    "DM, codes W+": {"numbers": {"before": "codes W+ before optimization"}},
}
"""What is evaluated beside a row at equal bytes and at equal numbers, and its own row of the table."""
IMAGES: dict[Equal, int] = {"bytes": 4, "numbers": 1}
"""Real images that stand against one of pixels: they have 8 bits a value where sets have 32."""
STORED = ("images per class", "bytes per class", "bytes of weights")
Found = dict[str, Any]
Results = dict[str, dict[str, Found]]
"""By row and distillation seed."""


def experts(root: str, out: Path) -> Path:
    """The folder of the experts, which MTT and DATM follow; trains what is not there."""
    folder = out / "experts"
    glad.train_experts(
        DATA, folder, root=root, limit=LIMIT, count=EXPERTS["count"], recipe="mtt",
        recipe_options={"epochs": EXPERTS["epochs"]}, network_options=WIDTH,
    )  # fmt: skip
    return folder


def distill(row: str, seed: int, budget: float, root: str, out: Path, iterations: int | None = None) -> glad.Run:
    """The run of a row and a seed, up to ``iterations`` or to its end."""
    settings = dict(ROWS[row])
    if settings["objective"] != "dm":
        settings["experts"] = experts(root, out)
    if budget > 1:
        settings["learning_rate"] = RATES_AT_TEN.get(row, settings.get("learning_rate"))
        if settings["objective"] != "dm":
            settings["iterations"] = ITERATIONS_AT_TEN
            settings["objective_options"] = settings["objective_options"] | {"batch_syn": BATCH_SYN}
    settings["iterations"] = iterations or settings["iterations"]
    budget = max(budget, SMALLEST.get(row.split(", ")[1], 0))
    name = f"{row.replace(', ', '-').replace(' ', '-')}-{budget:g}-{seed}"
    return glad.distill(
        DATA, root=root, limit=LIMIT, budget=budget, seed=seed, network_options=WIDTH,
        grid_every=settings["iterations"], out=out / name, **settings,
    )  # fmt: skip


def shown(baselines: Mapping[str, Beside]) -> list[str]:
    """The rows that are evaluated beside others, in the order of the table."""
    return [name for beside in baselines.values() for names in beside.values() for name in names.values()]


def with_beside(rows: Iterable[str], baselines: Mapping[str, Beside]) -> list[str]:
    """The rows, and those that are evaluated beside them."""
    return [*rows, *shown({row: baselines[row] for row in rows if row in baselines})]


def images_per_class(run: glad.Run) -> float:
    """Of the set of a run, on the mean of the classes."""
    return len(run.read_set()[0]) / len(run.inputs["classes"])


def epochs(run: glad.Run, equal: Equal = "numbers") -> int:
    """Of a training on the set, or beside it: as many steps for every row, so fewer passes over more images."""
    return max(1, round(STEPS / math.ceil(IMAGES[equal] * len(run.read_set()[0]) / BATCH)))


def evaluated(row: str, seed: int, baselines: Mapping[str, Beside]) -> Iterator[tuple[Equal, dict[str, str]]]:
    """What is evaluated at equal bytes and numbers: by the kind of the row its name in the table, the set's own too.

    Random images and those of k-means are the same beside every set, so they go with the first set alone.
    """
    for equal in IMAGES:
        beside = baselines.get(row, {}).get(equal, {})
        names: dict[str, str] = {"set": row} if equal == "numbers" else {}
        names |= {kind: name for kind, name in beside.items() if seed == SEEDS[0] or kind == "before"}
        if names:
            yield equal, names


def measured(
    found: Found, cells: Sequence[Found], names: Mapping[str, str], networks: Iterable[str], score: str = "accuracy"
) -> Iterator[tuple[str, Found, Found]]:
    """Of each of ``names`` in what ``glad.evaluate`` found: by network the score in % of every seed, and its size."""
    for kind, name in names.items():
        row_id = next(one["id"] for one in found["rows"] if one["kind"] == kind)
        accuracy = {
            network: [round(100 * c[score], 2) for c in cells if (c["row"], c["network"]) == (row_id, network)]
            for network in networks
        }
        yield name, accuracy, found["stored"][row_id]


def evaluate(row: str, run: glad.Run, networks: Sequence[str], split: Any, root: str) -> Iterator[tuple[str, Found]]:
    """The row and the baselines beside it: by network the accuracy in % of every seed, and the bytes per class."""
    rates = {**dict.fromkeys(OTHERS, LR), **({} if run.step_size is not None else {"convnet": LR})}
    for equal, names in evaluated(row, run.settings.seed, BASELINES):
        cells = []
        for network in networks:
            found = glad.evaluate(
                run, networks=[network], seeds=NETWORK_SEEDS[network], split=split, epochs=epochs(run, equal),
                root=root, equal=equal, baselines=[kind for kind in names if kind != "set"],  # type: ignore[misc]
                learning_rate=rates, network_options={"convnet": WIDTH, **OTHERS},
            )  # fmt: skip
            cells += found["cells"]
        for name, accuracy, stored in measured(found, cells, names, networks):
            yield name, {"accuracy": accuracy, "bytes": round(stored["per_class"]), "weights": stored["weights"]}


def update(results: Results, row: str, seed: int, run: glad.Run, found: Iterable[tuple[str, Found]]) -> None:
    """Add what was ``found`` of a row and its baselines; networks that were there stay."""
    for name, one in found:
        known = results.setdefault(name, {}).setdefault(str(seed), {"accuracy": {}})
        known |= {**one, "accuracy": known["accuracy"] | one["accuracy"]}
        click.echo(f"{name}, seed {seed}: " + ", ".join(f"{n} {spread(v)}" for n, v in one["accuracy"].items()))
    results[row][str(seed)]["images"] = images_per_class(run)


def cells(results: Results) -> Iterator[list[str]]:
    """The lines of the table: accuracies are mean and deviation over all trainings, on sets of all seeds."""
    for row in (*ROWS, *shown(BASELINES)):
        sets = list(results.get(row, {}).values())
        if not sets:
            continue
        images = f"{sets[0]['images']:g}" if "images" in sets[0] else ""
        stored = [f"{sets[0][of]:,}" for of in ("bytes", "weights")]
        yield [row, images, *stored, str(len(sets)), *accuracy_cells(sets, NETWORKS, OTHERS)]


@click.command(cls=OneLineCommand)
@click.option("--root", default="data", show_default=True, help="Where FashionMNIST lies.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/budget"), show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows.")
@click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS, show_default=True, help="Of distillations.")
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Only these.")
@click.option("--budget", type=click.Choice(["1", "10"]), default="1", show_default=True, help="Images per class.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--table", "printed", is_flag=True, help="Print the results of a folder, or of a file of results.")
def main(
    root: str,
    out: Path,
    rows: tuple[str, ...],
    seeds: tuple[int, ...],
    networks: tuple[str, ...],
    budget: str,
    split: str,
    printed: bool,
) -> None:
    """Distill and evaluate, objective by objective and seed by seed, and print the table."""
    path = results_path(out, f"budget-{budget}-{split}.json", printed)
    of = of_call(Path(__file__).stem, printed, budget=int(budget), split=split)
    order, wanted = list(OBJECTIVES), networks or NETWORKS
    made = () if printed else product(rows or ROWS, seeds)
    for row, seed in sorted(made, key=lambda key: (order.index(key[0].split(", ")[0]), key[1])):
        known = read_results(path, of).get(row, {}).get(str(seed), {"accuracy": {}})["accuracy"]
        if not set(wanted) <= set(known):
            run = distill(row, seed, float(budget), root, out)
            found = list(evaluate(row, run, wanted, split, root))
            with results_to_change(path, of) as results:
                update(results, row, seed, run, found)
    asked = (said("seeds", seeds) or (), networks) if printed else ((), ())
    lines = lines_to_show(
        path, of, lambda found: cells(choose(found, *asked)), with_beside(rows, BASELINES) if printed else ()
    )
    show(table_of(("set", *STORED, "sets", *NETWORKS, "cross-architecture"), lines), 200)


if __name__ == "__main__":
    main()
