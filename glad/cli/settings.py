"""Options of a command from the fields of its settings: name, type, default and help have one source.

A field of type bool becomes an option that switches it on or off, a ``Literal`` a choice, a mapping KEY=VALUE and a
tuple a value, both given as often as needed.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from glad.cli.options import Pairs, above_defaults, natural, read_numbers, read_rates, read_seeds, whole_numbers
from glad.settings.fields import Setting, old_names, settings_of
from glad.settings.spread import TaskSettings
from glad.settings.types import LISTS, is_union, optional

Made = TypeVar("Made")
Command = TypeVar("Command", bound=Callable[..., Any])

RATES = Mapping[str, float] | float
BY_NETWORK = Mapping[str, Mapping[str, int]]
IF_NONE = re.compile(r"; ([^;]+) if None\.$")


def settings_options(
    cls: type, *, skip: tuple[str, ...] = (), help: Mapping[str, str] | None = None
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option for each field of ``cls``.

    Args:
        cls: the settings.
        skip: fields without an option, such as one that is the command's argument.
        help: help of fields in place of the text under them.
    """
    last = [setting.name for setting in settings_of(TaskSettings)]  # where tasks run is asked after what they are
    listed = [setting for setting in settings_of(cls) if setting.name not in skip]
    listed.sort(key=lambda setting: setting.name in last)

    def decorate(command: Command) -> Command:
        for setting in reversed(listed):
            text = (help or {}).get(setting.name, setting.text)
            command = click.option(*_names(setting), **_attributes(setting, text, cls))(command)
        return command

    return decorate


def _names(setting: Setting) -> tuple[str, ...]:
    """The option's flags and the name of its value."""
    *short, long = setting.flags
    if setting.kind is bool:
        long = f"{long}/--no-{long.removeprefix('--')}"
    return (*short, long, setting.name)


def _attributes(setting: Setting, text: str, cls: type) -> dict[str, Any]:
    """Type, default and help, as click takes them."""
    text, shown = help_text(text, cls, setting)
    attributes: dict[str, Any] = {"help": text}
    if shown:
        attributes["show_default"] = shown
    if setting.default is dataclasses.MISSING:
        attributes["required"] = True
    elif setting.default not in (None, {}):
        attributes["default"] = setting.default
    if setting.spelling.metavar:
        attributes["metavar"] = setting.spelling.metavar
    return {**attributes, **_type(setting)}


def _type(setting: Setting) -> dict[str, Any]:
    """How the option reads its value, by the field's kind."""
    kind = optional(setting.kind)
    origin = get_origin(kind)
    if setting.spelling.path:
        return {
            "type": click.Path(file_okay=setting.spelling.path == "file", dir_okay=setting.spelling.path == "folder")
        }
    if kind == BY_NETWORK:
        return {"type": Pairs(), "multiple": True, "callback": whole_numbers}
    if origin is Mapping:
        plain = get_args(kind)[1] is not Any
        pairs = Pairs(setting.spelling.alone)
        return {"type": pairs, "multiple": True, "callback": _texts if plain else _values}
    if is_union(kind) and int in get_args(kind) and any(get_origin(part) in LISTS for part in get_args(kind)):
        return {"type": str, "metavar": "N or LIST", "callback": read_seeds}
    if is_union(kind) and Mapping in [get_origin(part) for part in get_args(kind)]:
        return {"type": str, "multiple": True, "callback": read_rates}
    if origin is Literal:
        return {"type": _Choice([str(choice) for choice in get_args(kind)])}
    if setting.spelling.commas:
        return {"type": str, "callback": read_numbers}
    if origin in LISTS:
        (part, *_) = get_args(kind)
        return {"type": click.Choice(get_args(part)) if get_origin(part) is Literal else str, "multiple": True}
    return {} if kind is bool else {"type": str if kind is Any else kind}


class _Choice(click.Choice[str]):
    """One of several words, the British spelling of -ized taken too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word of the choices."""
        other = value.replace("ised", "ized") if isinstance(value, str) else value
        return super().convert(other if other in self.choices else value, param, ctx)


def old_flags(cls: type) -> dict[str, str]:
    """The present option of each former name of a field."""
    flags = {setting.name: setting.flags for setting in settings_of(cls)}
    found = {f"--{old.replace('_', '-')}": flags[name] for old, name in old_names(cls).items()}
    return {old: now[-1] for old, now in found.items() if old not in now}


def _texts(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(above_defaults(ctx, param, pairs))


def _values(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {key: natural(value) for key, value in above_defaults(ctx, param, pairs)}


def help_text(text: str, cls: type, setting: Setting) -> tuple[str, str | None]:
    """The text under a field as help of the command line, and the default that it states.

    ``name`` is written without quotes, as its option where it is another field; a sentence's end such as "; all if
    None." is the default.
    """
    choices = get_args(optional(setting.kind))
    flags = {other.name: other.flags[-1] for other in settings_of(cls) if other.name not in choices}
    shown = IF_NONE.search(text)
    if shown:
        text = text[: shown.start()] + "."
    text = re.sub(r"``([^`]*)``", lambda found: flags.get(found[1], found[1]), text)
    if get_origin(optional(setting.kind)) in (*LISTS, Mapping) and not setting.spelling.commas:
        text += " Give the option once for each."
    return text, shown[1] if shown else None


def from_options(cls: type[Made], options: Mapping[str, Any]) -> Made:
    """The settings that options of the command line give; what was given no value has the field's default."""
    fields = {setting.name: setting for setting in settings_of(cls)}
    given = {name: value for name, value in options.items() if name in fields and value not in (None, (), {})}
    return cls(**{name: str(value) if isinstance(value, Path) else value for name, value in given.items()})
