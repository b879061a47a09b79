"""What is trained and measured, and how much of it; torch is not needed to name it."""

from dataclasses import dataclass

from glad.settings.fields import Settings, spelled
from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ONE, AT_LEAST_ZERO

GROUP = 4  # images of one class that stand together in a batch, so that their spread tells how much a class varies
LAYERS = 4  # of a generator, at least

LOOSE = ("learning_rate", "discriminator_learning_rate", "r1", "guidance", "augment")
"""Training settings that may be others when a run is continued."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
    """How a generator is trained. A run may be continued with other numbers for ``LOOSE``, and none of the others."""

    seed: int = 0
    """Seed of every draw."""
    batch: int = 16
    """Images in a batch, a multiple of 4: the images of one class in a group."""
    channels: int = 48
    """Channels of the widest layer."""
    channel_base: float = 676.0
    """Channels are at most this / 2 / cutoff frequency."""
    layers: int = 7
    """Synthesis layers before toRGB."""
    w_dim: int = 128
    """Length of a style code."""
    conditional: bool = True
    """Tell the generator the class; without classes it is unconditional anyway."""
    feature_steps: int | None = None
    """Steps of training the discriminator's features; 1800, or as many as a quarter of the
    minutes is enough for if None."""
    feature_batch: int = 64
    """Images in a batch of that training, a multiple of 4."""
    learning_rate: float = spelled(2e-3, flags=("--lr", "--learning-rate"), old=("lr",))
    """Learning rate of the generator."""
    discriminator_learning_rate: float = spelled(
        1e-3, flags=("--discriminator-lr", "--discriminator-learning-rate"), old=("discriminator_lr",)
    )
    """Learning rate of the discriminator."""
    r1: float = 0.1
    """Weight of the penalty on the gradient at real images; 0 is off."""
    guidance: float = 0.2
    """Weight of the classifier's loss on samples, at first; 0 is off."""
    augment: str = "auto"
    """Augmentation of real images and samples, as in DSA; ``auto`` is color_crop_cutout below 10,000 images, else
    none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch", "feature_batch"):
            if getattr(self, name) % GROUP or getattr(self, name) < GROUP:
                raise ValueError(
                    f"{name} is {getattr(self, name)}: choose a multiple of {GROUP}, the images of a class in a group"
                )
        for name, least in {"channels": 1, "layers": LAYERS, "w_dim": 1, "feature_steps": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        ABOVE_ZERO.require_of(self, "channel_base")
        AT_LEAST_ZERO.require_of(self, "learning_rate", "discriminator_learning_rate", "r1", "guidance")


@dataclass(frozen=True, kw_only=True)
class MeasureSettings(Settings):
    """How much of a generator is measured."""

    images: int = 5000
    """Samples, and as many real images."""
    seeds: int = 2
    """Networks trained on each set."""
    epochs: int = 10
    """Epochs of these networks."""
    feature_epochs: int = 3
    """Epochs of the network whose features are compared."""
    width: int = 128
    """Channels of all networks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require(vars(self))
