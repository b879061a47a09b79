"""From a name to a prior, with an error that says what exists."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from generators import catalog
from generators.classes import class_ids
from generators.prior import StyleGANPrior
from generators.provenance import Weights
from glad.data.dataset import ImageData
from glad.priors.base import Prior
from glad.priors.pixels import Pixels
from glad.priors.stylegan import load_generator, random_network
from glad.registry import construct, locate

PRIORS: dict[str, Callable[..., Any]] = {"pixels": Pixels}
"""Priors without weights; others are of the catalogue, a safetensors file, a file on the Hub, or ``module:Class``."""


@dataclass(frozen=True)
class ResolvedPrior:
    """A prior, the hash of the weights behind it, the learning rates that they recommend, and what they are.

    ``weights`` is their provenance; None where there are none.
    """

    prior: Prior
    digest: str
    rates: Mapping[str, Mapping[str, float]]
    weights: Weights | None = None
    guessed: str = ""
    """Which classes of the data the generator has by number only, in words."""


def resolve_prior(
    name: str | Prior,
    data: ImageData,
    options: Mapping[str, Any],
    device: torch.device,
    class_map: Mapping[str, str | int] | None = None,
) -> ResolvedPrior:
    """The prior called ``name`` for ``data``: pixels, a generator, ``module:Class``, or ``name`` itself.

    A generator is a name of the catalogue, a safetensors file, or ``org/repo:file`` on the Hub; what is not here yet is
    downloaded. Its classes stand for the data's as ``generators.classes.class_ids`` says. A license that forbids
    commercial use or does not state it is a warning. Raises ``WeightsError`` and
    ``ValueError`` that say what to do.
    """
    if not isinstance(name, str):
        return ResolvedPrior(name, "", {})
    provided: dict[str, Any] = {
        "real": data.real,
        "normalize": data.normalize,
        "resolution": data.resolution,
        "channels": data.channels,
        "class_ids": data.class_ids,
    }
    if not (catalog.known(name) or Path(name).suffix in (".safetensors", ".pkl")):
        known = dict.fromkeys([*PRIORS, *catalog.CATALOG, "FILE.safetensors", "org/repo:FILE"], Pixels)
        return ResolvedPrior(construct(PRIORS.get(name) or locate(name, known, "prior"), provided, options), "", {})
    if name == "random":
        network, told, options = random_network(data, options)
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
    return ResolvedPrior(construct(StyleGANPrior, provided, options), told.sha256, rates, told, guessed)
