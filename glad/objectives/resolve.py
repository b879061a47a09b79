"""From a name to an objective, with its options and learning rates, and an error that says what exists."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from glad.data.augment import augment, strategy_for
from glad.data.dataset import ImageData
from glad.networks.factory import network_factory
from glad.objectives import OBJECTIVES, Objective
from glad.priors.description import PriorDescription
from glad.registry import construct, options_of


def resolve_learning_rates(
    latents: Sequence[str],
    objective: str | Objective,
    made: Any,
    prior: PriorDescription,
    wanted: Mapping[str, float] | float | None,
    besides: Sequence[str] = (),
) -> dict[str, float]:
    """Choose the learning rate of every tensor that has one.

    Args:
        latents: Names of the latents.
        objective: The objective as it was asked for: a name, ``module:Class``, or an object. Its registered name is
            that by which a prior tells the rates under one objective from those under another.
        made: The objective itself, or its class, with the published ``learning_rates``.
        prior: What the prior says of itself.
        wanted: The user's rates by name; a single number is the rate of every latent.
        besides: Names of what else is learned, such as labels.

    Returns:
        Rates by name: the wanted ones before the prior's own before the objective's published ones.

    Raises:
        ValueError: The user names a rate of what does not exist.
    """
    if isinstance(wanted, int | float):
        wanted = dict.fromkeys(latents, float(wanted))
    wanted = _present_names(made, wanted or {})
    known = {**getattr(made, "learning_rates", {}), **prior.learning_rates(registered_name(objective))}
    names = [*prior.prior.tensors(), *(() if inspect.isclass(made) else getattr(made, "tensors", dict)())]
    known_names = list(dict.fromkeys([*latents, *besides, *known, *names, *(name.split("/")[0] for name in names)]))
    if unknown := [name for name in wanted if name not in known_names]:
        raise ValueError(f"there is no {unknown[0]!r} to give a learning rate to; there are {', '.join(known_names)}")
    return {**known, **wanted}


def registered_name(objective: str | Objective) -> str:
    """The name of an objective in the registry, also of an object of a registered class; else what it was asked by."""
    if not isinstance(objective, str):
        return OBJECTIVES.name_of(type(objective))
    return OBJECTIVES.name_of(OBJECTIVES.find(objective)) or objective


def _present_names(objective: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with the present names of what the objective called otherwise before, and a note for each."""
    renamed = getattr(objective, "old_names", {})
    for name in given:
        if name in renamed:
            warnings.warn(f"{name} is called {renamed[name]} now", stacklevel=3)
    return {renamed.get(name, name): value for name, value in given.items()}


def resolve_objective(
    objective: Any,
    data: ImageData,
    prior: PriorDescription,
    segment: Callable[[torch.Generator, int, int], Any] | None,
    config: dict[str, Any],
    device: torch.device,
) -> Objective:
    """The objective called ``objective`` (or already made), with data, network and augmentation handed in.

    Options that are published for codes replace the others where ``prior`` says that it has codes. A published batch
    that exceeds the smallest class is lowered to it. ``config`` says so in both cases. ``ValueError`` where it follows
    experts and there is no ``segment`` of their trajectories.
    """
    if not isinstance(objective, str):
        opened: Objective = objective
        return opened
    factory = OBJECTIVES.find(objective)
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
    options = config["objective_options"] = _present_names(factory, config["objective_options"])
    if prior.codes:
        for name, value in getattr(factory, "options_for_codes", {}).items():
            options.setdefault(name, value)
    if "batch" in options_of(factory) and "batch" not in options:
        smallest = int(data.labels.bincount(minlength=len(data.classes)).min())
        options["batch"] = min(int(options_of(factory)["batch"].default), smallest)
    made: Objective = construct(factory, provided, options)
    return made
