"""``glad presets``."""

import shlex
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from glad.cli.distill import distill
from glad.cli.experts import train
from glad.cli.options import say_note
from glad.presets import IterationCost, Preset, all_presets, goes_by_ipc, leaves, load
from glad.settings.fields import as_words

UNMEASURED = "not measured"
PLAIN_WIDTH = 160  # of a table that goes to a file


def _require_images(ctx: click.Context, param: click.Parameter, ipc: int | None) -> int | None:
    """Refuse what `glad distill` refuses."""
    if ipc is not None and ipc < 1:
        raise ValueError(f"ipc must be at least 1, not {ipc}")
    return ipc


HELD_OUT = (
    "Unlike what was published, a tenth of the training images is held out for validation: an epoch of CIFAR-10 has "
    "45,000 images in place of 50,000, and ZCA is fitted to these."
)
"""Of every preset: nothing is chosen by test images, so validation images are needed."""

IPC = click.option(
    "--ipc", type=int, callback=_require_images, help="Synthetic images per class.  [default: the preset's first]"
)


@click.group(invoke_without_command=True)
@IPC
@click.pass_context
def presets(ctx: click.Context, ipc: int | None) -> None:
    """List published settings for `glad distill --preset NAME`.

    With what they take, from one measured iteration.
    """
    if ctx.invoked_subcommand is None:
        _list(ipc)
    elif ipc is not None:
        ctx.default_map = {ctx.invoked_subcommand: {"ipc": ipc}}


@presets.command("list")
@IPC
def list_them(ipc: int | None) -> None:
    """List the presets, with what they take."""
    _list(ipc)


def _list(ipc: int | None) -> None:
    """Print a row per preset."""
    table = Table()
    for heading in ("preset", "objective", "data", "px", "ipc", "prior", "iterations", "s/iteration", "hours", "GiB"):
        table.add_column(heading, justify="left" if heading in ("preset", "objective", "data", "prior") else "right")
    for preset in all_presets().values():
        settings = preset.settings(ipc)
        cost = preset.cost(settings["ipc"])
        shown = [settings[name] for name in ("ipc", "prior", "iterations")]
        row = [preset.name, settings["objective"], preset.data, preset.images()[1], *shown]
        table.add_row(*map(str, row), *_cells(cost, settings["iterations"]))
    _print(table)
    if ipc is not None and any(preset.remark(ipc) for preset in all_presets().values()):
        click.echo(f"Note: presets without settings for {ipc} images per class take those of others", err=True)
    click.echo("`glad presets show NAME` shows where the numbers are from, and what to run.")


@presets.command()
@click.argument("name")
@IPC
@click.pass_context
def show(ctx: click.Context, name: str, ipc: int | None) -> None:
    """Show the settings of the preset NAME, where each is from, what it takes, and the commands."""
    preset = load(name)
    settings = preset.settings(ipc)
    say_note(ctx, preset.remark(settings["ipc"]))
    click.echo(f"{name}: {preset.title}. Published for {_join(preset.ipc)} images per class.")
    table = Table("option", "value", "source")
    given = {**leaves(settings), **{f"experts.{key}": value for key, value in preset.experts.items()}}
    for option, value in given.items():
        table.add_row(option, str(value), preset.source(option, settings["ipc"]))
    _print(table)
    if preset.unrecorded:
        click.echo(f"At glad's own default, since what was published is not recorded: {_join(preset.unrecorded)}.")
    if preset.note:
        click.echo(f"Note: {preset.note}.")
    click.echo(HELD_OUT)
    if preset.needs:
        click.echo(f"Needs {preset.needs} as a safetensors file: {settings['prior']} here, or --prior FILE.")
    click.echo(f"Takes: {_sentence(preset.cost(settings['ipc']), settings['iterations'])}.\n")
    for command in commands(preset, ipc):
        click.echo(f"  {command}")


def commands(preset: Preset, ipc: int | None) -> list[str]:
    """What to run, in order: experts that share the run's data and network, where it needs any; then the run."""
    run = ["glad", "distill", "--preset", preset.name, *([] if ipc is None else ["--ipc", str(ipc)])]
    if not preset.experts:
        return [shlex.join(run)]
    shared = {param.name for param in train.params} & {param.name for param in distill.params}
    settings = {name: value for name, value in preset.settings(ipc).items() if name in shared}
    folder = "-".join([f"experts/{preset.name}", *_words_of_experts(preset, settings)])
    first = ["glad", "experts", "train", *_options(train, {**settings, **preset.experts}), "--out", folder]
    return [shlex.join(first), shlex.join([*run, "--experts", folder])]


def _words_of_experts(preset: Preset, settings: Mapping[str, Any]) -> list[str]:
    """What tells a preset's experts apart that differ by images per class: ``zca`` for those with it."""
    chosen = {name: value for name, value in settings.items() if goes_by_ipc(preset.distill.get(name))}
    return [name if value is True else f"{name}-{value}" for name, value in chosen.items() if value is not False]


def _options(command: click.Command, settings: Mapping[str, Any]) -> list[str]:
    """Settings as ``command`` takes them; those that are False are left out."""
    flags = {param.name: param.opts[-1] for param in command.params}
    return [word for name, value in settings.items() if value is not False for word in as_words(flags[name], value)]


def _cells(cost: IterationCost | None, iterations: int) -> list[str]:
    """Seconds per iteration, hours in all, GiB."""
    if cost is None:
        return [UNMEASURED, "", ""]
    return [f"{cost.seconds:.3g}", f"{cost.seconds * iterations / 3600:.3g}", f"{cost.gib:.1f}"]


def _sentence(cost: IterationCost | None, iterations: int) -> str:
    if cost is None:
        return UNMEASURED
    seconds, hours, gib = _cells(cost, iterations)
    return (
        f"{seconds} s an iteration, {hours} hours for {iterations:,}, {gib} GiB ({cost.machine}; by `{cost.command}`)"
    )


def _join(values: Any) -> str:
    return ", ".join(map(str, values))


def _print(table: Table) -> None:
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table)
