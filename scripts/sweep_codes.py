"""Which layer, learning rates and start suit codes of the embedded generator, by objective: a small sweep.

Every combination distills one image per class, of FashionMNIST's first 10,000 training images, and networks trained on
the result are compared on its validation images; no test image is seen. Finished combinations are kept.

    THP_MEM_ALLOC_ENABLE=1 python scripts/sweep_codes.py dm --layer none --layer 2 --rate 0.03 --rate 0.1
    THP_MEM_ALLOC_ENABLE=1 python scripts/sweep_codes.py mtt --experts runs/experts --rate 1 --rate 10
"""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from reproduce_objectives import BATCH, EXPERT_IMAGES, FOLLOWED
from reproduce_results import LR, NARROW
from rich.console import Console
from rich.table import Table

import glad
from glad.data.dataset import Splits
from glad.data.splits import load_data
from glad.distillation import DistillationError
from glad.evaluation import rows_of
from glad.objectives import OBJECTIVES
from glad.registry import options_of

NETWORKS = ("convnet", "vgg11")  # the one distilled with, and an unseen one that learns quickly
TESTED = 2000  # validation images


def settings(objective: str, layer: str, rate: float, start: str, experts: Path | None) -> dict[str, Any]:
    """What distinguishes a combination; with a layer the rate is f's, and w's a thirtieth of it."""
    found: dict[str, Any] = {"objective": objective, "initialization": start, "experts": experts}
    known = options_of(OBJECTIVES[objective]).keys()
    found["objective_options"] = FOLLOWED if objective == "ast" else BATCH if BATCH.keys() <= known else {}
    if layer == "none":
        return {**found, "learning_rate": {"w": rate}}
    return {**found, "prior_options": {"layer": int(layer)}, "learning_rate": {"w": rate / 30, "f": rate}}


def accuracies(
    name: str, chosen: dict[str, Any], sizes: dict[str, int], splits: Splits, out: Path
) -> dict[str, Any] | str:
    """The summary of a combination's set and of the codes that it started from, or why there is none."""
    try:
        run = glad.distill(
            splits, iterations=sizes["iterations"], grid_every=sizes["iterations"], out=out / name, **chosen
        )
    except DistillationError as error:
        return str(error).split(":")[1].strip()
    results = glad.evaluate(
        run,
        networks=NETWORKS,
        seeds=sizes["seeds"],
        epochs=sizes["epochs"],
        learning_rate=dict.fromkeys(
            NETWORKS[1:], LR
        ),  # ConvNet takes the step size that came with the set, else 1e-2 too
        network_options=NARROW,
        baselines=["before"],
        split="validation",
        data=splits,
    )
    rows = {row.kind: row.id for row in rows_of(results).values()}
    return {"after": results["summary"][rows["set"]], "before": results["summary"][rows["before"]]}


def shown(entry: dict[str, Any] | None) -> str:
    """Mean and deviation in %."""
    if entry is None:
        return "-"
    return f"{100 * entry['mean']:.1f}" + ("" if entry["std"] is None else f" ± {100 * entry['std']:.1f}")


@click.command(context_settings={"show_default": True})
@click.argument("objective", type=click.Choice(list(OBJECTIVES)))
@click.option("--layer", "layers", multiple=True, default=["none"], help="none is W+.")
@click.option("--rate", "rates", multiple=True, type=float, required=True, help="Of w; with a layer, of f.")
@click.option("--start", "starts", multiple=True, default=["prior"], type=click.Choice(["prior", "representative"]))
@click.option("--experts", type=click.Path(path_type=Path), help="Folder, for mtt, ast and representative starts.")
@click.option("--root", default="data", help="Where FashionMNIST lies.")
@click.option("--iterations", default=60)
@click.option("--epochs", default=200)
@click.option("--seeds", default=2)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/sweep"))
def main(
    objective: str,
    layers: tuple[str, ...],
    rates: tuple[float, ...],
    starts: tuple[str, ...],
    experts: Path | None,
    root: str,
    out: Path,
    **sizes: int,
) -> None:
    """Distill and evaluate every combination of layers, rates and starts, and print validation accuracies."""
    loaded = load_data("fashionmnist", root=root, limit=EXPERT_IMAGES)
    splits = replace(loaded, validation=loaded.validation.select(torch.arange(TESTED)))
    title = ", ".join(f"{value} {name}" for name, value in sizes.items())
    table = Table(
        "layer", "rate", "start", *(f"{network} {when}" for when in ("before", "after") for network in NETWORKS)
    )
    for layer, rate, start in product(layers, rates, starts):
        chosen = settings(objective, layer, rate, start, experts)
        name = f"{objective}-{layer}-{rate:g}-{start}-{sizes['iterations']}"
        found = accuracies(name, chosen, sizes, splits, out)
        if isinstance(found, str):
            cells = [found]
        else:
            cells = [shown(found[when]["networks"][network]) for when in ("before", "after") for network in NETWORKS]
        table.add_row(layer, f"{rate:g}", start, *cells)
        click.echo(f"{name}: {', '.join(cells)}")
    table.title = f"{objective}, {title}: validation accuracy in %"
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
