"""Generators by name: a StyleGAN-XL of the catalogue, of a file, of the Hub, or with random weights."""

import hashlib
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from generators import catalog, configurations, hub, official, weights
from generators.stylegan_xl import Generator
from glad.data.dataset import ImageData
from glad.registry import options_of, read_option


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


def random_network(data: ImageData, options: Mapping[str, Any]) -> tuple[Generator, dict[str, str], dict[str, Any]]:
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
