"""``glad distill``."""

from collections.abc import Mapping
from typing import Any

import click

from glad.cli.options import CONFIG, RECIPE, ClassPairs, Pairs, above_defaults, progress_bar, read_rates
from glad.data.augment import ALL
from glad.initialization import LABELS, STARTS
from glad.networks import NETWORKS
from glad.objectives import OBJECTIVES
from glad.registry import options_of, read_option


def _objective_help() -> str:
    """One line per objective: its options and their defaults."""
    lines = []
    for name, factory in OBJECTIVES.items():
        options = " ".join(f"{key}={p.default}" for key, p in options_of(factory).items()) or "none"
        codes = " ".join(f"{key}={value}" for key, value in getattr(factory, "options_for_codes", {}).items())
        lines.append(f"  {name}: {options}" + (f" (for codes of a generator: {codes})" if codes else ""))
    return "\b\n" + "\n".join(["Options of the objectives (-o) and their defaults:", *lines])


def _dict_or_none(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(above_defaults(ctx, param, pairs))


def read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `glad distill` as ``glad.distill`` takes them."""
    options = {
        key: read_option(f"{settings['network']}.{key}", value, str if key == "norm" else int)
        for key, value in settings["network_options"].items()
    }
    return {**settings, "classes": list(settings["classes"]) or None, "network_options": options}


PRIOR_HELP = """\b
Options of the priors (-p) and their defaults:
  pixels: init=noise (or real)
  generator: layer=None (F_n space) rand_f=0 avg_w=0 learn_g=0 (1 switches them on) truncation=1.0
             conv=float32 (or bfloat16)
  random: configuration=(by the data's size) classes=0 seed=0, and those of a generator
"""


@click.command(epilog=_objective_help() + "\n\n" + PRIOR_HELP)
@CONFIG
@RECIPE
@click.option(
    "--data",
    default="fashion-mini",
    help="fashion-mini, mnist, fashionmnist, cifar10, ..., imagenette, ..., a folder CLASS/*.png, or a .npz.",
)
@click.option("--objective", default="dm", help=f"{', '.join(OBJECTIVES)}, or module:Class of your own.")
@click.option(
    "--prior",
    default="fashion-mini",
    help="A generator of `glad weights list` (fashion-mini and digits-mini are embedded), FILE.safetensors, "
    "org/repo:FILE on the Hub, pixels, or module:Class.",
)
@click.option("--ipc", default=1, help="Synthetic images per class.")
@click.option(
    "--out", type=click.Path(file_okay=False), help="Folder of the run; continued if it exists.  [default: runs/NAME]"
)
@click.option("--iterations", default=1000, help="Updates of the synthetic set.")
@click.option(
    "--lr",
    multiple=True,
    callback=read_rates,
    metavar="RATE",
    help="Learning rate, or NAME=RATE (w, f, pixels, g).  [default: published]",
)
@click.option("--momentum", default=0.5, help="Momentum of the latents' SGD.")
@click.option(
    "-p",
    "--prior-option",
    "prior_options",
    type=Pairs(),
    multiple=True,
    callback=_dict_or_none,
    help="Option of the prior, see below.",
)
@click.option(
    "--class-map",
    "class_map",
    type=ClassPairs(),
    multiple=True,
    callback=_dict_or_none,
    metavar="CLASS=CLASS",
    help="A class of the data and the generator's class that stands for it, by name or number; give it several times. "
    "`guess` takes classes that no name decides by their number.  [default: by name]",
)
@click.option(
    "-o",
    "--set",
    "--objective-option",
    "objective_options",
    type=Pairs(),
    multiple=True,
    callback=_dict_or_none,
    help="Option of the objective, see below, or `glad objectives show NAME`.",
)
@click.option("--root", default="data", help="Where data sets lie.")
@click.option("--classes", multiple=True, help="A class to keep, by number or name; give it several times.")
@click.option("--limit", type=int, help="Use at most this many training images.")
@click.option("--resolution", type=int, help="Resize and crop image files to squares of this side.")
@click.option("--zca/--no-zca", default=False, help="Whiten the data.")
@click.option("--network", type=click.Choice(list(NETWORKS)), default="convnet", help="Network to distil with.")
@click.option(
    "--network-option",
    "network_options",
    type=Pairs(),
    multiple=True,
    callback=_dict_or_none,
    help="Option of that network, such as width=64 or norm=batch.",
)
@click.option(
    "--experts",
    type=click.Path(file_okay=False),
    help="Folder of `glad experts train`, which mtt, ast and --start representative need.",
)
@click.option(
    "--labels",
    type=click.Choice(LABELS),
    default="hard",
    help="hard: a class per image; learned: a weight per class, one-hot at first, learned at --lr labels=RATE (mtt and "
    "ast with -o unroll=full).",
)
@click.option(
    "--start",
    type=click.Choice(STARTS),
    default="prior",
    help="First latents: drawn by the prior; representative: the real images (with a generator: drawn codes) nearest "
    "to the centres of each class among an expert's logits; nearest: drawn codes whose images are nearest to such real "
    "ones (without --experts: to those that k-means on pixels chooses); inversion: codes that render them.",
)
@click.option("--candidates", default=100, help="Codes drawn per class, of which --start takes --ipc.")
@click.option("--inversion-steps", default=200, help="Steps of --start inversion, twice as many in F_n.")
@click.option("--augmentation", default=ALL, help="DSA transforms joined by _, or none.")
@click.option("--chunk", default=10, help="Images rendered at a time.")
@click.option("--memory", default=2.0, help="GiB for the generator's graphs; beyond it images are rendered twice.")
@click.option("--seed", default=0)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
@click.option("--save-every", default=50, help="Iterations between saved states.")
@click.option("--grid-every", default=100, help="Iterations between pictures.")
def distill(**settings: Any) -> None:
    """Distil a data set into a few synthetic images per class.

    Without options: the embedded FashionMNIST sample through the embedded generator, matched by DM. A run that was
    interrupted continues when the same command is given again, and ends with the same result.
    """
    from glad.api import distill as run

    settings, total = read_settings(settings), settings["iterations"]
    with progress_bar(total, "iteration") as bar:
        folder = run(**settings, on_step=lambda i, metrics: bar.advance(i + 1, f"loss {metrics['loss']:.4g}"))
    click.echo(f"{folder.path}: finished after {total} iterations. Look at {folder.path}/grid_{total:06d}.png,")
    click.echo(f"test it with `glad evaluate {folder.path}`, take it out with `glad export {folder.path}`.")
