"""The fields of settings: their documentation, their checks, reading them from a file, and their JSON schema.

Settings are frozen dataclasses that derive from :class:`Settings`. The text under a field says what it means; of a
field that may be None it ends in ``; ... if None.``, which is the default that the command line shows.
"""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar, get_type_hints

from glad.settings.types import conform, json_type

Made = TypeVar("Made", bound="Settings")

_KEY = "glad"  # of a field's metadata


@dataclass(frozen=True)
class Spelling:
    """How a field is written elsewhere.

    Attributes:
        flags: options of the command line; ``--its-name`` if there are none.
        metavar: what stands for the value in the help.
        old: former names of the field, which files may still have.
        path: "folder" or "file" where the value is a path.
        alone: a value that a mapping may have in place of KEY=VALUE, for the key ``*``.
        commas: whether the command line takes the values of a list in one, with commas between them.
    """

    flags: tuple[str, ...] = ()
    metavar: str | None = None
    old: tuple[str, ...] = ()
    path: str | None = None
    alone: str | None = None
    commas: bool = False


def spelled(default: Any, **spelling: Any) -> Any:
    """A field with a :class:`Spelling`; a dict as ``default`` is made anew for each instance, ``...`` is no default."""
    metadata = {_KEY: Spelling(**spelling)}
    if default is ...:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One field: its name, type, default, meaning and spelling."""

    name: str
    kind: Any
    default: Any
    text: str
    spelling: Spelling

    @property
    def flags(self) -> tuple[str, ...]:
        """Its options on the command line; the last one is its full name."""
        return self.spelling.flags or (f"--{self.name.replace('_', '-')}",)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of all settings: every value is checked by its field's annotation, and brought to one form."""

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            value = conform(setting.name, getattr(self, setting.name), setting.kind)
            if setting.spelling.path and "://" in str(value):
                raise ValueError(
                    f"{setting.name} is {value}, a URL: name a {setting.spelling.path}; several machines need one that "
                    "all of them share"
                )
            object.__setattr__(self, setting.name, value)

    def plain(self) -> dict[str, Any]:
        """The fields as a dict of what YAML and JSON can hold, in order."""
        return {setting.name: _plain(getattr(self, setting.name)) for setting in settings_of(type(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    return [_plain(entry) for entry in value] if isinstance(value, tuple | list) else value


def settings_of(cls: Any) -> tuple[Setting, ...]:
    """The fields of the dataclass ``cls`` in order."""
    return _settings_of(cls)


@cache
def _settings_of(cls: Any) -> tuple[Setting, ...]:
    hints, texts = get_type_hints(cls), documentation(cls)
    found = []
    for field in dataclasses.fields(cls):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        spelling = field.metadata.get(_KEY, Spelling())
        found.append(Setting(field.name, hints[field.name], default, texts.get(field.name, ""), spelling))
    return tuple(found)


@cache
def documentation(cls: type) -> Mapping[str, str]:
    """The text under each field of ``cls`` and of its bases, in one line each; nothing where there is no source."""
    texts: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        if dataclasses.is_dataclass(part):
            texts |= _texts_under_fields(part)
    return texts


def _texts_under_fields(cls: type) -> dict[str, str]:
    try:
        (found,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):
        return {}
    assert isinstance(found, ast.ClassDef)
    texts = {}
    for field, below in zip(found.body, found.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


def old_names(cls: type) -> dict[str, str]:
    """The present name of each former one."""
    return {old: setting.name for setting in settings_of(cls) for old in setting.spelling.old}


def rename_old(cls: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """``content``, as of a file, under the present names of its keys."""
    renamed = old_names(cls)
    return {renamed.get(name, name): value for name, value in content.items()}


def find_unknown(cls: type, names: Any, source: str) -> str | None:
    """A line about the first of ``names`` that ``cls`` has no field for, with what was meant; None if there is none."""
    known = [setting.name for setting in settings_of(cls)]
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
            return f"{source} sets {name}, which does not exist; {hint}"
    return None


def read(cls: type[Made], content: Mapping[str, Any], source: str) -> Made:
    """Settings from ``content``, such as the mapping in a YAML file.

    Args:
        cls: the kind of settings.
        content: values by field; dashes stand for underscores, former names are understood, what is left out has its
            default.
        source: what ``content`` is called in messages, such as a path.

    Raises:
        ValueError: a name that does not exist, with what was meant, or a value of another kind.
    """
    named = rename_old(cls, {str(name).replace("-", "_"): value for name, value in content.items()})
    if line := find_unknown(cls, named, source):
        raise ValueError(line)
    return cls(**named)


def schema(cls: type) -> dict[str, Any]:
    """The JSON schema of a YAML or JSON file with these settings, for editors and for checks.

    Example:
        >>> from glad.settings.distill import DistillSettings
        >>> properties = schema(DistillSettings)["properties"]
        >>> properties.get("iterations")
        {'type': 'integer', 'default': 1000, 'description': 'Updates of the synthetic set.'}
    """
    properties, required = {}, []
    for setting in settings_of(cls):
        if setting.default is dataclasses.MISSING:
            required.append(setting.name)
            default = {}
        else:
            default = {"default": _plain(setting.default)}
        properties[setting.name] = {**json_type(setting.kind), **default, "description": setting.text}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": cls.__name__,
        "description": inspect.cleandoc(cls.__doc__ or ""),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def as_words(flag: str, value: Any) -> list[str]:
    """A setting as words of a command: its ``flag`` with the value, once for each of several."""
    if value is True:
        return [flag]
    pairs = [f"{key}={entry}" for key, entry in value.items()] if isinstance(value, Mapping) else value
    listed = pairs if isinstance(pairs, list | tuple) else [pairs]
    return [word for entry in listed for word in (flag, str(entry))]
