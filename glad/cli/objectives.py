"""``glad objectives``."""

import inspect
from typing import Any, get_type_hints

import click

from glad.cli.source import FILLED, OBJECTIVES, read_class


@click.group()
def objectives() -> None:
    """List what a synthetic set can be optimized for."""


@objectives.command("list")
def list_them() -> None:
    """List the objectives that glad has, a line each; your own are module:Class."""
    for name, place in OBJECTIVES.items():
        click.echo(f"{name:10}{read_class(place, FILLED).summary}")


@objectives.command()
@click.argument("name")
def show(name: str) -> None:
    """Show what the objective NAME (or module:Class) computes, its options and its learning rates."""
    from glad import objectives as known
    from glad.priors.stylegan import RATES
    from glad.registry import options_of

    factory = known.OBJECTIVES.find(name)
    module, described = inspect.getmodule(factory), known.ObjectiveDescription(factory)
    for text in (inspect.getdoc(module), inspect.getdoc(factory)):
        if text:
            click.echo(text + "\n")
    hints = get_type_hints(getattr(factory, "__init__", factory))
    click.echo("Options (--set NAME=VALUE):")
    width = max([18, *(len(option) + 2 for option in options_of(factory))])
    for option, parameter in options_of(factory).items():
        default = "needed" if parameter.default is parameter.empty else f"default {parameter.default}"
        click.echo(f"  {option:{width}}{_type_name(hints.get(option, str)):14}{default}")
    for title, values in (
        ("Options where a generator's codes are optimized", described.options_for_codes),
        ("Learning rates (--lr NAME=RATE)", described.learning_rates),
        ("Learning rates of a generator's codes in F_n (in W+ w takes the rate of f)", RATES.get(name, {})),
    ):
        if values:
            click.echo(f"{title}: " + ", ".join(f"{key} {value:g}" for key, value in values.items()))


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
