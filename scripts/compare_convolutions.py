"""Do Winograd's convolutions change what sets are worth? DM, DC and MTT with ``conv`` auto and direct.

The embedded images, 1 image per class as pixels, ConvNet-3 of width 64. A set and its networks are computed with the
same convolutions, both kinds from the same seeds; MTT follows the same experts. Accuracy is that on the validation
images. Runs and trainings resume where they were cut.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/compare_convolutions.py --out runs/convolutions
"""

import statistics
from itertools import product
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table

import glad

WIDTH = {"width": 64}
EPOCHS, NETWORK_SEEDS = 150, 2
OBJECTIVES: dict[str, dict[str, Any]] = {
    "dm": {"iterations": 40, "objective_options": {"batch": 48}},
    "dc": {"iterations": 20, "objective_options": {"batch": 48}},
    "mtt": {"iterations": 20, "objective_options": {"syn_steps": 10, "expert_epochs": 2, "max_start_epoch": 3}},
}
Kind = Literal["auto", "direct"]
KINDS: tuple[Kind, ...] = ("auto", "direct")


def experts(out: Path) -> Path:
    """The folder of the experts; trains what is not there."""
    folder = out / "experts"
    glad.train_experts(
        "fashion-mini", folder, count=1, recipe="mtt", recipe_options={"epochs": 5}, network_options=WIDTH
    )
    return folder


def accuracies(objective: str, conv: Kind, seed: int, out: Path) -> list[float]:
    """The accuracy in % of every network that is trained on a set."""
    settings = OBJECTIVES[objective] | ({"experts": experts(out)} if objective == "mtt" else {})
    run = glad.distill(
        objective=objective, prior="pixels", prior_options={"init": "real"}, network_options=WIDTH, conv=conv,
        seed=seed, out=out / f"{objective}-{conv}-{seed}", **settings,
    )  # fmt: skip
    found = glad.evaluate(
        run, networks=["convnet"], seeds=NETWORK_SEEDS, epochs=EPOCHS, baselines=[], split="validation", conv=conv,
        learning_rate=1e-2, network_options={"convnet": WIDTH},
    )  # fmt: skip
    return [100 * cell["accuracy"] for cell in found["cells"]]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/convolutions"), show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Sets of each kind.")
def main(out: Path, seeds: int) -> None:
    """Distill and evaluate by both kinds, and print the accuracies and their differences."""
    shown = Table("objective", *KINDS, "auto less direct, by set", "deviation of direct over sets")
    for objective in OBJECTIVES:
        means: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for seed, kind in product(range(seeds), KINDS):
            means[kind].append(statistics.mean(accuracies(objective, kind, seed, out)))
            click.echo(f"{objective}, {kind}, seed {seed}: {means[kind][-1]:.2f} %")
        apart = [one - other for one, other in zip(means["auto"], means["direct"], strict=True)]
        shown.add_row(
            objective,
            *(f"{statistics.mean(means[kind]):.1f}" for kind in KINDS),
            ", ".join(f"{difference:+.1f}" for difference in apart),
            f"{statistics.stdev(means['direct']):.1f}" if seeds > 1 else "",
        )
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
