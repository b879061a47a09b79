"""``glad recipes``."""

import shlex
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from glad.cli.distill import distill
from glad.cli.experts import train
from glad.presets import Cost, Recipe, known, leaves, load

UNMEASURED = "not measured"
PLAIN_WIDTH = 160  # of a table that goes to a file

IPC = click.option("--ipc", type=int, help="Synthetic images per class.  [default: the recipe's first]")


@click.group(invoke_without_command=True)
@IPC
@click.pass_context
def recipes(ctx: click.Context, ipc: int | None) -> None:
    """Published settings for `glad distill --recipe NAME`, with what they take: from one measured iteration."""
    if ctx.invoked_subcommand:
        return
    table = Table()
    for heading in ("recipe", "objective", "data", "px", "ipc", "prior", "iterations", "s/iteration", "hours", "GiB"):
        table.add_column(heading, justify="left" if heading in ("recipe", "objective", "data", "prior") else "right")
    for recipe in known().values():
        settings = recipe.settings(ipc)
        cost = recipe.cost(settings["ipc"])
        shown = [settings[name] for name in ("ipc", "prior", "iterations")]
        row = [recipe.name, settings["objective"], recipe.data, recipe.images()[1], *shown]
        table.add_row(*map(str, row), *_cells(cost, settings["iterations"]))
    _print(table)
    click.echo("`glad recipes show NAME` tells where the numbers are from, and what to run.")


@recipes.command()
@click.argument("name")
@IPC
def show(name: str, ipc: int | None) -> None:
    """The settings of the recipe NAME, where each is from, what it takes, and the commands."""
    recipe = load(name)
    settings = recipe.settings(ipc)
    click.echo(f"{name}: {recipe.title}. Published for {_listed(recipe.ipc)} images per class.")
    table = Table("option", "value", "source")
    given = {**leaves(settings), **{f"experts.{key}": value for key, value in recipe.experts.items()}}
    for option, value in given.items():
        table.add_row(option, str(value), recipe.source(option))
    _print(table)
    if recipe.unrecorded:
        click.echo(f"At glad's own default, since what was published is not recorded: {_listed(recipe.unrecorded)}.")
    if recipe.note:
        click.echo(f"Note: {recipe.note}.")
    if recipe.needs:
        click.echo(f"Needs {recipe.needs} as a safetensors file: {settings['prior']} here, or --prior FILE.")
    click.echo(f"Takes: {_sentence(recipe.cost(settings['ipc']), settings['iterations'])}.\n")
    for command in commands(recipe, ipc):
        click.echo(f"  {command}")


def commands(recipe: Recipe, ipc: int | None) -> list[str]:
    """What to run, in order: experts that share the run's data and network, where it needs any; then the run."""
    run = ["glad", "distill", "--recipe", recipe.name, *([] if ipc is None else ["--ipc", str(ipc)])]
    if not recipe.experts:
        return [shlex.join(run)]
    shared = {param.name for param in train.params} & {param.name for param in distill.params}
    settings = {name: value for name, value in recipe.settings(ipc).items() if name in shared}
    folder = ["--out", f"experts/{recipe.name}"]
    first = ["glad", "experts", "train", *_options(train, {**settings, **recipe.experts}), *folder]
    return [shlex.join(first), shlex.join([*run, "--experts", folder[1]])]


def _options(command: click.Command, settings: Mapping[str, Any]) -> list[str]:
    """Settings as ``command`` takes them; those that are False are left out."""
    flags = {param.name: param.opts[-1] for param in command.params}
    return [
        word
        for name, value in settings.items()
        if value is not False
        for word in ([flags[name]] if value is True else [flags[name], str(value)])
    ]


def _cells(cost: Cost | None, iterations: int) -> list[str]:
    """Seconds per iteration, hours in all, GiB."""
    if cost is None:
        return [UNMEASURED, "", ""]
    return [f"{cost.seconds:.3g}", f"{cost.seconds * iterations / 3600:.3g}", f"{cost.gib:.1f}"]


def _sentence(cost: Cost | None, iterations: int) -> str:
    if cost is None:
        return UNMEASURED
    seconds, hours, gib = _cells(cost, iterations)
    return (
        f"{seconds} s an iteration, {hours} hours for {iterations:,}, {gib} GiB ({cost.machine}; by `{cost.command}`)"
    )


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))


def _print(table: Table) -> None:
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table)
