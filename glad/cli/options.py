"""What the commands share: reading KEY=VALUE, YAML settings, and progress that is plain when nobody watches."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from glad.cli import say_first
from glad.cli.source import OBJECTIVES, read_class
from glad.settings.sets import REST

Command = TypeVar("Command", bound=Callable[..., Any])
SHARED = "g"  # the name in rates of a generator's weights, which are no latent
HUB = "hf://"  # as in glad.data.encoded, which imports torch
PLAIN_LINES = 10  # lines of progress in a log file


class Pairs(click.ParamType):
    """KEY=VALUE, given as often as needed, or a value that stands ``alone``, for the rest; from YAML a mapping."""

    name = "KEY=VALUE"

    def __init__(self, alone: str | None = None) -> None:
        self.alone = alone

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split one pair."""
        if isinstance(value, tuple):
            return value
        if self.alone is not None and value == self.alone:
            return REST, value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key.strip(), text.strip()


class SetPath(click.Path):
    """A set: an existing file or folder, or an address of the Hub."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an address becomes one too, for the formats to tell."""
        return Path(value) if str(value).startswith(HUB) else super().convert(value, param, ctx)


def whole_numbers(
    ctx: click.Context, param: click.Parameter, pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[str, int]]:
    """Read ``network.option=number`` pairs into a dict by network."""
    options: dict[str, dict[str, int]] = {}
    for key, value in pairs:
        network, dot, option = key.rpartition(".")
        if not dot or not value.isdecimal():
            raise click.BadParameter(
                f"{key}={value} is not NETWORK.OPTION=NUMBER, such as resnet18.width=16", ctx, param
            )
        options.setdefault(network, {})[option] = int(value)
    return options


def read_rates(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, float] | float | None:
    """Read ``0.1`` or ``w=0.1 f=10`` into a rate or a dict of rates; later ones win.

    A number is the rate of every latent: rates of --config or --preset stay that are of something else.
    """
    if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
        _refuse_mixed(ctx, param, values)  # of --config and --preset together, which may differ, as_defaults did
    rates: dict[str, float] | float | None = None
    for value in above_defaults(ctx, param, values):
        key, equals, text = str(value).rpartition("=")
        try:
            number = float(text)
        except ValueError:
            raise click.BadParameter(f"{value!r} is neither a number nor NAME=NUMBER", ctx, param) from None
        named = rates if isinstance(rates, dict) else {}
        rates = {**named, key: number} if equals else _rate_of_latents(number, named)
    return rates


def _refuse_mixed(ctx: click.Context, param: click.Parameter, values: Sequence[Any]) -> None:
    """Refuse rates of one source that are a number for all and of names."""
    if len({"=" in str(value) for value in values}) > 1:
        mixed = " ".join(map(str, values))
        raise click.BadParameter(f"{mixed}: give one number for all, or NAME=NUMBER for each", ctx, param)


def _rate_of_latents(number: float, below: Mapping[str, float]) -> dict[str, float] | float:
    """``number`` for every latent, with the rates ``below`` it of what is none."""
    if not below:
        return number
    stated = {name for place in OBJECTIVES.values() for name in read_class(place, ()).tables.get("learning_rates", {})}
    kept = {name: rate for name, rate in below.items() if name in stated - {"pixels"} | {SHARED}}
    return {REST: number, **kept} if kept else number


def above_defaults(ctx: click.Context, param: click.Parameter, values: Sequence[Any]) -> list[Any]:
    """``values`` after those of --config or --preset, so that one KEY=VALUE replaces that key and no other."""
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
    ctx.default_map = over(ctx.command, ctx.default_map or {}, as_defaults(ctx, param, str(path), content))
    return path


def over(command: click.Command, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of --preset (``below``) and --config; one KEY=VALUE replaces that key and no other.

    Values of a preset may be functions, which click calls where nothing else says the value.
    """
    pairs = {p.name for p in command.params if isinstance(p.type, Pairs) or p.callback is read_rates}

    def both(name: str) -> list[Any]:
        first = below[name]() if callable(below[name]) else below[name]
        return [*(first if isinstance(first, list) else [] if first is None else [first]), *above[name]]

    shared = pairs & below.keys() & above.keys()
    return {**below, **above, **{name: partial(both, name) for name in shared}}


def say_note(ctx: click.Context, line: str) -> None:
    """Say ``line``, unless it is empty or has been said, on stderr."""
    said = ctx.meta.setdefault(__name__, set())
    if line and line not in said:
        said.add(line)
        say_first(f"Note: {line}")


def as_defaults(ctx: click.Context, param: click.Parameter, source: str, content: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings as click takes defaults; names that the command lacks are refused, and blamed on ``source``."""
    known = {p.name: p for p in ctx.command.params}
    given = {str(name).replace("-", "_"): value for name, value in content.items() if value is not None}
    settings = {present_name(ctx.command, name, source): as_option(value) for name, value in given.items()}
    for name in settings:
        if name not in known or name == param.name:
            near = get_close_matches(name, [k for k in known if k], 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(k for k in known if k))}"
            raise click.BadParameter(f"{source} sets {name}, which does not exist{hint}", ctx, param)
    for name, value in settings.items():
        if known[name].multiple and not isinstance(value, list):
            settings[name] = [value]
        if known[name].callback is read_rates:
            _refuse_mixed(ctx, known[name], settings[name])
        if isinstance(known[name].type, click.types.BoolParamType) and not isinstance(value, bool | list):
            settings[name] = str(value)  # 1 and 0 are among the words that click takes; it has no answer to numbers
        # click would make a text of a list, or a traceback; types of our own take lists.
        if isinstance(value, list) and not known[name].multiple and type(known[name].type).__module__ == "click.types":
            raise click.BadParameter(f"{source} sets {name} to the list {value!r}, and takes one value", ctx, param)
    return settings


def present_name(command: click.Command, name: str, source: str) -> str:
    """The setting that ``name`` of a file stands for: a former name, or another spelling of its option."""
    flag = f"--{name.replace('_', '-')}"
    flag = getattr(command, "old_names", {}).get(flag, flag)
    found = next((str(p.name) for p in command.params if flag in p.opts and p.expose_value), name)
    if found != name and all(p.name != name for p in command.params):
        click.echo(f"{source}: {name} is called {found} now", err=True)
        return found
    return name


def natural(text: str) -> Any:
    """A value of KEY=VALUE as YAML would hold it: a number where it is one, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_seeds(ctx: click.Context, param: click.Parameter, value: Any) -> int | list[int] | None:
    """``3`` is the first three seeds, ``4,7`` these two."""
    if value is None or isinstance(value, int | list):
        return value
    try:
        listed = [int(part) for part in str(value).split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor a list such as 0,1,2", ctx, param) from None
    return listed if "," in str(value) else listed[0]


def read_numbers(ctx: click.Context, param: click.Parameter, value: Any) -> list[float] | None:
    """``1,5,10`` as numbers."""
    if value is None or isinstance(value, list):
        return value
    try:
        return [float(part) for part in str(value).split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers such as 1,5,10", ctx, param) from None


def as_option(value: Any) -> Any:
    """A YAML value as the command line would give it: mappings become KEY=VALUE lists."""
    if not isinstance(value, dict):
        return value
    pairs = []
    for key, entry in value.items():
        nested = isinstance(entry, dict)
        pairs += [f"{key}.{k}={v}" for k, v in entry.items()] if nested else [f"{key}={entry}"]
    return pairs


def config_option(remark: str = "") -> Callable[[Command], Command]:
    """The option that reads a file of settings; ``remark`` says what else is such a file."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=load_settings,
        help=f"YAML file with the options below by name{remark}; the command line wins.",
    )


CONFIG = config_option()


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
