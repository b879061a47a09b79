"""Where do codes win in color? The table "Photographs" of docs/RESULTS.md: embedded photographs, embedded generator.

``clothing-mini`` at 32 pixels. Classes are unequal, and so accuracy is macro accuracy, the mean of the classes' own.
At equal images, 1 per class: pixels from noise (as GLaD's baseline) and from real images against codes in W+ and F_n;
at equal numbers: codes in W, IDC and FreD. Learning rates were chosen on validation images (``--split validation
--times 3`` tries three times a row's rates); networks are tested on test images. Runs, experts and trainings resume
where they were cut; finished ones are skipped: the table grows over many calls.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_photographs.py --out runs/photographs
    python scripts/reproduce_photographs.py --out docs/results/photographs.json --table
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click
from reproduce_budget import LR, epochs, update
from results_files import accuracy_cells, read_results, results_to_change, results_to_show, table_of
from rich.console import Console
from rich.table import Table

import glad
from glad.runs.image_grid import eight_bit, save_png, sheet

DATA: dict[str, Any] = {"data": "clothing-mini", "resolution": 32}
PRIOR = "clothing-mini"
WIDTH = {"width": 64}
OTHERS = {"alexnet": {"width": 16}, "vgg11": {"width": 8}, "resnet18": {"width": 8}}
"""A ViT learns nothing from ten photographs in 300 steps (8 %, where chance is 10)."""
NETWORKS = ("convnet", *OTHERS)
SEEDS, NETWORK_SEEDS = (0, 1, 2), 3
EXPERTS = {"count": 3, "epochs": 30}
MATCHED = {"syn_steps": 20, "expert_epochs": 5, "max_start_epoch": 10, "step_size": 2e-3}
"""What MTT and AST match: an epoch has six steps, and at the usual 1e-2 a student of noise goes five times too far."""
OBJECTIVES: dict[str, dict[str, Any]] = {
    "DM": {"objective": "dm", "iterations": 200},
    "MTT": {"objective": "mtt", "iterations": 100, "objective_options": MATCHED},
    "AST": {"objective": "ast", "iterations": 100, "objective_options": MATCHED},
}
ONE, EQUAL = {"ipc": 1}, {"budget": 1.0}
PRIORS: dict[str, dict[str, Any]] = {
    "pixels from noise": {"prior": "pixels", "prior_options": {"init": "noise"}, **ONE},
    "pixels from real images": {"prior": "pixels", "prior_options": {"init": "real"}, **ONE},
    "codes W+": {"prior": PRIOR, **ONE},
    "codes F_2": {"prior": PRIOR, "prior_options": {"layer": 2}, **ONE},
    "codes W, equal numbers": {"prior": PRIOR, "prior_options": {"space": "w"}, **EQUAL},
    "IDC, equal numbers": {"prior": "idc", **EQUAL},
    "FreD, equal numbers": {"prior": "fred", **EQUAL},
}
ROWS = {f"{how}, {what}": OBJECTIVES[how] | PRIORS[what] for how, what in product(OBJECTIVES, PRIORS)}
"""What each row is, in words, and its settings."""
RATES: dict[str, dict[str, float]] = {
    "DM": {"pixels": 1.0, "w": 0.03, "f": 1.0, "coefficients": 10.0},
    "MTT": {"pixels": 1e3, "w": 3.0, "f": 100.0, "coefficients": 2.4e4},
    "AST": {"pixels": 333.0, "w": 1.0, "f": 33.0, "coefficients": 8e3},
}
"""Of each kind of latent; ``TIMES`` them are taken."""
STEP_RATE = {"step_size": 1e-6}
"""Of the step size of a student of MTT and AST."""
LATENTS = {
    "codes": ("w",),
    "codes F_2": ("w", "f"),
    "FreD": ("coefficients",),
    "pixels": ("pixels",),
    "IDC": ("pixels",),
}
TIMES = {
    **dict.fromkeys(("DM, pixels from real images", "DM, codes W+"), 0.3),
    **dict.fromkeys(("MTT, codes W+", "AST, codes W+"), 3.0),
}
"""By row, chosen on validation images; 1 of the others. AST's is MTT's: at a third its sum of losses moves as far."""
BASELINES: dict[str, dict[str, str]] = {
    "DM, pixels from real images": {"random": "random real images", "kmeans": "real images nearest to k-means centers"},
    "DM, codes W+": {"before": "codes W+ before optimization"},
    "DM, codes W, equal numbers": {"before": "codes W before optimization, equal numbers"},
}
"""What is evaluated beside a row, and its own row of the table."""
SHOWN = [*ROWS, *(name for names in BASELINES.values() for name in names.values())]
Results = dict[str, dict[str, dict[str, Any]]]
"""By row and distillation seed: macro ``accuracy`` in % by network, ``bytes`` and ``images`` per class."""


def experts(out: Path) -> Path:
    """The folder of the experts, which MTT and AST follow; trains what is not there."""
    folder = out / "experts"
    glad.train_experts(
        DATA["data"], folder, resolution=DATA["resolution"], count=EXPERTS["count"], recipe="mtt",
        recipe_options={"epochs": EXPERTS["epochs"]}, network_options=WIDTH,
    )  # fmt: skip
    return folder


def folder(row: str, seed: int, times: float | None, out: Path) -> Path:
    """Where the run of a row lies."""
    times = TIMES.get(row, 1.0) if times is None else times
    return out / f"{row.replace(', ', '-').replace(' ', '-')}-x{times:g}-{seed}"


def distill(row: str, seed: int, times: float | None, out: Path) -> glad.Run:
    """The run of a row and a seed, at so many times its learning rates; as many as were chosen if None."""
    times = TIMES.get(row, 1.0) if times is None else times
    settings = DATA | ROWS[row]
    if settings["objective"] != "dm":
        settings["experts"] = experts(out)
    how, what = row.split(", ", 1)
    kind = max((of for of in LATENTS if what.startswith(of)), key=len)
    settings["learning_rate"] = {name: times * RATES[how][name] for name in LATENTS[kind]}
    settings["learning_rate"] |= STEP_RATE if "experts" in settings else {}
    return glad.distill(
        seed=seed, network_options=WIDTH, grid_every=settings["iterations"], chunk=1000,
        out=folder(row, seed, times, out), **settings,
    )  # fmt: skip


def evaluate(row: str, run: glad.Run, networks: Sequence[str], split: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The row and the baselines beside it: by network the accuracy in % of every seed, and the bytes per class.

    Random images and those of k-means are the same beside every set, so they go with the first set alone.
    """
    rates = {**dict.fromkeys(OTHERS, LR), **({} if run.step_size is not None else {"convnet": LR})}
    beside = {k: n for k, n in BASELINES.get(row, {}).items() if run.settings.seed == SEEDS[0] or k == "before"}
    found = glad.evaluate(
        run, networks=networks, seeds=NETWORK_SEEDS, baselines=list(beside), split=split,  # type: ignore[arg-type]
        epochs=epochs(run), learning_rate=rates, network_options={"convnet": WIDTH, **OTHERS},
    )  # fmt: skip
    for kind, name in {"set": row, **beside}.items():
        row_id = next(one["id"] for one in found["rows"] if one["kind"] == kind)
        accuracy: dict[str, list[float]] = {}
        for cell in found["cells"]:
            if cell["row"] == row_id and cell["network"] in networks:
                accuracy.setdefault(cell["network"], []).append(round(100 * cell["macro_accuracy"], 2))
        yield name, {"accuracy": accuracy, "bytes": round(found["stored"][row_id]["per_class"])}


def cells(results: Results) -> Iterator[list[str]]:
    """The lines of the table: mean and deviation over all trainings, on sets of all seeds."""
    for row in SHOWN:
        if sets := list(results.get(row, {}).values()):
            images = f"{sets[0]['images']:g}" if "images" in sets[0] else ""
            about = [images, f"{sets[0]['bytes']:,}", str(len(sets))]
            yield [row, *about, *accuracy_cells(sets, NETWORKS, OTHERS)]


def table(results: Results) -> Table:
    """What is in the results, with a line per row."""
    columns = ("set", "images per class", "bytes per class", "sets", *NETWORKS, "cross-architecture")
    return table_of(columns, cells(results))


def picture(out: Path, path: Path) -> None:
    """Draw the first set of each finished row with one image per class, one below the other."""
    source, rest = DATA["data"], {name: value for name, value in DATA.items() if name != "data"}
    data, rows = glad.load_data(source, **rest).train, []
    for row in (row for row in ROWS if ROWS[row].get("ipc") == 1):
        run = glad.Run(folder(row, SEEDS[0], None, out))
        if (run.path / "synset.safetensors").exists():
            rows.append((row.replace("from real images", "from real"), eight_bit(data.pixels(run.read_set()[0]))))
    save_png(sheet(rows), path)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/photographs"), show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows.")
@click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS, show_default=True, help="Of distillations.")
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Only these.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--times", type=float, help="Try so many times the learning rates.")
@click.option("--picture", "drawn", type=click.Path(path_type=Path), help="Draw the first sets into this PNG.")
@click.option("--table", "shown", is_flag=True, help="Print the results of a folder, or of a file of results.")
def main(
    out: Path,
    rows: tuple[str, ...],
    seeds: tuple[int, ...],
    networks: tuple[str, ...],
    split: str,
    times: float | None,
    drawn: Path | None,
    shown: bool,
) -> None:
    """Distill and evaluate, row by row and seed by seed, and print the table."""
    path = (
        out if out.suffix == ".json" else out / f"photographs-{split}{f'-x{times:g}' if times is not None else ''}.json"
    )
    for row, seed in () if shown else product(rows or ROWS, seeds):
        known = read_results(path).get(row, {}).get(str(seed), {"accuracy": {}})["accuracy"]
        if wanted := [name for name in networks or NETWORKS if name not in known]:
            run = distill(row, seed, times, out)
            found = list(evaluate(row, run, wanted, split))
            with results_to_change(path) as results:
                update(results, row, seed, run, found)
    if drawn is not None:
        picture(out, drawn)
    Console(width=200).print(table(results_to_show(path)))


if __name__ == "__main__":
    main()
