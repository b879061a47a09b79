"""From names to objects: devices, data, priors, networks and objectives, each with an error that says what exists."""

import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import torch

from generators import catalog, configurations, hub, official, weights
from generators.classes import class_ids
from generators.prior import StyleGANPrior
from generators.stylegan_xl import Generator
from glad.augment import augment, without_flip
from glad.construct import construct, locate, options_of, read_option
from glad.data import ImageData, Splits
from glad.experts import Experts
from glad.networks import make_network
from glad.objectives import OBJECTIVES, Objective
from glad.sources import load_data
from glad.synset import Pixels, Prior

PRIORS: dict[str, Callable[..., Any]] = {"pixels": Pixels}
"""Priors without weights; others are of the catalogue, a safetensors file, a file on the Hub, or ``module:Class``."""


@dataclass(frozen=True)
class Opened:
    """A prior, the hash of the weights behind it, the learning rates that they recommend, and what they are.

    ``weights`` has their name, SHA-256, source and licence, in words; it is empty where there are none.
    """

    prior: Prior
    digest: str
    rates: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, str] = field(default_factory=dict)
    guessed: str = ""
    """Which classes of the data the generator has by number only, in words."""


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


def open_prior(
    name: str | Prior,
    data: ImageData,
    options: Mapping[str, Any],
    device: torch.device,
    class_map: Mapping[str, str | int] | None = None,
) -> Opened:
    """The prior called ``name`` for ``data``: pixels, a generator, ``module:Class``, or ``name`` itself.

    A generator is a name of the catalogue, a safetensors file, or ``org/repo:file`` on the Hub; what is not here yet is
    downloaded. Its classes stand for the data's as :func:`generators.classes.class_ids` says. A licence that forbids
    commercial use or does not state it is a warning. Raises ``WeightsError`` and
    ``ValueError`` that say what to do.
    """
    if not isinstance(name, str):
        return Opened(name, "", {})
    provided: dict[str, Any] = {
        "real": data.real,
        "normalise": data.normalise,
        "resolution": data.resolution,
        "channels": data.channels,
        "class_ids": data.class_ids,
    }
    if not (catalog.known(name) or Path(name).suffix in (".safetensors", ".pkl")):
        known = dict.fromkeys([*PRIORS, *catalog.CATALOG, "FILE.safetensors", "org/repo:FILE"], Pixels)
        return Opened(construct(PRIORS.get(name) or locate(name, known, "prior"), provided, options), "", {})
    if name == "random":
        network, told, options = _random(data, options)
        metadata: dict[str, str] = {}
    else:
        network, told, metadata = load_generator(name)
    network.to(device)
    count, names = network.mapping.c_dim, metadata.get("classes", "").splitlines()
    named = names if len(names) == count else []
    ids, guessed = class_ids(data.classes, data.class_ids, count, named, class_map)
    if guessed:
        warnings.warn(f"{name}: {guessed}", stacklevel=2)
    provided["class_ids"] = ids
    provided |= {"generator": network, "frame": int(metadata.get("frame", 0))}
    rates = json.loads(metadata.get("learning_rates", "{}"))
    return Opened(construct(StyleGANPrior, provided, options), told["sha256"], rates, told, guessed)


def load_generator(name: str) -> tuple[Generator, dict[str, str], dict[str, str]]:
    """The generator called ``name``, what is known of it, and its file's metadata."""
    here, told = Path(name), {"name": name}
    if name in weights.EMBEDDED:
        here, entry = weights.EMBEDDED[name], catalog.find(name)
        told |= {"source": entry.source, "licence": entry.licence.in_words()}
    elif catalog.known(name) and not here.exists():
        record = hub.obtain(name, notice=partial(_note, name))
        here = record.file
        told |= {"source": record.source, "licence": catalog.read_licence(record.licence).in_words()}
    if here.suffix == ".pkl":
        raise ValueError(
            f"{name}: pickles run code when they are opened and are not read; convert it with `glad weights import`"
        )
    network, metadata = weights.load(here)
    if "source" not in told:
        stated = metadata.get("licence") or metadata.get("license") or ""
        if stated:
            _note(name, catalog.read_licence(stated))
        told |= {"source": f"the file {here.absolute()}", "licence": catalog.read_licence(stated).in_words()}
    return network, {**told, "sha256": official.sha256(here)}, metadata


def _random(data: ImageData, options: Mapping[str, Any]) -> tuple[Generator, dict[str, str], dict[str, Any]]:
    """A generator with random weights, what is known of it, and the options that are left for the prior.

    Without ``configuration`` its shape is that of the smallest ImageNet model that is not smaller than the data.
    """
    defaults = {key: p.default for key, p in options_of(configurations.random_generator).items()}
    defaults["configuration"] = configurations.at_least(data.resolution).name
    kinds = get_type_hints(configurations.random_generator)
    own = {
        key: read_option(f"random.{key}", options.get(key, default), kinds[key]) for key, default in defaults.items()
    }
    network = configurations.random_generator(**own)
    digest = hashlib.sha256()
    for key, tensor in network.state_dict().items():
        digest.update(key.encode() + tensor.numpy().tobytes())
    made = ", ".join(f"{key}={value}" for key, value in own.items())
    licence = catalog.find("random").licence.in_words()
    told = {"name": "random", "source": f"made from {made}", "licence": licence, "sha256": digest.hexdigest()}
    return network, told, {key: value for key, value in options.items() if key not in own}


def _note(name: str, licence: catalog.Licence) -> None:
    """Warn where commercial use of ``name`` is not plainly allowed."""
    if not licence.commercial:
        warnings.warn(f"{name}: {licence.in_words()}", stacklevel=2)


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
