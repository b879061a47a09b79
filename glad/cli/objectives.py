"""``glad objectives``."""

import inspect
from typing import Any, get_type_hints

import click

from glad.objectives import OBJECTIVES
from glad.registry import options_of


@click.group()
def objectives() -> None:
    """What a synthetic set can be optimised for."""


@objectives.command("list")
def list_them() -> None:
    """One line for each objective that glad has; your own are module:Class."""
    for name, factory in OBJECTIVES.items():
        click.echo(f"{name:10}{_first_line(factory)}")


@objectives.command()
@click.argument("name")
def show(name: str) -> None:
    """What the objective NAME (or module:Class) computes, its options (--set) and its learning rates."""
    factory = OBJECTIVES.find(name)
    module = inspect.getmodule(factory)
    for text in (inspect.getdoc(module), inspect.getdoc(factory)):
        if text:
            click.echo(text + "\n")
    hints = get_type_hints(getattr(factory, "__init__", factory))
    click.echo("Options (--set NAME=VALUE):")
    for option, parameter in options_of(factory).items():
        default = "needed" if parameter.default is parameter.empty else f"default {parameter.default}"
        click.echo(f"  {option:18}{_type_name(hints.get(option, str)):14}{default}")
    for title, values in (
        ("Options where a generator's codes are optimised", getattr(factory, "options_for_codes", {})),
        ("Learning rates (--lr NAME=RATE)", getattr(factory, "learning_rates", {})),
    ):
        if values:
            click.echo(f"{title}: " + ", ".join(f"{key} {value:g}" for key, value in values.items()))


def _first_line(factory: Any) -> str:
    return (inspect.getdoc(factory) or "").splitlines()[0] if inspect.getdoc(factory) else ""


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
