"""Former names of options: accepted, not shown in the help, and answered with the new name."""

from collections.abc import Mapping
from typing import Any

import click


class OldNames(click.Command):
    """A command that takes former names of its options too; ``old_names`` maps them to the present ones."""

    def __init__(self, *args: Any, old_names: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.old_names = dict(old_names or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replace former names before anything reads them, with a line on stderr for each."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*map(self._rename, args[:end]), *args[end:]])

    def _rename(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        if name not in self.old_names:
            return argument
        click.echo(f"{name} is called {self.old_names[name]} now", err=True)
        return f"{self.old_names[name]}{equals}{value}"
