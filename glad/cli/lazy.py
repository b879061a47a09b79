"""Groups whose commands are imported when they are run: torch takes seconds to import, and `--help` needs none."""

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click


@dataclass(frozen=True)
class Entry:
    """A command that is not imported yet.

    Attributes:
        place: ``module:attribute`` of the command.
        summary: the first sentence of its help, which the group's help shows.
        now: for a former name, the present one.
    """

    place: str
    summary: str
    now: str | None = None


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands of ``entries`` by name, each imported when it is looked up."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._places = {name: entry.place for name, entry in entries.items() if entry.now is None}
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._imported:
            module, _, attribute = self._places[name].partition(":")
            self._imported[name] = getattr(importlib.import_module(module), attribute)
        return self._imported[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._places[name], self._imported[name] = "", command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._imported.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class LazyGroup(click.Group):
    """A group of the commands in ``entries``, by name; each is imported at its first use.

    Former names work, are not shown, and say the present name on stderr.
    """

    def __init__(self, *args: Any, entries: Mapping[str, Entry] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = dict(entries or {})
        self.commands = LazyCommands(self.entries)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` begin with; what is misspelt is answered with what was meant."""
        name = args[0]
        entry = self.entries.get(name)
        if entry is None and not name.startswith("-"):
            near = get_close_matches(name, self.list_commands(ctx), 1)
            ctx.fail(f"no such command {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if entry is not None and entry.now is not None:
            click.echo(f"{name} is called {entry.now} now", err=True)
            args = [entry.now, *args[1:]]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command's name and summary, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.entries[name].summary) for name in self.list_commands(ctx)])
