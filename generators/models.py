"""The official StyleGAN-XL models as chains of stages. Torch is not needed to list them.

What a published file holds is read from that file (``generators.weights``). The stages are not published per model;
``status`` says what each reading rests on, and a second reading of the same model has a name of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generators.geometry import LayerSpec


@dataclass(frozen=True)
class Stage:
    """``layers`` and toRGB: the stem, which makes ``factor`` pixels, or a head that makes ``factor`` times as many."""

    layers: int
    factor: int
    channel_base: float = 65536
    channel_max: int = 1024
    kernel: int = 3
    radial: bool = False


@dataclass(frozen=True)
class Configuration:
    """A model: its stages, its classes (0: unconditional, None: not known), and what that is based on."""

    name: str
    stages: Sequence[Stage]
    classes: int | None
    status: str

    @property
    def resolution(self) -> int:
        """Height and width of an image."""
        pixels = 1
        for stage in self.stages:
            pixels *= stage.factor
        return pixels

    def specs(self) -> "list[LayerSpec]":
        """The layers in order."""
        from generators import geometry  # and torch with it, which a list of models does not need

        stem, *heads = self.stages
        widths = stem.channel_base, stem.channel_max
        specs = geometry.stem(stem.factor, stem.layers, *widths, kernel=stem.kernel, radial=stem.radial)
        for head in heads:
            widths = head.channel_base, head.channel_max
            specs = geometry.superres(specs, head.layers, head.factor, *widths, kernel=head.kernel, radial=head.radial)
        return specs


MIXED = Stage(10, 16, kernel=1, radial=True), Stage(7, 2)  # the head's stage ignored the stem's options
PLAIN = Stage(10, 16), Stage(7, 2)
SMALL = Stage(7, 16, 32768, 512), Stage(4, 2, 32768, 512)  # what the README recommends for small or curated sets
PUBLISHED_SIZE = "inferred; its number of parameters is the published one"
UNKNOWN = "unknown: one of two readings of the README; a file of it shows"


def _model(
    name: str, resolution: int, parts: tuple[Stage, Stage], classes: int | None, status: str, reading: str = ""
) -> Configuration:
    """The stem of ``parts`` and as many of its heads as lead to ``resolution``."""
    stem, head = parts
    stages = [stem]
    while stem.factor * head.factor ** (len(stages) - 1) < resolution:
        stages.append(head)
    return Configuration(name + reading, tuple(stages), classes, status)


def _imagenet(resolution: int) -> Configuration:
    status = PUBLISHED_SIZE if resolution in (64, 128, 256, 512) else "inferred"
    return _model(f"imagenet{resolution}", resolution, MIXED, 1000, status)


_OFFICIAL = [
    *(_imagenet(resolution) for resolution in (16, 32, 64, 128, 256, 512, 1024)),
    _model("cifar10", 32, MIXED, 10, UNKNOWN),
    *(_model(f"ffhq{resolution}", resolution, MIXED, None, UNKNOWN) for resolution in (256, 512, 1024)),
    *(
        _model(f"pokemon{resolution}", resolution, MIXED, None, "inferred from the README's example")
        for resolution in (256, 512, 1024)
    ),
]
_OTHER = [
    _model("cifar10", 32, SMALL, 10, UNKNOWN, "-small"),
    *(_model(f"ffhq{resolution}", resolution, SMALL, None, UNKNOWN, "-small") for resolution in (256, 512, 1024)),
    *(
        _model(f"pokemon{resolution}", resolution, PLAIN, None, "if its stem has 3x3 kernels", "-3x3")
        for resolution in (256, 512, 1024)
    ),
]
OFFICIAL: dict[str, Configuration] = {configuration.name: configuration for configuration in _OFFICIAL}
"""The published models by name."""
CONFIGURATIONS: dict[str, Configuration] = {
    **OFFICIAL,
    **{configuration.name: configuration for configuration in _OTHER},
}
"""These, and the second readings of those that are not certain."""


def find(name: str) -> Configuration:
    """The configuration called ``name``; ``ValueError`` naming those that there are."""
    if name not in CONFIGURATIONS:
        raise ValueError(f"unknown configuration {name!r}: one of {', '.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[name]


def at_least(resolution: int) -> Configuration:
    """The smallest ImageNet model whose images are not smaller than ``resolution``, or the largest there is."""
    models = sorted((c for c in _OFFICIAL if c.name.startswith("imagenet")), key=lambda c: c.resolution)
    return next((model for model in models if model.resolution >= resolution), models[-1])
