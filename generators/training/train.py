"""Train a small StyleGAN-XL generator on the training images of a data set: a prior for a domain of one's own.

First a classifier of the images, whose frozen features the discriminator sees, then the two networks against each
other (``generators.training.gan`` has the method). Images of a validation or test set, here or in fashion-mini, are
left out, and so are their twins. Every step is a function of the seed and its number: an interrupted run continues to
the same bits. docs/TRAIN_A_PRIOR.md says what to expect.

    python generators/training/train.py --data fashionmnist --root DATA --out runs/generator --minutes 60
"""

import json
import resource
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from generators import weights
from generators.stylegan_xl import Generator
from generators.training.discriminator import GROUP, Features
from generators.training.gan import (
    LOOSE,
    Z_DIM,
    DivergedError,
    Networks,
    Reals,
    Recipe,
    start,
    train_features,
    train_step,
)
from generators.training.held_out import training_images
from glad.cli.options import progress_bar
from glad.data.dataset import DataError, ImageData
from glad.data.splits import load_data
from glad.rng import rng_for
from glad.runs.image_grid import grid, save_png
from glad.runs.storage import RunError, read_tensors

SNAPSHOT = 250  # steps between states and pictures
CURVE = 25  # steps between points of the curves
SHOWN = 10  # classes, and samples of each, in a picture
SMALL = 10_000  # images; with fewer, both sides of the game are augmented
DIFF_AUGMENT = "color_crop_cutout"


class Log:
    """Curves, pictures and lines of one run, from ``step`` on."""

    def __init__(self, out: Path, step: int, batch: int) -> None:
        self.out, self.batch = out, batch
        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=step)
        self.curve: dict[str, list[float]] = defaultdict(list)
        self.lines: dict[str, list[float]] = defaultdict(list)
        self.began, self.since = time.monotonic(), step

    def metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Note what the step before ``step`` gave."""
        for name, value in metrics.items():
            self.curve[name].append(value)
            self.lines[name].append(value)
        if step % CURVE == 0:
            for name, values in self.curve.items():
                self.writer.add_scalar(name, statistics.fmean(values), step)
            self.curve.clear()

    def snapshot(self, n: Networks, minutes: float, classes: tuple[str, ...]) -> None:
        """Draw samples, and print how far and how fast the run is."""
        self.writer.add_images("samples", draw(n, classes, self.out / f"samples_{n.step:06d}.png"), n.step)
        rate = (n.step - self.since) * self.batch / (time.monotonic() - self.began)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        losses = ", ".join(f"{name.removeprefix('loss/')} {statistics.fmean(v):.3f}" for name, v in self.lines.items())
        click.echo(f"step {n.step}, {minutes:.1f} min, {rate:.0f} images/s, {memory:.1f} GiB at most: {losses}")
        self.began, self.since = time.monotonic(), n.step
        self.lines.clear()


@torch.no_grad()
def samples(generator: Generator, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Ten samples of each class that is shown, in [0, 1], and their columns; ``classes`` is empty if there are none."""
    columns = torch.arange(len(classes[:SHOWN]) or SHOWN).repeat_interleave(SHOWN)
    device = generator.mapping.w_avg.device
    z = torch.randn(len(columns), Z_DIM, generator=rng_for("grid")).to(device)
    images = generator(z, columns.to(device) if classes else None)
    return ((images + 1) / 2).clamp(0, 1).cpu(), columns


def draw(n: Networks, classes: tuple[str, ...], path: Path) -> Tensor:
    """Draw samples of the averaged generator, a column per class, and return them."""
    images, columns = samples(n.average, classes)
    save_png(grid(images, columns, classes[:SHOWN] or ("",) * SHOWN), path)
    return images


def ship(n: Networks, reals: Reals, batch: int, path: Path, told: dict[str, str]) -> None:
    """Write the averaged generator in half precision, with where it comes from as metadata."""
    weights.save(
        path,
        n.average,
        torch.float16,
        data=reals.data.name,
        real_images=str(len(reals.data)),
        images_shown=str(n.step * batch),
        steps=str(n.step),
        frame=str(reals.frame),
        classes="\n".join(reals.data.classes),
        **told,
    )


def accuracy(features: Features, images: Reals) -> float:
    """The share of ``images`` whose class the features tell."""
    right = 0
    for part in images.data.chunks():
        with torch.no_grad():
            logits = features.classify(features(images.at(part).to(features.start.weight.device)))
        right += int((logits.argmax(1).cpu() == images.data.labels[part]).sum())
    return right / len(images.data)


def pretrain(n: Networks, reals: Reals, recipe: Recipe, validation: ImageData) -> None:
    """Train and freeze the features, and say how well they tell the classes of images that they have not seen."""
    click.echo("training the features that the discriminator sees")
    with progress_bar(recipe.feature_steps, "step") as bar:
        for i, loss in enumerate(train_features(n.features, reals, recipe)):
            bar.advance(i + 1, f"loss {loss:.3f}")
    if reals.classes > 1:
        known = accuracy(n.features, Reals(validation, conditional=True))
        click.echo(f"they tell the class of {100 * known:.1f} % of the validation images")


def resume(n: Networks, path: Path, recipe: Recipe, images: str) -> tuple[float, list[dict[str, Any]]]:
    """Restore a state; its minutes, and the recipes so far with the steps that they began at, the last one ``recipe``.

    Raises ``RunError`` if it is of other images, or of a recipe that is not to be changed under way.
    """
    tensors, found = read_tensors(path)
    history = json.loads(found.get("recipes", "[{}]"))
    made = history[-1]
    changed = {name: value for name, value in asdict(recipe).items() if made.get(name) != value}
    differing = [f"{name} {made.get(name)}, not {value}" for name, value in changed.items() if name not in LOOSE]
    if found.get("images") != images:
        differing.append("other training images")
    if differing:
        raise RunError(f"{path} was made with {'; '.join(differing)}: choose another --out")
    n.restore(tensors, int(found["step"]))
    if changed:
        click.echo(f"from step {n.step} on: {', '.join(f'{name} {value}' for name, value in changed.items())}")
        history.append({"step": n.step, **asdict(recipe)})
    return float(found["minutes"]), history


def train(
    n: Networks, reals: Reals, recipe: Recipe, out: Path, budget: tuple[float, int | None], validation: ImageData
) -> tuple[float, str]:
    """Train for ``budget`` minutes or up to that step, earlier runs included; the minutes, and the recipes as JSON."""
    state, clock = out / "state.safetensors", time.monotonic()
    history: list[dict[str, Any]] = [{"step": 0, **asdict(recipe)}]
    resumed = state.exists()
    if resumed:
        spent, history = resume(n, state, recipe, reals.data.digest)
        clock -= 60 * spent
        click.echo(f"continuing at step {n.step}")
    else:
        pretrain(n, reals, recipe, validation)
    told = {"recipes": json.dumps(history), "images": reals.data.digest}
    if not resumed:
        n.save(state, minutes=str((time.monotonic() - clock) / 60), **told)
    log = Log(out, n.step, recipe.batch)
    classes = reals.data.classes if recipe.conditional else ()
    parts = TextColumn("step {task.fields[step]}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*parts, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("", total=budget[0], step=n.step)
        while (minutes := (time.monotonic() - clock) / 60) < budget[0] and n.step != budget[1]:
            log.metrics(n.step + 1, train_step(n, reals, recipe))
            progress.update(bar, completed=minutes, step=n.step)
            if n.step % SNAPSHOT == 0:
                n.save(state, minutes=str(minutes), **told)
                log.snapshot(n, minutes, classes)
    n.save(state, minutes=str(minutes), **told)
    draw(n, classes, out / "samples.png")
    log.writer.close()
    return minutes, told["recipes"]


def choose(recipe: dict[str, Any], data: ImageData) -> Recipe:
    """The recipe, with what depends on the data."""
    if recipe["augment"] == "auto":
        recipe["augment"] = DIFF_AUGMENT if len(data) < SMALL else "none"
    recipe["conditional"] = recipe["conditional"] and len(data.classes) > 1
    if recipe["batch"] % GROUP:
        raise ValueError(f"batch is {recipe['batch']}: choose a multiple of {GROUP}, the images of a class in a group")
    return Recipe(**recipe)


@click.command(context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--data", "source", default="fashionmnist", help="Data set by name, or a folder, as `glad distill --data`."
)
@click.option("--root", default="data", help="Where named data sets lie.")
@click.option(
    "--resolution", type=click.IntRange(16), help="Resize and crop to squares; folders of mixed sizes need it."
)
@click.option("--download", is_flag=True, help="Download a named data set that is not there.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder; continues if there is a run in it."
)
@click.option("--minutes", default=60.0, help="Stop after this much training time, earlier runs included.")
@click.option("--steps", type=int, help="Stop at this step, if that is earlier.")
@click.option("--device", default="cpu", help="cpu or cuda.")
@click.option("--conditional/--unconditional", default=True, help="Whether the generator is told the class.")
@click.option("--batch", type=click.IntRange(GROUP), default=Recipe.batch, help=f"A multiple of {GROUP}.")
@click.option("--channels", type=click.IntRange(1), default=Recipe.channels, help="Of the widest layer.")
@click.option("--channel-base", default=Recipe.channel_base, help="Channels are at most this / 2 / cutoff.")
@click.option("--layers", type=click.IntRange(4), default=Recipe.layers, help="Synthesis layers before toRGB.")
@click.option("--w-dim", type=click.IntRange(1), default=Recipe.w_dim, help="Length of a style code.")
@click.option("--feature-steps", type=click.IntRange(1), default=Recipe.feature_steps, help="Training of the features.")
@click.option("--lr", default=Recipe.lr, help="Learning rate of the generator.")
@click.option("--discriminator-lr", default=Recipe.discriminator_lr)
@click.option("--r1", default=Recipe.r1, help="Weight of the penalty on the slope at real images; 0 is off.")
@click.option("--guidance", default=Recipe.guidance, help="Weight of the classifier's loss on samples, at first.")
@click.option(
    "--augment", default="auto", help=f"What both sides see, as in DSA; auto: {DIFF_AUGMENT} below {SMALL:,} images."
)
@click.option("--seed", default=Recipe.seed)
@click.option("--rates", default="{}", help='Learning rates to recommend, as JSON: {"dm": {"w": 0.1}}.')
def main(
    source: str, root: str, resolution: int | None, download: bool, out: Path, minutes: float, steps: int | None,
    device: str, rates: str, **recipe: Any,
) -> None:  # fmt: skip
    """Train a generator and write OUT/generator.safetensors."""
    try:
        json.loads(rates)
        splits = load_data(source, root=root, resolution=resolution, download=download)
        data = training_images(splits)
        chosen = choose(recipe, data)
        reals = Reals(data, chosen.conditional)
        out.mkdir(parents=True, exist_ok=True)
        n = start(reals, chosen, device)
        click.echo(
            f"{len(data):,} training images of {len(splits.train):,}, {reals.resolution} pixels; "
            f"generator of {sum(p.numel() for p in n.generator.parameters()):,} parameters"
        )
        spent, recipes = train(n, reals, chosen, out, (minutes, steps), splits.validation)
        told = {"minutes": f"{spent:.0f}", "recipes": recipes, "learning_rates": rates}
        ship(n, reals, chosen.batch, out / "generator.safetensors", told)
    except DivergedError as error:
        raise click.ClickException(f"{error}: lower --lr or raise --r1; {out} has the last state") from error
    except (DataError, RunError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{out / 'generator.safetensors'}: use it with glad distill --data {source} --prior {out}/generator.safetensors"
    )


if __name__ == "__main__":
    main()
