"""``glad evaluate``."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from glad.augment import ALL
from glad.cli.options import CONFIG, Bar, Pairs, progress_bar, read_rates, whole_numbers
from glad.evaluation import PROTOCOLS, results_table
from glad.networks import NETWORKS
from glad.trial import BASELINES


def _seeds(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:
    """``3`` is the first three seeds, ``4,7`` these two."""
    try:
        listed = [int(part) for part in str(value).split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor a list such as 0,1,2", ctx, param) from None
    return listed if "," in str(value) else list(range(listed[0]))


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@CONFIG
@click.option(
    "--networks",
    multiple=True,
    type=click.Choice(list(NETWORKS)),
    help="A network to train; several times for several.  [default: all]",
)
@click.option("--seeds", default="5", callback=_seeds, help="How many seeds, or a list such as 0,1,2.")
@click.option("--epochs", type=int, help="Epochs of training on the synthetic set.  [default: the protocol's]")
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="default",
    help="default: 1000 epochs, cosine, averaged weights; dc: 300 epochs, step decay, as published for DC and DSA.",
)
@click.option(
    "--baselines",
    multiple=True,
    type=click.Choice(BASELINES),
    default=("before", "random"),
    help="The same latents before optimisation, random real images, those nearest to k-means centres, the full data.",
)
@click.option(
    "--split", type=click.Choice(["test", "validation"]), default="test", help="Tune on validation; use test once."
)
@click.option(
    "--lr",
    multiple=True,
    callback=read_rates,
    metavar="RATE",
    help="Learning rate, or NETWORK=RATE.  [default: published, for 1000 epochs]",
)
@click.option("--augmentation", default=ALL, help="DSA transforms joined by _, or none.")
@click.option(
    "--network-option",
    "network_options",
    type=Pairs(),
    multiple=True,
    callback=whole_numbers,
    help="NETWORK.OPTION=NUMBER, such as resnet18.width=16.",
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
def evaluate(runs: tuple[Path, ...], **settings: Any) -> None:
    """Train networks from scratch on distilled sets and test them.

    RUNS are folders of `glad distill`, of one data set. Every accuracy is of the last epoch; networks that the set was
    not distilled with are averaged apart. What is finished is kept in each run's results.json: an interrupted
    evaluation continues.
    """
    from glad.api import evaluate as run

    settings["networks"] = settings["networks"] or list(NETWORKS)
    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_cell(cell: dict[str, Any], left: int) -> None:
            if not bars:  # how many cells are missing is known with the first
                bars.append(stack.enter_context(progress_bar(left + 1, "training")))
            note = f"{cell['set']}, {cell['network']}, seed {cell['seed']}: {100 * cell['accuracy']:.1f} %"
            bars[0].advance(bars[0].total - left, note)

        results = run(list(runs), **settings, on_cell=on_cell)
    Console(width=None if Console().is_terminal else 160).print(results_table(results))
    click.echo(f"Written to {', '.join(str(path / 'results.json') for path in runs)}")
