"""From a name to a prior, with an error that says what exists."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from generators import catalog, official
from generators.classes import (
    GUESS,
    REST,
    ClassMap,
    ClassNotice,
    GeneratorClass,
    map_classes,
    published_names,
    say_unused,
)
from generators.prior import StyleGANPrior
from generators.provenance import Weights
from glad.data.dataset import ImageData
from glad.data.notices import DataNotice
from glad.members import require_methods
from glad.priors import PRIORS
from glad.priors.base import Prior
from glad.priors.description import PriorDescription
from glad.priors.stylegan import load_generator, published_rates, random_network
from glad.registry import files_among, read_arguments


@dataclass(frozen=True)
class ResolvedPrior:
    """A prior and what it says of itself.

    Attributes:
        prior: The prior.
        description: What it says of itself.
        guessed: Which classes of the data were given a class of the generator by a guess, in words; empty where none.
        classes: The generator's class for each class of the data by name; empty where it is unconditional.
    """

    prior: Prior
    description: PriorDescription
    guessed: str = ""
    classes: Mapping[str, GeneratorClass] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_methods(self.prior, ("init", "__call__", "tensors"), f"prior {self.description.name}")

    @property
    def weights(self) -> Weights | None:
        """The provenance of the weights behind it; None where there are none."""
        return self.description.weights

    @property
    def digest(self) -> str:
        """The SHA-256 of the weights behind it; empty where there are none."""
        return self.weights.sha256 if self.weights is not None else ""

    def hashes(self) -> dict[str, str]:
        """What a run must find unchanged when it is continued: weights, and the files that options name."""
        return {"weights": self.digest, **{f"file {path}": sha256 for path, sha256 in self.description.files.items()}}


def resolve_prior(
    name: str | Prior,
    data: ImageData,
    options: Mapping[str, Any],
    device: torch.device,
    class_map: Mapping[str, str | int] | None = None,
) -> ResolvedPrior:
    """Make the prior called ``name`` for ``data``, or take ``name`` itself for it.

    Args:
        name: One of ``PRIORS``, a name of the catalog, a safetensors file, ``org/repo:file`` on the Hub,
            ``module:Class``, or a prior. Weights that are not here yet are downloaded.
        data: What is handed to the constructor of a prior by parameter name, as far as it asks for it: ``real(c, n,
            rng)``, ``normalize``, ``denormalize``, ``resolution``, ``channels``, ``class_ids`` and ``class_counts``
            (training images of each class) are the data's.
        options: The other parameters. Files that they name are hashed.
        device: Where the prior is to run; handed in as ``device``.
        class_map: For generators, which class stands for one of the data; otherwise as
            ``generators.classes.map_classes`` says. ``{"*": "guess"}`` lets it guess.

    Returns:
        The prior with its description. A license that forbids commercial use or does not state it is a warning.

    Raises:
        ValueError: There is no such prior, an option is wrong, or nothing says which class of a generator stands for
            one of the data; ``WeightsError`` for weights that cannot be used.
    """
    if not isinstance(name, str):
        return ResolvedPrior(name, PriorDescription(name))
    provided = {
        "real": data.real,
        "normalize": data.normalize,
        "denormalize": data.pixels,
        "resolution": data.resolution,
        "channels": data.channels,
        "class_ids": data.class_ids,
        "class_counts": tuple(data.labels.bincount(minlength=len(data.classes)).tolist()),
        "device": device,
    }
    if name not in PRIORS and (catalog.is_known(name) or Path(name).suffix in (".safetensors", ".pkl")):
        return _resolve_generator(name, data, options, device, provided, class_map)
    if unused := say_unused(class_map):
        warnings.warn(f"{name}: {unused}", ClassNotice, stacklevel=2)
    factory = PRIORS.find(
        name, (*(key for key in catalog.CATALOG if key not in PRIORS), "FILE.safetensors", "org/repo:FILE")
    )
    arguments = read_arguments(factory, provided, options)
    files = {str(path): official.sha256(path) for path in files_among(factory, arguments)}
    prior: Prior = factory(**arguments)
    return ResolvedPrior(prior, PriorDescription(prior, name, files))


def _resolve_generator(
    name: str,
    data: ImageData,
    options: Mapping[str, Any],
    device: torch.device,
    provided: Mapping[str, Any],
    class_map: Mapping[str, str | int] | None,
) -> ResolvedPrior:
    """A generator of the catalog, of a file, of the Hub, or with random weights."""
    metadata: dict[str, str] = {}
    if name == "random":
        network, weights, options = random_network(data, options)
    else:
        network, weights, metadata = load_generator(name)
    network.to(device)
    count, names = network.mapping.c_dim, metadata.get("classes", "").splitlines()
    named = names if len(names) == count else published_names(name, count)
    wanted = {**(class_map or {}), **({REST: GUESS} if name == "random" else {})}  # whose classes are of nothing
    found = map_classes(data.classes, data.class_ids, count, named, wanted, data.numbering)
    if name == "random":
        found = ClassMap(found.ids, {})
    if found.notice:
        warnings.warn(f"{name}: {found.notice}", ClassNotice, stacklevel=3)
    frame = int(metadata.get("frame", 0))
    side = network.resolution - 2 * frame
    if name != "random" and side < data.resolution:
        said = f"makes images of {side} pixels, which are enlarged to the data's {data.resolution}"
        warnings.warn(f"{name}: {said}; --resolution {side} takes the data at the generator's size", DataNotice, 3)
    own = {"generator": network, "frame": frame, "class_ids": found.ids, "weights": weights}
    own["learning_rates"] = None
    arguments = read_arguments(StyleGANPrior, {**provided, **own}, options)
    recommended = json.loads(metadata.get("learning_rates", "{}"))
    sharing = network.mapping.num_ws if arguments.get("space") == "w" else 1
    arguments["learning_rates"] = published_rates(arguments.get("layer") is not None, recommended, sharing)
    prior = StyleGANPrior(**arguments)
    return ResolvedPrior(prior, PriorDescription(prior, name), found.guessed, found.classes)
