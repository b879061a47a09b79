"""Generators by name: a StyleGAN-XL of the catalog, of a file, of the Hub, or with random weights."""

import hashlib
from collections.abc import Mapping
from typing import Any, get_type_hints

from generators import catalog, configurations, models, weights
from generators.provenance import Weights
from generators.stylegan_xl import Generator
from glad.data.dataset import ImageData
from glad.priors.weights_file import find_weights
from glad.registry import options_of, read_option

_DM = {"w": 1e-2, "f": 10.0, "g": 1e-4}
_MTT = {"w": 10.0, "f": 1e4, "g": 0.1}
_DC = {"w": 1e-3, "f": 1.0, "g": 1e-4}
RATES: dict[str, dict[str, float]] = {
    "dm": _DM,
    "dc": _DC,
    "mtt": _MTT,
    "ast": _MTT,
    "datm": _MTT,
    "datadam": _DM,
    "cf": _DM,
    "ncfm": _DM,
    "lgm": _DC,
}
"""Learning rates of codes in F_n (w and f) and of a learned generator (g), by objective.

Those of DM, DC and MTT are the published defaults of GLaD (Cazenavette et al., CVPR 2023). For the others nobody
published any: AST and DATM take those of MTT, DataDAM, CF and NCFM those of DM, LGM those
of DC.
"""


def published_rates(
    features: bool, recommended: Mapping[str, Mapping[str, float]], sharing: int = 1
) -> dict[str, dict[str, float]]:
    """Learning rates of a generator's codes by objective.

    Args:
        features: Whether the latents are codes and features (F_n). Codes alone (W+) take the published rate of f, as
            GLaD's do.
        recommended: Rates by objective that the file of weights recommends; they go before the published ones.
        sharing: How many layers share a code: in W all. Such a code gets the sum of their gradients, and the rate of
            codes of layers of their own, divided by the root of that number. Nobody published a rate for W.

    Returns:
        Rates by objective and latent.
    """
    published = {name: rates if features else {**rates, "w": rates["f"]} for name, rates in RATES.items()}
    names = {*published, *recommended}
    chosen = {name: {**published.get(name, {}), **recommended.get(name, {})} for name in sorted(names)}
    divisors = {"w": sharing**0.5}
    return {
        name: {latent: rate / divisors.get(latent, 1) for latent, rate in rates.items()}
        for name, rates in chosen.items()
    }


def load_generator(name: str) -> tuple[Generator, Weights, dict[str, str]]:
    """The generator called ``name``, where its weights are from, and its file's metadata.

    Args:
        name: A name of the catalog, ``org/repo:file[@revision]`` on the Hub, or a safetensors file.

    Returns:
        The frozen network in float32, its provenance, and the metadata.

    Raises:
        ValueError: For a pickle, which is not read.
        WeightsError: When the file is missing or is no generator.
    """
    found = find_weights(name)
    if found.path.suffix == ".pkl":
        raise ValueError(
            f"{name}: pickles run code when they are opened and are not read; convert it with `glad weights import`"
        )
    network, metadata = weights.load(found.path)
    return network, found.describe(metadata), metadata


def random_network(data: ImageData, options: Mapping[str, Any]) -> tuple[Generator, Weights, dict[str, Any]]:
    """A generator with random weights, their provenance, and the options that are left for the prior.

    Without ``configuration`` its shape is that of the smallest ImageNet model that is not smaller than the data.
    """
    defaults = {key: p.default for key, p in options_of(configurations.random_generator).items()}
    defaults["configuration"] = models.at_least(data.resolution).name
    kinds = get_type_hints(configurations.random_generator)
    own = {
        key: read_option(f"random.{key}", options.get(key, default), kinds[key]) for key, default in defaults.items()
    }
    network = configurations.random_generator(**own)
    digest = hashlib.sha256()
    for key, tensor in network.state_dict().items():
        digest.update(key.encode() + tensor.numpy().tobytes())
    made = ", ".join(f"{key}={value}" for key, value in own.items())
    stated = Weights("random", f"made from {made}", digest.hexdigest(), catalog.find("random").license)
    return network, stated, {key: value for key, value in options.items() if key not in own}
