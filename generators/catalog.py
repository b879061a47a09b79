"""Known generators: where they are published, what they were trained on, what their licences say.

Only what is published is noted here; None is what nobody states. Nobody publishes hashes of the official files: the
hash of the first download is kept instead (:mod:`generators.store`).
"""

import re
from dataclasses import dataclass

from generators.configurations import OFFICIAL, Configuration

REFERENCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[^@]+?)(?:@(?P<revision>.+))?")
"""A file on the Hub: ``org/repo:file`` or ``org/repo:file@revision``."""


SAYS = {True: "allowed", False: "forbidden", None: "not stated"}
"""What is said of a use, in a word or two."""


@dataclass(frozen=True)
class Licence:
    """What the holders of the rights say of weights; None where they say nothing."""

    text: str
    commercial: bool | None = None
    redistribution: bool | None = None

    def in_words(self) -> str:
        """What is allowed, for people."""
        return f"{self.text} (commercial use {SAYS[self.commercial]}, passing on {SAYS[self.redistribution]})"


_ALLOWED = ("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "unlicense")


def read_licence(text: str) -> Licence:
    """A licence from its identifier or free text: what a well-known identifier says, else nothing is known."""
    identifier = text.strip().lower()
    if identifier in _ALLOWED or identifier == "cc0":
        return Licence(text, commercial=True, redistribution=True)
    if re.fullmatch(r"cc-by-nc(-sa)?-[\d.]+", identifier):
        return Licence(text, commercial=False, redistribution=True)
    return Licence(text or "no licence stated")


UNSTATED = Licence("licence of the weights unstated; derived code research-only; ask before commercial use")
OURS = Licence("Apache-2.0", commercial=True, redistribution=True)
NONE_NEEDED = Licence("none needed: made from a seed", commercial=True, redistribution=True)


@dataclass(frozen=True)
class Entry:
    """One generator: ``hub`` is ``org/repo:file``, ``classes`` 0 for an unconditional one."""

    name: str
    resolution: int | None
    classes: int | None
    data: str
    licence: Licence
    source: str
    verified: str
    hub: str | None = None
    url: str | None = None
    sha256: str | None = None

    @property
    def needs_download(self) -> bool:
        """Whether there is a file that has to come from a network."""
        return bool(self.hub or self.url)


_TRAINED_ON = {"imagenet": "ImageNet", "cifar": "CIFAR-10", "ffhq": "FFHQ", "pokemon": "Pokémon"}
_ADDRESS = "https://s3.eu-central-1.amazonaws.com/avg-projects/stylegan_xl/models/{name}.pkl"
_ON_THE_HUB = {"ffhq256": "public-data/StyleGAN-XL:orig/ffhq256.pkl"}  # seen at d54f493; of the others it is not known


def _official(configuration: Configuration) -> Entry:
    data = next(data for start, data in _TRAINED_ON.items() if configuration.name.startswith(start))
    return Entry(
        name=configuration.name,
        resolution=configuration.resolution,
        classes=configuration.classes,
        data=f"{data}, training images",
        licence=UNSTATED,
        source="README of StyleGAN-XL (Sauer et al., SIGGRAPH 2022); its data as its author says (issue 67)",
        verified="no: address not tried, no hash published",
        hub=_ON_THE_HUB.get(configuration.name),
        url=_ADDRESS.format(name=configuration.name),
    )


CATALOG: dict[str, Entry] = {
    "fashion-mini": Entry(
        name="fashion-mini",
        resolution=28,
        classes=10,
        data="FashionMNIST, training images (MIT licence)",
        licence=OURS,
        source="comes with glad (generators/assets/fashion-mini.md)",
        verified="yes: measured on the shipped file",
    ),
    "digits-mini": Entry(
        name="digits-mini",
        resolution=28,
        classes=10,
        data="handwritten digits of scikit-learn (UCI, CC BY 4.0)",
        licence=OURS,
        source="comes with glad (generators/assets/digits-mini.md)",
        verified="yes: measured on the shipped file",
    ),
    "random": Entry(
        name="random",
        resolution=None,
        classes=None,
        data="nothing",
        licence=NONE_NEEDED,
        source="made from a seed (GLaD's random generators)",
        verified="yes: equal seeds give equal weights",
    ),
    **{name: _official(configuration) for name, configuration in OFFICIAL.items()},
}
"""Every generator that is known by name."""


def find(name: str) -> Entry:
    """The entry called ``name``, or one made of ``org/repo:file[@revision]``; ``ValueError`` naming what there is."""
    if name in CATALOG:
        return CATALOG[name]
    if not is_reference(name):
        raise ValueError(f"no weights called {name!r}: one of {', '.join(CATALOG)}, or org/repo:file[@revision]")
    return Entry(
        name=name,
        resolution=None,
        classes=None,
        data="told by its own page, if at all",
        licence=read_licence(""),
        source="the Hub",
        verified="no",
        hub=name,
    )


def is_reference(name: str) -> bool:
    """Whether ``name`` is of the form ``org/repo:file`` with a file of weights."""
    match = REFERENCE.fullmatch(name)
    return match is not None and match["file"].endswith((".safetensors", ".pkl"))


def known(name: str) -> bool:
    """Whether :func:`find` finds ``name``."""
    return name in CATALOG or is_reference(name)
