"""What the commands share that make tables: checked options, what a call is of, and tables that fit the terminal."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from generators.official import sha256

Value = TypeVar("Value")
BEYOND = 10_000
"""A width in which every table has its cells in one line."""


def results_path(out: Path, name: str, shown: bool) -> Path:
    """The file of results: ``name`` in the folder ``out``, or ``out`` itself, which can only be ``shown``.

    Anything else is refused with ``click.ClickException``, before there is work that it would be lost for.
    """
    if out.suffix == ".json":
        if not shown:
            raise click.ClickException(f"{out} is a file of results, which --table shows: name a folder as --out")
        return out
    require_folder(out)
    return out / name


def require_folder(out: Path) -> None:
    """Raise ``click.ClickException`` where ``out`` cannot be a folder, or looks like a file of results."""
    if out.suffix == ".json" or (out.exists() and not out.is_dir()):
        raise click.ClickException(f"{out} is no folder: name one as --out")


def said(name: str, value: Value) -> Value | None:
    """The ``value`` of the parameter ``name`` of this call if the command line says it; None for a default."""
    source = click.get_current_context().get_parameter_source(name)
    return None if source is ParameterSource.DEFAULT else value


def of_call(script: str, shown: bool, **settings: Any) -> dict[str, Any]:
    """What the results of this call are of: the script and its ``settings``, by the names of their parameters.

    Where results are only ``shown``, what the command line says: a default asks nothing of them.
    """
    return {"script": script, **{k: v for k, v in settings.items() if not shown or said(k, v) is not None}}


def name_of(source: str) -> str:
    """Data or weights as a file of results names them: a file by its name and hash, a folder by its name."""
    path = Path(source)
    if path.is_file():
        return f"{path.name} {sha256(path)[:12]}"
    return path.resolve().name if path.is_dir() else source


def positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """A finite number above 0, if there is one."""
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"{value:g} is not a finite number above 0", ctx, param)
    return value


def picture_path(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """A PNG in a folder that there is, if there is one."""
    if value is not None and value.suffix.lower() != ".png":
        raise click.BadParameter(f"{value} does not end in .png", ctx, param)
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"there is no folder {value.parent}", ctx, param)
    return value


def show(table: Table, width: int) -> None:
    """Print a table; on a terminal that is narrower a block for each row, elsewhere in ``width`` columns."""
    console = Console()
    if not console.is_terminal:
        Console(width=width).print(table)
    elif console.measure(table, options=console.options.update(max_width=BEYOND)).maximum <= console.width:
        console.print(table)
    else:
        for line in blocks(table):
            click.echo(line)


def blocks(table: Table) -> Iterator[str]:
    """The title of a table, then of each row the name and below it its other cells, ``column: value``, if not empty."""
    if table.title:
        yield str(table.title)
    heads = [str(column.header) for column in table.columns]
    for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
        yield from ("", str(name))
        yield from (f"  {head}: {cell}" for head, cell in zip(heads[1:], cells, strict=True) if str(cell))
    if table.caption:
        yield from ("", str(table.caption))
