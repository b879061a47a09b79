"""From a name to an objective, with its options and learning rates, and an error that says what exists."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from glad.data.augment import augment, strategy_for
from glad.data.dataset import ImageData
from glad.networks.factory import network_factory
from glad.objectives import OBJECTIVES, Objective
from glad.priors.base import Prior
from glad.priors.pixels import Pixels
from glad.registry import construct, locate, options_of


def learning_rates(
    latents: Sequence[str], objective: Any, recommended: Mapping[str, float], wanted: Mapping[str, float] | float | None
) -> dict[str, float]:
    """Rates by name: the wanted before those the weights recommend before the objective's published ones.

    A single number is the rate of every latent. Codes alone (W+) take the published rate of f, as GLaD's do.
    """
    published = dict(getattr(objective, "learning_rates", {}))
    if list(latents) == ["w"] and "f" in published:
        published["w"] = published["f"]
    if isinstance(wanted, int | float):
        wanted = dict.fromkeys(latents, float(wanted))
    return {**published, **recommended, **(wanted or {})}


def resolve_objective(
    objective: Any,
    data: ImageData,
    prior: Prior,
    segment: Callable[[torch.Generator, int, int], Any] | None,
    config: dict[str, Any],
    device: torch.device,
) -> Objective:
    """The objective called ``objective`` (or already made), with data, network and augmentation handed in.

    Options that are published for codes replace those for pixels where ``prior`` is a generator. A published batch that
    exceeds the smallest class is lowered to it. ``config`` says so in both cases. ``ValueError`` where an objective
    follows experts and there is no ``segment`` of their trajectories.
    """
    if not isinstance(objective, str):
        opened: Objective = objective
        return opened
    factory = locate(objective, OBJECTIVES, "objective")
    provided: dict[str, Any] = {
        "real": data.real,
        "network": network_factory(data, config["network"], config["network_options"], device),
        "augment": partial(augment, strategy=strategy_for(data, config["augmentation"])),
    }
    if segment is not None:
        provided["segment"] = segment
    elif "segment" in inspect.signature(factory).parameters:
        raise ValueError(
            f"{objective} follows experts, and there are none: train some with `glad experts train --out FOLDER` and "
            "name the folder (--experts FOLDER)"
        )
    options = config["objective_options"]
    if not isinstance(prior, Pixels):
        for name, value in getattr(factory, "options_for_codes", {}).items():
            options.setdefault(name, value)
    if "batch" in options_of(factory) and "batch" not in options:
        smallest = int(data.labels.bincount(minlength=len(data.classes)).min())
        options["batch"] = min(int(options_of(factory)["batch"].default), smallest)
    made: Objective = construct(factory, provided, options)
    return made
