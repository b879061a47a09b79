"""``glad experts``."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from glad.cli.options import CONFIG, progress_bar
from glad.cli.settings import from_options, settings_options
from glad.settings.experts import RECIPES, ExpertSettings


def _recipe_help() -> str:
    """One line per recipe: its numbers."""
    lines = [
        f"  {name}: " + " ".join(f"{f.name}={getattr(recipe, f.name)}" for f in fields(recipe))
        for name, recipe in RECIPES.items()
    ]
    return "\b\n" + "\n".join(["Recipes, and what -o changes in them:", *lines])


def _pace(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


@click.group()
def experts() -> None:
    """Train networks whose trajectories mtt and ast follow."""


@experts.command(epilog=_recipe_help())
@CONFIG
@settings_options(ExpertSettings)
@click.option("--dry-run", is_flag=True, help="Say what it takes, and stop.")
def train(dry_run: bool, **options: Any) -> None:
    """Train experts and store their parameters after every epoch.

    Interrupted, the same command continues with the last epoch; experts that are there are not trained again.
    """
    settings = from_options(ExpertSettings, options)
    from glad.data.splits import open_data
    from glad.experts.folder import plan, train_plan

    splits = open_data(settings)
    planned = plan(splits, settings)
    epochs = planned.recipe.epochs
    click.echo(
        f"{planned.count} experts, {epochs} epochs of {len(splits.train):,} images: "
        f"{planned.bytes() / 2**20:,.0f} MiB and about {_pace(planned.seconds())}"
    )
    if dry_run:
        return
    done = {number: epochs for number in range(planned.count) if planned.path(number).exists()}
    with progress_bar(planned.count * epochs, "epoch") as bar:

        def on_epoch(number: int, epoch: int, accuracy: float) -> None:
            done[number] = epoch
            bar.advance(sum(done.values()), f"expert {number}: validation accuracy {100 * accuracy:.1f} %")

        found = train_plan(planned, on_epoch, settings)
    last = [expert.accuracy[-1] for expert in found.experts]
    click.echo(
        f"{len(last)} experts in {settings.out}, {100 * min(last):.1f} to {100 * max(last):.1f} % validation accuracy "
        "after the last epoch."
    )
    click.echo(
        f"Look at their trajectories with `glad experts inspect {settings.out}`, use them with `--experts "
        f"{settings.out}`."
    )


@experts.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write.  [default: paths.png in the first folder]",
)
def inspect(folders: tuple[Path, ...], out: Path | None) -> None:
    """Draw the experts' trajectories: accuracy, step lengths and turns by epoch, the FOLDERS side by side."""
    from rich.console import Console
    from rich.table import Table

    from glad.experts import Experts
    from glad.experts.trajectory_shape import draw, shape_of
    from glad.runs.image_grid import save_figure

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
    save_figure(draw(groups), picture)
    click.echo(f"{picture}: a step is the distance between two epochs, a turn the angle between two steps.")
