"""``glad experts``."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from glad.cli.options import CONFIG, Pairs, data_options, progress_bar
from glad.data.augment import ALL
from glad.experts import RECIPES, Recipe
from glad.experts.files import DTYPES
from glad.networks import NETWORKS
from glad.registry import read_option


def _recipe_help() -> str:
    """One line per recipe: its numbers."""
    lines = [
        f"  {name}: " + " ".join(f"{f.name}={getattr(recipe, f.name)}" for f in fields(recipe))
        for name, recipe in RECIPES.items()
    ]
    return "\b\n" + "\n".join(["Recipes, and what -o changes in them:", *lines])


def _changes(pairs: Mapping[str, str]) -> dict[str, Any]:
    """``-o`` options as fields of a recipe; ``ValueError`` naming those that there are."""
    kinds = {field.name: type(getattr(Recipe(), field.name)) for field in fields(Recipe)}
    for name in pairs:
        if name not in kinds:
            raise ValueError(f"a recipe has no {name!r}; it has {', '.join(kinds)}")
    return {name: read_option(f"recipe.{name}", value, kinds[name]) for name, value in pairs.items()}


def _pace(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


@click.group()
def experts() -> None:
    """Networks trained on the real data, whose paths the objectives mtt and ast follow."""


@experts.command(epilog=_recipe_help())
@CONFIG
@data_options
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder; continues there.")
@click.option("--count", default=10, help="How many experts.")
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="mtt", help="smooth is that of AST.")
@click.option(
    "-o", "--option", "changes", type=Pairs(), multiple=True, help="A number of the recipe, such as epochs=20."
)
@click.option("--network", type=click.Choice(list(NETWORKS)), default="convnet")
@click.option("--network-option", "network_options", type=Pairs(), multiple=True, help="Such as width=64.")
@click.option("--augmentation", default=ALL, help="DSA transforms joined by _, or none.")
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="float32", help="Of the stored checkpoints.")
@click.option("--seed", default=0)
@click.option("--device", default="auto")
@click.option("--dry-run", is_flag=True, help="Say what it takes, and stop.")
def train(
    data: str, out: Path, changes: list[tuple[str, str]], network_options: list[tuple[str, str]],
    classes: tuple[str, ...], dry_run: bool, **settings: Any,
) -> None:  # fmt: skip
    """Train experts and store their parameters after every epoch.

    Interrupted, the same command continues with the last epoch; experts that are there are not trained again.
    """
    from glad.data.splits import load_data
    from glad.experts.folder import plan, train_plan

    source = {name: settings.pop(name) for name in ("root", "limit", "resolution", "zca")}
    splits = load_data(data, classes=list(classes) or None, **source)
    options = {name: read_option(name, value, str if name == "norm" else int) for name, value in network_options}
    planned = plan(splits, out, recipe_options=_changes(dict(changes)), network_options=options, **settings)
    epochs = planned.recipe.epochs
    click.echo(
        f"{planned.count} experts, {epochs} epochs of {len(splits.train):,} images: "
        f"{planned.bytes() / 2**20:,.0f} MiB and about {_pace(planned.seconds())}"
    )
    if dry_run:
        return
    with progress_bar(planned.count * epochs, "epoch") as bar:
        found = train_plan(
            planned,
            lambda number, epoch, known: bar.advance(
                number * epochs + epoch, f"expert {number}: {100 * known:.1f} % of the validation images"
            ),
        )
    last = [expert.accuracy[-1] for expert in found.experts]
    click.echo(f"{len(last)} experts in {out}, {100 * min(last):.1f} to {100 * max(last):.1f} % at their end.")
    click.echo(f"Look at their paths with `glad experts inspect {out}`, use them with `--experts {out}`.")


@experts.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write.  [default: paths.png in the first folder]",
)
def inspect(folders: tuple[Path, ...], out: Path | None) -> None:
    """Draw the experts' paths: accuracy, step lengths and turns by epoch, the FOLDERS side by side."""
    from rich.console import Console
    from rich.table import Table

    from glad.experts import Experts
    from glad.experts.trajectory_shape import draw, shape_of

    groups = {str(folder): [shape_of(expert) for expert in Experts(folder).experts] for folder in folders}
    table = Table()
    for heading in ("folder", "experts", "epochs", "accuracy in %", "mean step", "mean turn", "straightness"):
        table.add_column(heading, justify="left" if heading == "folder" else "right")
    for folder, shapes in groups.items():
        steps, turns = ([value for shape in shapes for value in getattr(shape, kind)] for kind in ("steps", "turns"))
        known = sum(shape.accuracy[-1] for shape in shapes) / len(shapes)
        straight = sum(shape.straightness for shape in shapes) / len(shapes)
        turn = f"{sum(turns) / len(turns):.1f}°" if turns else "-"
        epochs = max(len(shape.steps) for shape in shapes)
        row = (f"{100 * known:.1f}", f"{sum(steps) / len(steps):.3f}", turn, f"{straight:.3f}")
        table.add_row(folder, str(len(shapes)), str(epochs), *row)
    Console(width=None if Console().is_terminal else 140).print(table)
    picture = out or folders[0] / "paths.png"
    draw(groups).savefig(picture, dpi=110)
    click.echo(f"{picture}: a step is the distance between two epochs, a turn the angle between two steps.")
