"""``glad weights train``."""

import json
import shlex
from typing import Any

import click

from generators.training.settings import TrainingSettings
from glad.cli.settings import from_options, settings_options
from glad.cli.weights.bars import Bars
from glad.settings.data import DataSettings, changed_words
from glad.settings.fields import settings_of


def read_json_rates(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, dict[str, float]]:
    """Read learning rates by objective and latent."""
    try:
        rates = json.loads(value)
        return {name: {latent: float(rate) for latent, rate in given.items()} for name, given in rates.items()}
    except (ValueError, AttributeError, TypeError) as error:
        example = 'JSON such as {"dm": {"w": 0.1}}'
        raise click.BadParameter(f"{value!r} is not {example} ({error})", ctx, param) from None


@click.command()
@settings_options(DataSettings, skip=("zca",))
@click.option("--download", is_flag=True, help="Download a named data set that is not there.")
@click.option(
    "--out", type=click.Path(file_okay=False), required=True, help="Folder of the training, which is continued there."
)
@click.option(
    "--minutes", default=60.0, help="Budget of minutes for all stages of the training, earlier calls included."
)
@click.option("--steps", type=int, help="Stop at this step of the generator, if that is earlier.")
@click.option("--device", default="cpu", help="auto, cpu, cuda, ...")
@click.option(
    "--rates", default="{}", callback=read_json_rates, help='Learning rates to recommend: {"dm": {"w": 0.1}}.'
)
@settings_options(TrainingSettings)
def train(
    download: bool, out: str, minutes: float, steps: int | None, device: str, rates: dict[str, dict[str, float]],
    **options: Any,
) -> None:  # fmt: skip
    """Train a small generator on a data set: a prior of your own.

    It learns from the training images; those of validation and test sets are left out. The same command continues a
    training that was interrupted.
    """
    source, settings = from_options(DataSettings, options), from_options(TrainingSettings, options)
    from generators.training.train import train_generator
    from glad.data.splits import open_data
    from glad.device import pick_device

    device = str(pick_device(device))
    splits = open_data(source, download=download, single_class=True)
    with Bars() as bars:
        written = train_generator(
            splits, out, settings, minutes=minutes, steps=steps, device=device, rates=rates, progress=bars
        )
    if len(splits.train.classes) == 1:  # which no set is distilled of
        click.echo(f"{written}: use it with `--prior {written}`.")
        return
    others = {setting.name for setting in settings_of(DataSettings)} - {"data"}
    words = ["glad", "distill", "--data", source.data, *changed_words(source, others), "--prior", str(written)]
    click.echo(f"{written}: use it with `{shlex.join(words)}`.")
