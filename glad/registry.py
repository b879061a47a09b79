"""Objectives, priors, networks and formats by name; what the program hands in, and options checked by the signature."""

import importlib
import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

Entry = TypeVar("Entry")

RESERVED = (
    "real",
    "network",
    "augment",
    "segment",
    "normalize",
    "denormalize",
    "resolution",
    "channels",
    "class_ids",
    "class_counts",
    "device",
)
"""Names of constructor parameters that the program fills; all others are options."""


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries of one kind by name, in the order in which they were registered.

    Args:
        kind: What an entry is, for messages: ``objective``, ``prior``, ``network``, ``format``.
        entries: Those that exist from the start.
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry]) -> None:
        self.kind, self._entries = kind, dict(entries)

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def register(self, name: str, entry: Entry) -> Entry:
        """Make ``entry`` known as ``name`` and return it.

        A module that is imported anew registers its entry once more, which is no error.

        Raises:
            ValueError: Another entry has that name.
        """
        taken = self._entries.get(name, entry)
        if taken != entry and _origin(taken) != _origin(entry):
            raise ValueError(f"there is {_article(self.kind)} {name!r} already, {_origin(taken)}")
        self._entries[name] = entry
        return entry

    def registering(self, name: str) -> Callable[[Any], Any]:
        """Return a decorator that registers what it decorates as ``name``."""
        return lambda entry: self.register(name, entry)

    def names(self, pattern: str = "*") -> list[str]:
        """List the names that match ``pattern``, in which ``*`` stands for anything, in alphabetical order."""
        return sorted(name for name in self._entries if fnmatchcase(name, pattern))

    def name_of(self, entry: Any) -> str:
        """Return the name under which ``entry`` is registered, empty where it is not."""
        return next((name for name, known in self._entries.items() if known is entry), "")

    def require(self, name: str, others: Sequence[str] = (), also: str = "") -> None:
        """Raise ``ValueError`` unless ``name`` is registered; the message names what is, and the nearest name."""
        if name not in self._entries:
            known = [*self._entries, *others]
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown {self.kind} {name!r}: one of {', '.join(known)}{also}{hint}")

    def find(self, name: str, others: Sequence[str] = ()) -> Entry:
        """Return the entry called ``name``, or the class or function of a ``module:Class``.

        Args:
            name: A registered name, or ``module:Class``.
            others: Further names to propose in the message.

        Raises:
            ValueError: There is no such entry; the message names those that exist.
        """
        module, colon, attribute = name.partition(":")
        if not colon:
            self.require(name, others, ", or module:Class")
            return self._entries[name]
        try:
            found: Entry = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{self.kind} {name!r} cannot be imported: {error}") from error
        return found


def _origin(entry: Any) -> str:
    """Where an entry is defined, as ``module:Class``; an object that is no class or function is only itself."""
    name = getattr(entry, "__qualname__", None)
    return f"{entry.__module__}:{name}" if name else repr(entry)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def options_of(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor that are options, by name."""
    return {name: p for name, p in inspect.signature(factory).parameters.items() if name not in RESERVED}


def construct(factory: Callable[..., Any], provided: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call ``factory`` with the arguments that ``read_arguments`` gives."""
    return factory(**read_arguments(factory, provided, options))


def read_arguments(
    factory: Callable[..., Any], provided: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of ``factory``: those of ``provided`` that it names, and ``options``.

    Args:
        factory: A class or function with annotated parameters.
        provided: What the program hands in, by parameter name.
        options: Values, or strings as from a command line, which are read by the parameter's annotation.

    Raises:
        ValueError: An option does not exist, cannot be read, is no finite number or is missing, or a reserved name is
            asked for that is not handed in.
    """
    parameters = inspect.signature(factory).parameters
    known = {key: p for key, p in options_of(factory).items() if key not in provided}
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    name = getattr(factory, "__name__", str(factory)).lower()
    if unknown := [option for option in options if option not in known]:
        have = ", ".join(f"{key}={p.default}" for key, p in known.items()) or "none"
        raise ValueError(f"{name} has no option {unknown[0]!r}; its options are: {have}")
    values = read_options(name, options, hints, str)
    needed = [key for key, p in parameters.items() if p.default is p.empty and p.kind not in _VARIABLE]
    if absent := [key for key in needed if key not in values and key not in provided]:
        if absent[0] not in RESERVED:
            raise ValueError(f"{name} needs the option {absent[0]!r}")
        raise ValueError(
            f"{name} asks for {absent[0]!r}, which is not handed to it; it may ask for {', '.join(provided)}"
        )
    return {**{key: value for key, value in provided.items() if key in parameters}, **values}


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def read_options(owner: str, options: Mapping[str, Any], kinds: Mapping[str, Any], otherwise: type) -> dict[str, Any]:
    """Read the ``options`` of ``owner``, each by its kind among ``kinds``, or as ``otherwise`` where it has none.

    Raises:
        ValueError: One cannot be read, or is a number that is not finite: no option means anything by one, and the
            record of a run, which is JSON, has none.
    """
    values = {key: read_option(f"{owner}.{key}", value, kinds.get(key, otherwise)) for key, value in options.items()}
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"option {owner}.{key} must be a finite number, not {value}")
    return values


def read_option(name: str, value: Any, kind: Any) -> Any:
    """Read ``value`` as ``kind``: int, float, str, bool, Path, or one of them or None; ``ValueError`` with its name."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None or str(value).lower() == "none":
            return None
        kind = next(k for k in get_args(kind) if k is not type(None))
    if kind is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    try:
        if kind is int and float(value) != int(float(value)):
            raise ValueError("not whole")
        if kind is bool and value not in (0, 1):
            raise ValueError("neither on nor off")
        return int(float(value)) if kind is int else kind(value) if kind in (float, str, Path) else value
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"option {name} is {value!r}, which is not a valid {getattr(kind, '__name__', kind)}"
        ) from error


def files_among(factory: Callable[..., Any], options: Mapping[str, Any]) -> list[Path]:
    """The existing files that the options of ``factory``, or their defaults, name: a Path, or a text with a suffix."""
    values = [options.get(key, p.default) for key, p in options_of(factory).items()]
    paths = [
        Path(value) for value in values if isinstance(value, Path) or (isinstance(value, str) and Path(value).suffix)
    ]
    return [path for path in paths if path.is_file()]
