"""Known generators: where they are published, what they were trained on, what their licenses say.

Only what is published is noted here; None is what nobody states. Nobody publishes hashes of the official files: the
hash of the first download is kept instead (``generators.store``).
"""

import re
from dataclasses import dataclass

from generators.license import License, read_license
from generators.models import OFFICIAL, Configuration

REFERENCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[^@]+?)(?:@(?P<revision>.+))?")
"""A file on the Hub: ``org/repo:file`` or ``org/repo:file@revision``."""


UNSTATED = License(None, "license of the weights unstated; derived code research-only; ask before commercial use")
OURS = License("apache-2.0", "Apache-2.0", commercial=True, redistribution=True)
NONE_NEEDED = License(None, "none needed: made from a seed", commercial=True, redistribution=True)


@dataclass(frozen=True)
class CatalogEntry:
    """One generator: ``hub`` is ``org/repo:file``, ``resolution`` 0 for any, ``classes`` 0 for an unconditional one."""

    name: str
    resolution: int | None
    classes: int | None
    data: str
    license: License
    source: str
    verified: bool
    evidence: str
    """What was verified, or why nothing was."""
    hub: str | None = None
    url: str | None = None
    sha256: str | None = None

    @property
    def needs_download(self) -> bool:
        """Whether there is a file that has to come from a network."""
        return bool(self.hub or self.url)


_TRAINED_ON = {"imagenet": "ImageNet", "cifar": "CIFAR-10", "ffhq": "FFHQ", "pokemon": "Pokémon"}
_CLOTHING = "photographs of clothing, training images (A. Grigorev, CC0)"
_ADDRESS = "https://s3.eu-central-1.amazonaws.com/avg-projects/stylegan_xl/models/{name}.pkl"
_ON_THE_HUB = {"ffhq256": "public-data/StyleGAN-XL:orig/ffhq256.pkl"}  # seen at d54f493; of the others it is not known


def _embedded(name: str, resolution: int, data: str) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        resolution=resolution,
        classes=10,
        data=data,
        license=OURS,
        source=f"comes with glad (generators/assets/{name}.md)",
        verified=True,
        evidence="measured on the shipped file",
    )


def _official(configuration: Configuration) -> CatalogEntry:
    data = next(data for start, data in _TRAINED_ON.items() if configuration.name.startswith(start))
    return CatalogEntry(
        name=configuration.name,
        resolution=configuration.resolution,
        classes=configuration.classes,
        data=f"{data}, training images",
        license=UNSTATED,
        source="README of StyleGAN-XL (Sauer et al., SIGGRAPH 2022); its data as its author says (issue 67)",
        verified=False,
        evidence="address not tried, no hash published",
        hub=_ON_THE_HUB.get(configuration.name),
        url=_ADDRESS.format(name=configuration.name),
    )


CATALOG: dict[str, CatalogEntry] = {
    "fashion-mini": _embedded("fashion-mini", 28, "FashionMNIST, training images (MIT license)"),
    "digits-mini": _embedded("digits-mini", 28, "handwritten digits of scikit-learn (UCI, CC BY 4.0)"),
    "clothing-mini": _embedded("clothing-mini", 32, _CLOTHING),
    "clothing-mini-64": _embedded("clothing-mini-64", 64, _CLOTHING),
    "random": CatalogEntry(
        name="random",
        resolution=0,
        classes=None,
        data="nothing",
        license=NONE_NEEDED,
        source="made from a seed (GLaD's random generators)",
        verified=True,
        evidence="equal seeds give equal weights",
    ),
    **{name: _official(configuration) for name, configuration in OFFICIAL.items()},
    "taesd": CatalogEntry(
        name="taesd",
        resolution=0,
        classes=0,
        data="not stated; distilled from Stable Diffusion's autoencoder",
        license=read_license("MIT"),
        source="O. B. Bohan's tiny autoencoder (TAESD), which is no generator: for --prior taesd",
        verified=False,
        evidence="address not tried, no hash published",
        hub="madebyollin/taesd:diffusion_pytorch_model.safetensors@f4a5c744c09b16bba019971e6fdb156bd633332b",
    ),
}
"""Every generator that is known by name."""


def find(name: str) -> CatalogEntry:
    """The entry called ``name``, or one made of ``org/repo:file[@revision]``; ``ValueError`` naming what there is."""
    if name in CATALOG:
        return CATALOG[name]
    if not is_reference(name):
        raise ValueError(f"no weights called {name!r}: one of {', '.join(CATALOG)}, or org/repo:file[@revision]")
    return CatalogEntry(
        name=name,
        resolution=None,
        classes=None,
        data="see its own page",
        license=read_license(""),
        source="the Hub",
        verified=False,
        evidence="nothing is known of it",
        hub=name,
    )


def is_reference(name: str) -> bool:
    """Whether ``name`` is of the form ``org/repo:file`` with a file of weights."""
    match = REFERENCE.fullmatch(name)
    return match is not None and match["file"].endswith((".safetensors", ".pkl"))


def is_known(name: str) -> bool:
    """Whether ``find`` finds ``name``."""
    return name in CATALOG or is_reference(name)
