"""``glad weights train``."""

import json
from pathlib import Path
from typing import Any

import click

from generators.training.discriminator import GROUP
from generators.training.gan import TrainingSettings
from generators.training.train import DIFF_AUGMENT, SMALL, train_generator
from glad.cli.weights.bars import Bars
from glad.data.splits import load_data


def read_json_rates(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, dict[str, float]]:
    """Read learning rates by objective and latent."""
    try:
        rates = json.loads(value)
        return {name: {latent: float(rate) for latent, rate in given.items()} for name, given in rates.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise click.BadParameter(
            f'{value!r} is not JSON such as {{"dm": {{"w": 0.1}}}} ({error})', ctx, param
        ) from None


@click.command()
@click.option("--data", default="fashionmnist", help="Data set by name, a folder or an .npz, as `glad distill --data`.")
@click.option("--root", default="data", help="Where named data sets lie.")
@click.option("--classes", multiple=True, help="A class to keep, by number or name; give it several times.")
@click.option("--limit", type=int, help="Use at most this many training images.")
@click.option(
    "--resolution", type=click.IntRange(16), help="Resize and crop to squares; folders of mixed sizes need it."
)
@click.option("--download", is_flag=True, help="Download a named data set that is not there.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run; continued there."
)
@click.option(
    "--minutes", default=60.0, help="Budget of minutes for all stages of the training, earlier calls included."
)
@click.option("--steps", type=int, help="Stop at this step of the generator, if that is earlier.")
@click.option("--device", default="cpu", help="cpu or cuda.")
@click.option(
    "--conditional/--unconditional", default=TrainingSettings.conditional, help="Tell the generator the class, or not."
)
@click.option("--batch", type=click.IntRange(GROUP), default=TrainingSettings.batch, help=f"A multiple of {GROUP}.")
@click.option(
    "--channels", type=click.IntRange(1), default=TrainingSettings.channels, help="Channels of the widest layer."
)
@click.option(
    "--channel-base", default=TrainingSettings.channel_base, help="Channels are at most this / 2 / cutoff frequency."
)
@click.option(
    "--layers", type=click.IntRange(4), default=TrainingSettings.layers, help="Synthesis layers before toRGB."
)
@click.option("--w-dim", type=click.IntRange(1), default=TrainingSettings.w_dim, help="Length of a style code.")
@click.option(
    "--feature-steps",
    type=click.IntRange(1),
    help="Steps of training the discriminator's features.  [default: 1800, or what fits into a quarter of --minutes]",
)
@click.option("--lr", default=TrainingSettings.lr, help="Learning rate of the generator.")
@click.option(
    "--discriminator-lr", default=TrainingSettings.discriminator_lr, help="Learning rate of the discriminator."
)
@click.option(
    "--r1", default=TrainingSettings.r1, help="Weight of the penalty on the gradient at real images; 0 is off."
)
@click.option(
    "--guidance", default=TrainingSettings.guidance, help="Weight of the classifier's loss on samples, at first."
)
@click.option(
    "--augment",
    default="auto",
    help=f"Augmentation of real images and samples, as in DSA; auto: {DIFF_AUGMENT} below {SMALL:,} images.",
)
@click.option("--seed", default=TrainingSettings.seed, help="Seed of every draw.")
@click.option(
    "--rates", default="{}", callback=read_json_rates, help='Learning rates to recommend: {"dm": {"w": 0.1}}.'
)
def train(
    data: str, root: str, classes: tuple[str, ...], limit: int | None, resolution: int | None, download: bool,
    out: Path, minutes: float, steps: int | None, device: str, rates: dict[str, dict[str, float]], **settings: Any,
) -> None:  # fmt: skip
    """Train a small generator on the training images of a data set: a prior for a domain of your own.

    Images of validation and test sets are left out. The same command continues a training that was interrupted.
    """
    splits = load_data(
        data,
        root=root,
        classes=list(classes) or None,
        limit=limit,
        resolution=resolution,
        download=download,
        single_class=True,
    )
    with Bars() as bars:
        written = train_generator(
            splits,
            out,
            TrainingSettings(**settings),
            minutes=minutes,
            steps=steps,
            device=device,
            rates=rates,
            progress=bars,
        )
    click.echo(f"{written}: use it with `glad distill --data {data} --prior {written}`.")
