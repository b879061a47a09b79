"""``glad audit``."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from glad.cli.old_names import OldNames
from glad.cli.options import CONFIG, Bar, progress_bar
from glad.cli.settings import from_options, old_flags, settings_options
from glad.settings.audit import NUMBERS, AuditSettings

SHOWN = 10  # classes and pairs in a table
TITLES = {
    "losses": "Who loses",
    "coverage": "Coverage",
    "memorisation": "Copies",
    "prior": "The prior",
    "provenance": "Origin",
}


@click.command(
    cls=OldNames,
    old_names=old_flags(AuditSettings),
    epilog="Numbers for --fail-on (most at most, those marked + at least the value): "
    + ", ".join(f"{name}{'+' * number.more_is_better}" for name, number in NUMBERS.items()),
)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@CONFIG
@settings_options(AuditSettings)
@click.pass_context
def audit(ctx: click.Context, run: Path, **options: Any) -> None:
    """Check a distilled set: who loses by it, what it covers, what it copied.

    RUN is the folder of a finished `glad distill`. Networks are trained on real images and on the set, and kept in
    the folder, so that a second audit is quick. The real images in the comparison are validation images unless
    --split says otherwise.
    """
    settings = from_options(AuditSettings, options)
    from glad.auditing.auditor import run_audit

    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_network(done: int, total: int, name: str) -> None:
            if not bars:
                bars.append(stack.enter_context(progress_bar(total, "network")))
            bars[0].advance(done, f"trained on {name}")

        found = run_audit(run, settings, on_network=on_network)
    _show(found)
    click.echo(f"Written to {settings.out or run}: audit.json and pictures, audit_*.png")
    for line in found["broken"]:
        click.echo(f"Threshold: {line}", err=True)
    if found["broken"]:
        ctx.exit(1)


def _show(found: Mapping[str, Any]) -> None:
    """Print the classes that lose, the pairs that are confused, and the verdicts."""
    console = Console(width=None if Console().is_terminal else 160)
    losses, settings = found["losses"], found["settings"]
    console.print(
        f"{settings['network']} of width {settings['width']}, {len(settings['seeds'])} seeds; "
        f"{settings['images']:,} of {settings['training_images']:,} training images for {settings['epochs']} epochs, "
        f"the set for {settings['set_epochs']}",
        highlight=False,
    )
    console.print(_class_table(losses, settings["split"]))
    if losses["confusions"]:
        console.print(_pair_table(losses["confusions"]))
    verdicts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, line in found["verdicts"].items():
        verdicts.add_row(f"[bold]{TITLES[name]}[/bold]", escape(line))
    console.print(verdicts)


def _class_table(losses: Mapping[str, Any], split: str) -> Table:
    from glad.auditing.verdicts import macro_differs

    table = Table(title=f"{split.capitalize()} accuracy in %, after training on")
    for column in ("class", "real images", "the set", "loss"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for entry in losses["classes"][:SHOWN]:
        table.add_row(escape(entry["class"]), *(_percent(entry[key]) for key in ("full", "set", "loss")))
    if len(losses["classes"]) > SHOWN:
        table.caption = f"the {SHOWN} classes that lose most of {len(losses['classes'])}; audit.json has all"
    table.add_section()
    means = [losses["accuracy"][kind]["mean"] for kind in ("full", "set")]
    table.add_row("all", *(_percent(value) for value in (*means, losses["loss"])))
    if macro_differs(losses):
        full, ours = (losses["macro_accuracy"][kind]["mean"] for kind in ("full", "set"))
        table.add_row("mean of classes", *(_percent(value) for value in (full, ours, full - ours)))
    return table


def _pair_table(pairs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Confusions that the set adds, in % of the class")
    for column in ("class", "predicted", "real images", "the set", "added"):
        table.add_column(column, justify="left" if column in ("class", "predicted") else "right")
    for pair in pairs[:SHOWN]:
        table.add_row(
            escape(pair["class"]), escape(pair["taken_for"]), *(_percent(pair[key]) for key in ("full", "set", "added"))
        )
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
