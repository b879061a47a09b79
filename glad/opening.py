"""From names to objects: devices, data, priors, networks and objectives, each with an error that says what exists."""

import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from generators import weights
from generators.prior import StyleGANPrior
from glad.augment import augment, without_flip
from glad.construct import construct, locate, options_of
from glad.data import ImageData, Splits
from glad.experts import Experts
from glad.networks import make_network
from glad.objectives import OBJECTIVES, Objective
from glad.sources import load_data
from glad.synset import Pixels, Prior

PRIORS: dict[str, Callable[..., Any]] = {"pixels": Pixels}
"""Priors that need no weights; another name is embedded weights, a safetensors file, or ``module:Class``."""


@dataclass(frozen=True)
class Opened:
    """A prior, the hash of the weights behind it, and the learning rates that its weights recommend."""

    prior: Prior
    digest: str
    rates: Mapping[str, Mapping[str, float]]


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA where there is one. ``ValueError`` when it is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} is not available: {str(error).splitlines()[0]}") from error
    return device


def strategy_for(data: ImageData, strategy: str) -> str:
    """The augmentation ``strategy``, less the flip where a mirrored image is another class."""
    return strategy if data.flip else without_flip(strategy)


def open_prior(name: str | Prior, data: ImageData, options: Mapping[str, Any], device: torch.device) -> Opened:
    """The prior called ``name`` for ``data``: pixels, embedded, a file, ``module:Class``, or ``name`` itself."""
    if not isinstance(name, str):
        return Opened(name, "", {})
    provided: dict[str, Any] = {
        "real": data.real,
        "normalise": data.normalise,
        "resolution": data.resolution,
        "channels": data.channels,
        "class_ids": data.class_ids,
    }
    path = weights.EMBEDDED.get(name, Path(name))
    if path.suffix == ".pkl":
        raise ValueError(f"{name}: pickles run code when they are opened and are not read; give a .safetensors file")
    if path.suffix != ".safetensors":
        known = dict.fromkeys([*PRIORS, *weights.EMBEDDED, "FILE.safetensors"], Pixels)
        return Opened(construct(PRIORS.get(name) or locate(name, known, "prior"), provided, options), "", {})
    network, metadata = weights.load(path)
    network.to(device)
    known_classes = network.mapping.c_dim
    if known_classes and max(data.class_ids) >= known_classes:
        warnings.warn(
            f"{name} was trained on {known_classes} classes, {data.name} has class numbers up to "
            f"{max(data.class_ids)}: they are taken modulo {known_classes}",
            stacklevel=2,
        )
        provided["class_ids"] = [c % known_classes for c in data.class_ids]
    provided |= {"generator": network, "frame": int(metadata.get("frame", 0))}
    rates = json.loads(metadata.get("learning_rates", "{}"))
    return Opened(construct(StyleGANPrior, provided, options), hashlib.sha256(path.read_bytes()).hexdigest(), rates)


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


def open_data(config: Mapping[str, Any], data: str | Splits | None = None) -> Splits:
    """The data that ``config`` names, unless ``data`` is already loaded; ``ValueError`` when only an object can say."""
    if isinstance(data, Splits):
        return data
    source = config["data"]
    if source.startswith("object:"):
        raise ValueError(f"the run was made from an object ({source}): hand its data to glad.evaluate(..., data=...)")
    keys = ("root", "classes", "limit", "resolution", "zca")
    return load_data(source, **{key: config[key] for key in keys})


def network_factory(data: ImageData, name: str, options: Mapping[str, Any], device: torch.device) -> Callable[..., Any]:
    """``network(rng)``: a fresh network for ``data`` on ``device``."""
    make = partial(make_network, name, channels=data.channels, classes=len(data.classes), resolution=data.resolution)
    return lambda rng: make(rng=rng, **options).to(device)


def open_objective(
    objective: Any,
    data: ImageData,
    prior: Prior,
    experts: Experts | None,
    config: dict[str, Any],
    device: torch.device,
) -> Objective:
    """The objective called ``objective`` (or already made), with data, network and augmentation handed in.

    Options that are published for codes replace those for pixels where ``prior`` is a generator. A published batch that
    exceeds the smallest class is lowered to it. ``config`` says so in both cases. ``ValueError`` where an objective
    needs ``experts`` and there are none.
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
    if experts is not None:
        provided["segment"] = experts.segment
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
