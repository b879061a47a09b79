"""The settings of a comparison of priors."""

from collections.abc import Mapping
from dataclasses import dataclass

from glad.settings.data import DataSettings
from glad.settings.fields import Settings, spelled
from glad.settings.numbers import AT_LEAST_ONE, AT_LEAST_ZERO


@dataclass(frozen=True, kw_only=True)
class CompareSizes(Settings):
    """How much is measured: enough for the order of priors, not for a published number."""

    images: int = 1000
    """Samples of each prior, and as many real images; those that networks learn from."""
    inverted: int = 20
    """Validation images to invert."""
    steps: int = 100
    """Steps of inversion, the same for all."""
    epochs: int = 20
    """Epochs of every network that is trained."""
    width: int = 32
    """Channels of the first stage of every network."""
    chunk: int = 10
    """Images rendered at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require_of(self, "images", "inverted", "steps", "epochs", "width", "chunk")


@dataclass(frozen=True, kw_only=True)
class CompareSettings(DataSettings):
    """What `glad weights compare` is asked for, beside the priors and the sizes."""

    layer: int | None = None
    """Compare in F_n, from this layer on; W+ if None."""
    class_map: Mapping[str, str | int] = spelled({}, metavar="CLASS=CLASS", alone="guess")
    """The class of the generator, by name or number, that stands for a class of the data; what no name decides is
    guessed."""
    seed: int = 0
    """Seed of every draw."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..."""
    out: str = spelled("runs/priors", path="folder")
    """Folder for compare.json and compare.png."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ZERO.require_of(self, "layer")
