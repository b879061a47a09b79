"""``glad evaluate``."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glad.cli.old_names import OldNames
from glad.cli.options import CONFIG, Bar, Pairs, progress_bar, read_rates, whole_numbers
from glad.cli.outcome import say
from glad.evaluation.config import BASELINES, LABEL_MODES
from glad.evaluation.hybrid import percents
from glad.networks import NETWORKS


def _seeds(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:
    """``3`` is the first three seeds, ``4,7`` these two."""
    try:
        listed = [int(part) for part in str(value).split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor a list such as 0,1,2", ctx, param) from None
    return listed if "," in str(value) else list(range(listed[0]))


def _hybrid(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    return None if value is None else percents(str(value))


TRAINING = (
    click.option(
        "--networks",
        multiple=True,
        type=click.Choice(list(NETWORKS)),
        help="A network to train; several times for several.  [default: all]",
    ),
    click.option("--seeds", default="5", callback=_seeds, help="How many seeds, or a list such as 0,1,2."),
    click.option("--epochs", type=int, help="Epochs of training on a set.  [default: the protocol's]"),
    click.option(
        "--protocol",
        default="default",
        metavar="NAME|FILE",
        help="default: 1000 epochs, cosine, averaged weights; dc: 300 epochs, step decay, as published for DC and DSA; "
        "glad: the default at a rate of 1e-3 for every network, as published for GLaD. Or a YAML or JSON file "
        "of a protocol's fields, such as `glad protocols default` prints.",
    ),
    click.option(
        "--label-mode",
        type=click.Choice(LABEL_MODES),
        default="hard",
        help="hard: the labels of the set. soft: those of a teacher trained on the full data, for baselines too; they "
        "are stored with a run's set, and exported with it. A set that brings soft labels keeps them.",
    ),
    click.option(
        "--teacher",
        type=click.Choice(list(NETWORKS)),
        help="The network behind soft labels, and in whose features herding works (else in pixels). It is trained once "
        "and kept in ~/.cache/glad/teachers (GLAD_TEACHER_CACHE).  [default: convnet where labels are soft]",
    ),
    click.option(
        "--full-epochs",
        default=20,
        help="Epochs on the full data, for the teacher and for --scores and --cost (--baselines full has --epochs).",
    ),
    click.option("--augmentation", help="DSA transforms joined by _, or none.  [default: the protocol's]"),
    click.option(
        "--lr",
        "--learning-rate",
        "learning_rate",
        multiple=True,
        callback=read_rates,
        metavar="RATE",
        help="Learning rate, or NETWORK=RATE.  [default: the protocol's, for 1000 epochs]",
    ),
    click.option(
        "--network-option",
        "network_options",
        type=Pairs(),
        multiple=True,
        callback=whole_numbers,
        help="NETWORK.OPTION=NUMBER, such as resnet18.width=16.",
    ),
)
COMPARED = (
    click.option(
        "--baselines",
        multiple=True,
        type=click.Choice(BASELINES),
        default=("before", "random"),
        help="The same latents before optimisation; random real images, those nearest to k-means centres, those that "
        "herding picks; the full data.",
    ),
    click.option(
        "--hybrid",
        metavar="PERCENTS",
        callback=_hybrid,
        help="Add these shares of the real images to the set, and compare with the share alone: 1,5,10.",
    ),
    click.option("--scores", is_flag=True, default=False, help="LRS and ARS of DD-Ranking, of the seen architecture."),
    click.option(
        "--cost",
        is_flag=True,
        default=False,
        help="What training takes on the set and on the full data, and when the set has paid.",
    ),
    click.option("--reach", default=0.8, help="For --cost: the share of the full data's accuracy to be reached."),
    click.option(
        "--split", type=click.Choice(["test", "validation"]), default="test", help="Tune on validation; use test once."
    ),
)
DATA = (
    click.option("--data", help="The data that sets of images stand for, as `glad distill --data`; runs know theirs."),
    click.option("--root", default="data", help="Where data sets lie; this and the next four go with --data."),
    click.option("--classes", multiple=True, help="A class to keep, by number or name; give it several times."),
    click.option("--limit", type=int, help="Use at most this many training images."),
    click.option("--resolution", type=int, help="Resize and crop image files to squares of this side."),
    click.option("--zca/--no-zca", default=False, help="Whiten the data."),
    click.option(
        "--seen",
        type=click.Choice(list(NETWORKS)),
        default="convnet",
        help="The seen architecture, the network that was distilled with, where no set says so.",
    ),
)
WORK = (
    click.option(
        "--workers", default=1, help="Processes to spread the trainings over; they share the threads of this one."
    ),
    click.option(
        "--part",
        metavar="I/N",
        help="Do only the I-th of N parts, for ranks on one file system; a call without --part merges them.",
    ),
    click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ..."),
)


def _all_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed([CONFIG, *TRAINING, *COMPARED, *DATA, *WORK]):
        command = option(command)
    return command


@click.command(cls=OldNames, old_names={"--recipe": "--label-mode", "--same": "--seen"})
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_all_options
def evaluate(runs: tuple[Path, ...], **settings: Any) -> None:
    """Train networks from scratch on distilled sets and test them.

    RUNS are folders of `glad distill`, of one data set. Instead, or beside them: what `glad export` wrote, a folder
    CLASS/image or an npz of images. Every accuracy is of the last epoch. The seen architecture is the network that the
    set was distilled with; the others are averaged apart, as cross-architecture. What is finished is kept in each run's
    results.json (NAME.results.json beside other sets): an interrupted evaluation continues.
    """
    from glad.api import evaluate as run

    settings["networks"] = settings["networks"] or list(NETWORKS)
    settings["classes"] = settings["classes"] or None
    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_cell(cell: dict[str, Any], left: int) -> None:
            if not bars:  # how many cells are missing is known with the first
                bars.append(stack.enter_context(progress_bar(left + 1, "training")))
            note = f"{cell['row']}, {cell['network']}, seed {cell['seed']}: {100 * cell['accuracy']:.1f} %"
            bars[0].advance(bars[0].total - left, note)

        results = run(list(runs), **settings, on_cell=on_cell)
    say(results)
