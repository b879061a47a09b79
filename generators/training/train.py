"""Train a small StyleGAN-XL generator on the training images of a data set: a prior for a domain of one's own.

First a classifier of the images, whose frozen features the discriminator sees, then the two networks against each
other (``generators.training.gan`` has the method). Images of a validation or test set, here or in fashion-mini, are
left out, and so are their twins. Every step is a function of the seed and its number: an interrupted run continues to
the same bits. docs/TRAIN_A_PRIOR.md says what to expect; the command is ``glad weights train``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from generators import weights
from generators.recommendations import read_recommendations
from generators.training.budget import TimeBudget, plan_feature_steps
from generators.training.discriminator import Features
from generators.training.gan import (
    DivergedError,
    Networks,
    Reals,
    start,
    train_features,
    train_step,
)
from generators.training.held_out import training_images
from generators.training.log import Log, draw
from generators.training.progress import Progress
from generators.training.settings import LOOSE, TrainingSettings
from glad.data.augment import transform_names
from glad.data.dataset import ImageData, Splits
from glad.runs.arithmetic import arithmetic, resume_arithmetic
from glad.runs.interrupts import Interrupts, Terminated
from glad.runs.storage import RunError, read_tensors
from glad.settings.fields import rename_old

SNAPSHOT = 250  # steps between states and pictures
SMALL = 10_000  # images; with fewer, both sides of the game are augmented
DIFF_AUGMENT = "color_crop_cutout"
STATE, WEIGHTS = "state.safetensors", "generator.safetensors"


def train_generator(
    splits: Splits,
    out: str | Path,
    settings: TrainingSettings | None = None,
    *,
    minutes: float = 60.0,
    steps: int | None = None,
    device: str = "cpu",
    rates: Mapping[str, Mapping[str, float]] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a generator on the training images of ``splits``, or continue in ``out``, and write its weights.

    Args:
        splits: the data; images of 16 pixels a side or more, an even number of them.
        out: folder of the run; one that holds a run is continued.
        settings: what is trained, and how.
        minutes: budget of all stages and of earlier calls; loading the data is not counted.
        steps: steps of the generator to stop at, if that is earlier.
        device: where to train, such as "cpu" or "cuda".
        rates: learning rates to recommend in the file, by objective and latent: ``{"dm": {"w": 0.1}}``.
        progress: hears lines and how far the training is.

    Returns:
        The file of the generator: half precision, with data, counts and settings as metadata.

    Raises:
        DataError: images that cannot be framed.
        ValueError: settings or a budget that cannot be kept to.
        RunError: ``out`` holds a run of other images or settings, or the budget ended before the generator's first
            step.
        DivergedError: a loss that is no number; the last state is kept.
    """
    out, progress = Path(out), progress or Progress()
    budget = TimeBudget(minutes, steps)  # which says at once what cannot be kept to
    stated_rates = json.dumps(dict(rates or {}))
    read_recommendations({"learning_rates": stated_rates})  # as do this and the names of the transforms
    data = training_images(splits)
    settings = choose(settings or TrainingSettings(), data)
    transform_names(settings.augment)
    reals = Reals(data, settings.conditional)
    n = start(reals, settings, device)
    out.mkdir(parents=True, exist_ok=True)
    try:
        history = train(n, reals, settings, out, budget, splits, progress)
    except DivergedError as error:
        raise DivergedError(f"{error}: lower --lr or raise --r1; {out} has the last state") from error
    stated = {"minutes": f"{budget.spent:.0f}", "recipes": history, "learning_rates": stated_rates}
    ship(n, reals, settings.batch, out / WEIGHTS, stated)
    return out / WEIGHTS


def choose(settings: TrainingSettings, data: ImageData) -> TrainingSettings:
    """The settings, with what depends on the data."""
    automatic = DIFF_AUGMENT if len(data) < SMALL else "none"
    return replace(
        settings,
        augment=automatic if settings.augment == "auto" else settings.augment,
        conditional=settings.conditional and len(data.classes) > 1,
    )


def ship(n: Networks, reals: Reals, batch: int, path: Path, stated: dict[str, str]) -> None:
    """Write the averaged generator in half precision, with where it comes from as metadata.

    Raises ``RunError`` where no step was made: untrained weights would pass for trained ones.
    """
    if not n.step:
        raise RunError(
            f"the budget ended before the generator's first step: {path.name} is not written; give more --minutes"
        )
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
        **stated,
    )


def accuracy(features: Features, images: Reals) -> float:
    """The share of ``images`` whose class the features tell."""
    right = 0
    for part in images.data.chunks():
        with torch.no_grad():
            logits = features.classify(features(images.at(part).to(features.start.weight.device)))
        right += int((logits.argmax(1).cpu() == images.data.labels[part]).sum())
    return right / len(images.data)


def pretrain(
    n: Networks, reals: Reals, settings: TrainingSettings, validation: ImageData, budget: TimeBudget, progress: Progress
) -> TrainingSettings:
    """Train and freeze the features, and say how well they tell the classes of images that they have not seen.

    Returns the settings with the number of steps that were made. Raises ``RunError`` when the budget ends before them.
    """
    steps, split = plan_feature_steps(n.features, reals, settings, budget)
    progress.say(split)
    for i, loss in enumerate(train_features(n.features, reals, settings, steps)):
        progress.advance("step", i + 1, steps, f"features, loss {loss:.3f}")
        if budget.spent >= budget.minutes and i + 1 < steps:
            raise RunError(
                f"the budget of {budget.minutes:g} min ended after {i + 1:,} of {steps:,} steps of the discriminator's "
                "features, which took longer than planned: nothing is written; give more --minutes or fewer "
                "--feature-steps"
            )
    if reals.classes > 1:
        known = accuracy(n.features, Reals(validation, conditional=True))
        progress.say(f"the features' validation accuracy is {100 * known:.1f} %")
    return replace(settings, feature_steps=steps)


def resume(
    n: Networks, path: Path, settings: TrainingSettings, images: str, progress: Progress
) -> tuple[float, list[dict[str, Any]]]:
    """Restore a state; its minutes, and the settings so far with the steps that they began at, the last ``settings``.

    Raises ``RunError`` if it is of other images, or of settings that are not to be changed under way.
    """
    tensors, found = read_tensors(path)
    history = json.loads(found.get("recipes", "[{}]"))
    made = rename_old(TrainingSettings, history[-1])
    asked = asdict(settings)
    if settings.feature_steps is None:  # then it is as many as there were
        asked["feature_steps"] = made.get("feature_steps")
    changed = {name: value for name, value in asked.items() if made.get(name) != value}
    differing = [f"{name} {made.get(name)}, not {value}" for name, value in changed.items() if name not in LOOSE]
    if found.get("images") != images:
        differing.append("other training images")
    if differing:
        raise RunError(f"{path} was made with {'; '.join(differing)}: choose another --out")
    resume_arithmetic(json.loads(found.get("arithmetic", "null")), str(path))
    n.restore(tensors, int(found["step"]))
    if changed:
        progress.say(f"from step {n.step} on: {', '.join(f'{name} {value}' for name, value in changed.items())}")
        history.append({"step": n.step, **asked})
    return float(found["minutes"]), history


def train(
    n: Networks,
    reals: Reals,
    settings: TrainingSettings,
    out: Path,
    budget: TimeBudget,
    splits: Splits,
    progress: Progress,
) -> str:
    """Train within ``budget``, from the state in ``out`` if there is one; the settings by step, as JSON."""
    progress.say(
        f"{len(reals.data):,} training images of {len(splits.train):,}, {reals.resolution} pixels; "
        f"generator of {sum(p.numel() for p in n.generator.parameters()):,} parameters"
    )
    budget.resume(0)
    state = out / STATE
    if state.exists():
        spent, history = resume(n, state, settings, reals.data.digest, progress)
        budget.resume(spent)
        progress.say(f"continuing at step {n.step}, with {max(0.0, budget.minutes - spent):.1f} minutes left")
    else:
        made = pretrain(n, reals, settings, splits.validation, budget, progress)
        history = [{"step": 0, **asdict(made)}]
    stated = {"recipes": json.dumps(history), "images": reals.data.digest, "arithmetic": json.dumps(arithmetic())}
    if not state.exists():
        n.save(state, minutes=str(budget.spent), **stated)
    log = Log(out, n.step, settings.batch, progress)
    classes = reals.data.classes if settings.conditional else ()
    with Interrupts() as interrupts:
        try:
            while budget.left(n.step):
                with interrupts.held():  # a step is taken as a whole
                    log.metrics(n.step + 1, train_step(n, reals, settings))
                    progress.spend(budget.spent, budget.minutes, f"step {n.step}")
                    if n.step % SNAPSHOT == 0:
                        n.save(state, minutes=str(budget.spent), **stated)
                        log.snapshot(n, budget.spent, classes)
        except (KeyboardInterrupt, Terminated):
            n.save(state, minutes=str(budget.spent), **stated)
            raise
    n.save(state, minutes=str(budget.spent), **stated)
    draw(n, classes, out / "samples.png")
    log.events.close()
    return stated["recipes"]
