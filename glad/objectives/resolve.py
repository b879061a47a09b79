"""From a name to an objective, with its options and learning rates, and an error that says what exists."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from generators.official import sha256
from glad.data.augment import augment, strategy_for
from glad.data.dataset import ImageData
from glad.members import require_methods
from glad.networks.factory import network_factory, require_fitting
from glad.objectives import OBJECTIVES, Objective
from glad.objectives.description import ObjectiveDescription
from glad.priors.description import PriorDescription
from glad.registry import files_among, options_of, read_arguments
from glad.settings.distill import DistillSettings
from glad.settings.experts import MissingExpertsError, training_command
from glad.settings.sets import REST

FORMER = {"ncfm": "; what was ncfm in earlier versions needs none and is called cf (--objective cf)"}
"""What to add where an objective has the name of another one of earlier versions."""


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
            that by which a prior has other rates under one objective than under another.
        made: The objective itself, or its class, with its default ``learning_rates``.
        prior: What the prior says of itself.
        wanted: The user's rates by name, ``*`` for latents that are not named; a single number is the rate of every
            latent.
        besides: Names of what else is learned, such as labels.

    Returns:
        Rates by name: the wanted ones before the prior's own before the objective's own.

    Raises:
        ValueError: The user names a rate of what does not exist.
    """
    if isinstance(wanted, int | float):
        wanted = {REST: float(wanted)}
    stated = ObjectiveDescription(made)
    wanted = stated.present_names(wanted or {})
    rest = wanted.pop(REST, None)
    wanted = wanted if rest is None else {**dict.fromkeys(latents, rest), **wanted}
    known = {**stated.learning_rates, **prior.learning_rates(registered_name(objective))}
    names = [*prior.prior.tensors(), *stated.tensor_names()]
    known_names = list(dict.fromkeys([*latents, *besides, *known, *names, *(name.split("/")[0] for name in names)]))
    if unknown := [name for name in wanted if name not in known_names]:
        raise ValueError(f"there is no {unknown[0]!r} to give a learning rate to; there are {', '.join(known_names)}")
    return {**known, **wanted}


def registered_name(objective: str | Objective) -> str:
    """The name of an objective in the registry, also of an object of a registered class; else what it was asked by."""
    if not isinstance(objective, str):
        return OBJECTIVES.name_of(type(objective))
    return OBJECTIVES.name_of(OBJECTIVES.find(objective)) or objective


def hash_option_files(objective: str | Objective, options: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 by path of the files that the options of an objective name; none of one that was handed in."""
    if not isinstance(objective, str):
        return {}
    return {str(path): sha256(path) for path in files_among(OBJECTIVES.find(objective), options)}


def resolve_objective(
    objective: Any,
    data: ImageData,
    prior: PriorDescription,
    segment: Callable[[torch.Generator, int, int], Any] | None,
    settings: DistillSettings,
    device: torch.device,
) -> tuple[Objective, DistillSettings]:
    """Make the objective with its data, network, augmentation and options.

    Args:
        objective: Its name, ``module:Class``, or the objective itself.
        data: Real images.
        prior: What the prior says of itself. Where it has codes, options that are published for codes are the defaults.
        segment: A draw of the experts' trajectories, where there are experts.
        settings: Network, augmentation, and the options that were asked for.
        device: Where networks are made.

    Returns:
        The objective, and the settings with all options that were chosen here. A batch of real images that exceeds the
        smallest class is lowered to it, with a warning; an option ``flip`` is 0 where mirrored images change class.

    Raises:
        ValueError: It follows experts and there are none, an option of it or of the network is wrong, or it lacks a
            method.
    """
    if not isinstance(objective, str):
        return _require_methods(objective), settings
    factory = OBJECTIVES.find(objective)
    provided: dict[str, Any] = {
        "real": data.real,
        "network": network_factory(data, settings.network, settings.network_options, device),
        "augment": partial(augment, strategy=strategy_for(data, settings.augmentation)),
    }
    if segment is not None:
        provided["segment"] = segment
    elif _needs_segments(factory):
        raise _missing_experts(objective, settings)
    stated = ObjectiveDescription(factory)
    published = stated.options_for_codes if prior.codes else {}
    added = {name: options_of(factory)[name].default for name in stated.added_options}
    options = {**added, **published, **stated.present_names(settings.objective_options)}
    arguments = read_arguments(factory, provided, options)
    if "network" in arguments:
        require_fitting(data, settings.network, settings.network_options)
    if "batch" in options_of(factory):
        arguments["batch"] = _fitting_batch(arguments.get("batch", options_of(factory)["batch"].default), data)
    if "flip" in options_of(factory) and not data.flip:
        arguments.setdefault("flip", 0.0)  # a mirrored image is another class
    chosen = {name: value for name, value in arguments.items() if name not in provided}
    return _require_methods(factory(**arguments)), replace(settings, objective_options=chosen)


def require_experts(settings: DistillSettings) -> None:
    """Raise ``MissingExpertsError`` where the objective of ``settings`` follows experts and they name none."""
    if settings.experts is None and _needs_segments(OBJECTIVES.find(settings.objective)):
        raise _missing_experts(settings.objective, settings)


def _missing_experts(objective: str, settings: DistillSettings) -> MissingExpertsError:
    remedy = f"train some with `{training_command(settings)}` and name the folder (--experts FOLDER)"
    return MissingExpertsError(f"{objective} follows experts, and there are none", remedy + FORMER.get(objective, ""))


def _needs_segments(factory: Callable[..., Any]) -> bool:
    """Whether an objective cannot be made without experts."""
    segment = inspect.signature(factory).parameters.get("segment")
    return segment is not None and segment.default is inspect.Parameter.empty


def _require_methods(objective: Objective) -> Objective:
    require_methods(objective, ("terms", "tensors"), f"objective {ObjectiveDescription(objective).name}")
    return objective


def _fitting_batch(batch: int, data: ImageData) -> int:
    """``batch``, or the size of the smallest class where that is less."""
    counts = data.labels.bincount(minlength=len(data.classes))
    smallest = int(counts.min())
    if batch <= smallest:
        return batch
    name = data.classes[int(counts.argmin())]
    warnings.warn(f"batch {batch} is lowered to {smallest}, all images of the smallest class, {name}", stacklevel=3)
    return smallest
