"""``glad audit``."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from glad.auditing.verdicts import NUMBERS
from glad.cli.options import CONFIG, Bar, Pairs, progress_bar
from glad.networks import NETWORKS

SHOWN = 10  # classes and pairs in a table
TITLES = {
    "losses": "Who loses",
    "coverage": "Coverage",
    "memorisation": "Copies",
    "prior": "The prior",
    "provenance": "Origin",
}


def read_limits(ctx: click.Context, param: click.Parameter, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Read ``KEY=NUMBER`` pairs."""
    try:
        return {key: float(value) for key, value in pairs}
    except ValueError as error:
        raise click.BadParameter(f"{error}: give KEY=NUMBER", ctx, param) from None


@click.command(
    epilog="Numbers for --fail-on (most at most, those marked + at least the value): "
    + ", ".join(f"{name}{'+' * number.more_is_better}" for name, number in NUMBERS.items())
)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@CONFIG
@click.option("--network", type=click.Choice(list(NETWORKS)), help="What is trained.  [default: the run's network]")
@click.option("--width", default=32, help="Of the networks.")
@click.option("--epochs", default=10, help="Of training on real images.")
@click.option("--set-epochs", default=300, help="Of training on the set.")
@click.option("--seeds", default=2, help="How many networks of each kind.")
@click.option("--images", default=5000, help="Real training images to train on, at most.")
@click.option("--lr", type=float, help="Learning rate on the set.  [default: the one learned with it, else 0.01]")
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="validation",
    help="Real images to compare with; test once.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for audit.json, pictures, and the networks.  [default: the run's]",
)
@click.option(
    "--fail-on",
    type=Pairs(),
    multiple=True,
    callback=read_limits,
    help="A threshold, such as worst_class_loss=0.3: exit status 1 where it is not kept.",
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
@click.pass_context
def audit(ctx: click.Context, run: Path, **settings: Any) -> None:
    """Check a distilled set: who loses by it, what it covers, what it copied, what its prior did.

    RUN is the folder of a finished `glad distill`. Networks are trained on real images and on the set, and kept in
    the folder, so that a second audit is quick. The real images in the comparison are validation images unless
    --split says otherwise.
    """
    from glad.auditing import audit as check

    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_network(done: int, total: int, name: str) -> None:
            if not bars:
                bars.append(stack.enter_context(progress_bar(total, "network")))
            bars[0].advance(done, f"trained on {name}")

        found = check(run, **settings, on_network=on_network)
    _show(found)
    click.echo(f"Written to {settings['out'] or run}: audit.json and pictures, audit_*.png")
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
