"""What the commands share: reading KEY=VALUE, YAML settings, and progress that is plain when nobody watches."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from generators.classes import GUESS, REST
from glad import presets as recipes

PLAIN_LINES = 10  # lines of progress in a log file


class Pairs(click.ParamType):
    """KEY=VALUE, given as often as needed; from YAML a mapping."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split one pair."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key.strip(), text.strip()


class ClassPairs(Pairs):
    """CLASS=CLASS, given as often as needed, or ``guess`` for what is left."""

    name = "CLASS=CLASS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split one pair."""
        return (REST, GUESS) if value == GUESS else super().convert(value, param, ctx)


def whole_numbers(
    ctx: click.Context, param: click.Parameter, pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[str, int]]:
    """Read ``network.option=number`` pairs into a dict by network."""
    options: dict[str, dict[str, int]] = {}
    for key, value in pairs:
        network, dot, option = key.partition(".")
        if not dot or not value.isdigit():
            raise click.BadParameter(
                f"{key}={value} is not NETWORK.OPTION=NUMBER, such as resnet18.width=16", ctx, param
            )
        options.setdefault(network, {})[option] = int(value)
    return options


def read_rates(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, float] | float | None:
    """Read ``0.1`` or ``w=0.1 f=10`` into a rate or a dict of rates; later ones win."""
    rates: dict[str, float] | float | None = None
    for value in above_defaults(ctx, param, values):
        key, equals, text = str(value).rpartition("=")
        try:
            number = float(text)
        except ValueError:
            raise click.BadParameter(f"{value!r} is neither a number nor NAME=NUMBER", ctx, param) from None
        rates = {**(rates if isinstance(rates, dict) else {}), key: number} if equals else number
    return rates


def above_defaults(ctx: click.Context, param: click.Parameter, values: Sequence[Any]) -> list[Any]:
    """``values`` after those of --config or --recipe, so that one KEY=VALUE replaces that key and no other."""
    return [*param.type_cast_value(ctx, ctx.lookup_default(str(param.name)) or ()), *values]


def load_settings(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Take the settings of a YAML file as defaults; unknown names are refused."""
    if path is None:
        return None
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} cannot be read: {' '.join(str(error).split())}", ctx, param) from error
    if not isinstance(content, dict):
        raise click.BadParameter(f"{path} must hold NAME: VALUE lines, not a {type(content).__name__}", ctx, param)
    ctx.default_map = {**(ctx.default_map or {}), **as_defaults(ctx, param, str(path), content)}
    return path


def load_recipe(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    """Take a recipe's settings as defaults below those of --config.

    Functions among them are called where nothing else says the value: then the images per class are known, and a file
    that was named instead is not missed.
    """
    if name is None:
        return None
    recipe = recipes.load(name)

    def prior() -> str:
        file = str(recipe.distill["prior"])
        if recipe.needs and not Path(file).exists():
            what = f"{recipe.needs} as a safetensors file, and there is no {file} here: name one with --prior FILE"
            raise click.UsageError(f"{name} needs {what}", ctx)
        return file

    settings = {**as_defaults(ctx, param, f"recipe {name}", recipe.settings()), "prior": prior}
    for key, value in recipe.distill.items():
        if recipes.goes_by_ipc(value):
            settings[key] = lambda key=key: recipe.settings(ctx.params["ipc"])[key]
    ctx.default_map = {**settings, **(ctx.default_map or {})}
    return name


def as_defaults(ctx: click.Context, param: click.Parameter, source: str, content: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings as click takes defaults; names that the command lacks are refused, and blamed on ``source``."""
    settings = {_present_name(ctx, name): _as_option(value) for name, value in content.items() if value is not None}
    known = {p.name: p for p in ctx.command.params}
    for name in settings:
        if name not in known or name == param.name:
            near = get_close_matches(name, [k for k in known if k], 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(k for k in known if k))}"
            raise click.BadParameter(f"{source} sets {name}, which does not exist{hint}", ctx, param)
    for name, value in settings.items():
        if known[name].multiple and not isinstance(value, list):
            settings[name] = [value]
    return settings


def _present_name(ctx: click.Context, name: Any) -> str:
    """The parameter behind a name in a file: its own, that of its option, or a former one."""
    option = "--" + str(name).replace("_", "-")
    option = getattr(ctx.command, "old_names", {}).get(option, option)
    by_option = {option: p.name for p in ctx.command.params for option in p.opts if p.name}
    return by_option.get(option, option.removeprefix("--").replace("-", "_"))


def _as_option(value: Any) -> Any:
    """A YAML value as the command line would give it: mappings become KEY=VALUE lists."""
    if not isinstance(value, dict):
        return value
    pairs = []
    for key, entry in value.items():
        nested = isinstance(entry, dict)
        pairs += [f"{key}.{k}={v}" for k, v in entry.items()] if nested else [f"{key}={entry}"]
    return pairs


CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=load_settings,
    help="YAML file with the options below by name (a run's config.yaml is one); the command line wins.",
)

RECIPE = click.option(
    "--recipe",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=load_recipe,
    help="Published settings of that name (`glad recipes` lists them); the command line and --config win.",
)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what names a data set, as ``glad.data.splits.load_data`` takes it."""
    options = [
        click.option("--data", default="fashion-mini", help="As `glad distill --data`."),
        click.option("--root", default="data", help="Where data sets lie."),
        click.option("--classes", multiple=True, help="A class to keep, by number or name; give it several times."),
        click.option("--limit", type=int, help="Use at most this many training images."),
        click.option("--resolution", type=int, help="Resize and crop image files to squares of this side."),
        click.option("--zca/--no-zca", default=False, help="Whiten the data."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


class Bar:
    """Counts steps with rate and remaining time: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, unit: str, live: Progress | None) -> None:
        self.total, self.unit, self.live = total, unit, live
        self.task = live.add_task(unit, total=total, note="") if live else None
        self.first: tuple[int, float] | None = None

    def advance(self, done: int, note: str) -> None:
        """Say that ``done`` of the total are finished; the rate counts from the first call, without what preceded."""
        now = time.monotonic()
        self.first = self.first or (done, now)
        steps, seconds = done - self.first[0], now - self.first[1]
        pace = f"{_pace(steps / seconds, self.unit)}  " if steps and seconds else ""
        if self.live is not None and self.task is not None:
            self.live.update(self.task, completed=done, note=pace + note)
        elif done == self.total or done * PLAIN_LINES // self.total > (done - 1) * PLAIN_LINES // self.total:
            left = f"  {(self.total - done) * seconds / steps:.0f} s left" if steps else ""
            click.echo(f"{done}/{self.total}  {pace}{note}{left}")


def _pace(rate: float, unit: str) -> str:
    return f"{rate:.2f} {unit}/s" if rate >= 1 else f"{1 / rate:.2f} s/{unit}"


@contextmanager
def progress_bar(total: int, unit: str) -> Iterator[Bar]:
    """A ``Bar`` for ``total`` steps called ``unit``."""
    console = Console()
    if not console.is_terminal:
        yield Bar(total, unit, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as live:
        yield Bar(total, unit, live)
