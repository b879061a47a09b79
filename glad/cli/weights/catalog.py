"""``glad weights list``."""

from itertools import groupby
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from generators import catalog, store
from generators.files import EMBEDDED
from generators.license import SAYS, License

PLAIN_WIDTH = 160  # of a table that goes to a file
HEADINGS = ("name", "px", "classes", "trained on", "commercial use", "from", "SHA-256", "verified", "here")
NUMBERS = ("px", "classes", "here")


@click.command("list")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def list_them(names: tuple[str, ...]) -> None:
    """List the generators that glad knows.

    Where they are from, what they forbid, and what of them is here.

    With a NAME (also org/repo:file) all that is known of it.
    """
    kept = {record.name: record for record in store.records()}
    if names:
        for name in names:
            _describe(catalog.find(name), kept.get(name))
        return
    others = [catalog.find(name) for name in kept if name not in catalog.CATALOG]
    entries = [*catalog.CATALOG.values(), *others]
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left", overflow="fold")
    for entry in entries:
        table.add_row(*_cells(entry, kept.get(entry.name)))
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table)
    click.echo("Licenses. Where a use is not stated, nobody has allowed it: ask the holders of the rights.")
    for words, group in groupby(entries, lambda entry: _license(entry, kept.get(entry.name)).in_words()):
        click.echo(f"  {', '.join(entry.name for entry in group)}: {words}")
    click.echo("`glad weights list NAME` shows all of one; `glad weights pull NAME` downloads it.")


def _describe(entry: catalog.CatalogEntry, record: store.Record | None) -> None:
    """All that is known of one, a line each."""
    facts = dict(zip(HEADINGS, _cells(entry, record), strict=True))
    facts["license"] = _license(entry, record).in_words()
    facts["from"] = "; ".join(filter(None, (f"Hub {entry.hub}" if entry.hub else "", entry.url, entry.source)))
    facts["SHA-256"] = store.expected_digest(entry) or (
        f"{record.sha256} (first download)" if record else facts["SHA-256"]
    )
    facts["verified"] += f": {entry.evidence}"
    if path := _path(entry, record):
        facts["here"] += f", {path}"
    if record:
        facts["came from"], facts["as it came"] = record.source, f"SHA-256 {record.original}"
    for heading, text in facts.items():
        click.echo(f"{heading:16}{text}")
    click.echo()


def _cells(entry: catalog.CatalogEntry, record: store.Record | None) -> list[str]:
    """One row; what is not known is said to be unknown."""
    license, known = _license(entry, record), store.expected_digest(entry)
    places = ["Hub" if entry.hub else "", "official address" if entry.url else ""]
    return [
        entry.name,
        "any" if entry.resolution == 0 else _number(entry, entry.resolution),
        _number(entry, entry.classes),
        entry.data,
        SAYS[license.commercial],
        ", ".join(filter(None, places)) or "comes with glad",
        known[:12] if known else record.sha256[:12] if record else "not published" if entry.needs_download else "none",
        "yes" if entry.verified else "no",
        _size(entry, record),
    ]


def _license(entry: catalog.CatalogEntry, record: store.Record | None) -> License:
    """The license of what is here, else what the catalog knows."""
    return record.license if record else entry.license


def _number(entry: catalog.CatalogEntry, value: int | None) -> str:
    if value is None:
        return "?" if entry.needs_download else "any"
    return str(value)


def _path(entry: catalog.CatalogEntry, record: store.Record | None) -> Path | None:
    """The file on this machine, if there is one."""
    return EMBEDDED.get(entry.name, record.file if record else None)


def _size(entry: catalog.CatalogEntry, record: store.Record | None) -> str:
    """Megabytes on this machine."""
    path = _path(entry, record)
    if path is None:
        return "no" if entry.needs_download else "no file"
    return f"{path.stat().st_size / 1e6:,.1f} MB" if path.exists() else "deleted"
