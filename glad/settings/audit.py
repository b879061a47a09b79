"""The settings of an audit, and the numbers that it can hold to a threshold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from glad.settings.fields import spelled
from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ONE
from glad.settings.spread import TaskSettings

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Number:
    """One number of an audit: where it lies in ``audit.json``, whether more of it is better, and what it says."""

    where: str
    more_is_better: bool
    help: str


NUMBERS = {
    "accuracy_full": Number("losses.accuracy.full.mean", True, "accuracy with the full data"),
    "accuracy_set": Number("losses.accuracy.set.mean", True, "accuracy with the set"),
    "macro_accuracy_full": Number(
        "losses.macro_accuracy.full.mean", True, "the mean of the classes', with the full data"
    ),
    "macro_accuracy_set": Number("losses.macro_accuracy.set.mean", True, "the mean of the classes', with the set"),
    "accuracy_loss": Number("losses.loss", False, "accuracy with the full data less that with the set"),
    "worst_class_loss": Number("losses.worst_class_loss", False, "the same, in the class that loses most"),
    "worst_confusion": Number("losses.worst_confusion", False, "share of a class that the set adds to a confusion"),
    "own_class": Number("coverage.own_class", True, "real images whose nearest synthetic image has their class"),
    "distance_ratio": Number("coverage.distance_ratio", False, "distance of real images to the set, to random real: 1"),
    "precision": Number("coverage.precision", True, "synthetic images that lie among real ones"),
    "recall": Number("coverage.recall", True, "real images that lie among synthetic ones"),
    "diversity": Number("coverage.diversity.mean", True, "spread within a class, of real images: 1"),
    "least_diversity": Number("coverage.diversity.least", True, "the same, in the class that has least"),
    "memorised_share": Number("memorisation.pixels.share", False, "images too near to a training image, in pixels"),
    "memorised_share_features": Number("memorisation.features.share", False, "the same, in features"),
    "near_start_share": Number("memorisation.start.share", False, "images still nearest to the real one they began as"),
    "recognised_share": Number("recognised.share", True, "images in which the full data's network sees their class"),
    "moved": Number("prior.moved.mean", False, "distance that optimization moved images, of two real images: 1"),
    "brightness_shift": Number("prior.brightness_shift", False, "brightness of the set, away from real images"),
    "contrast_shift": Number("prior.contrast_shift", False, "contrast of the set, away from real images"),
}
"""By the name that ``--fail-on`` knows."""


@dataclass(frozen=True, kw_only=True)
class AuditSettings(TaskSettings):
    """What ``glad.audit`` and `glad audit` are asked for, beside the run."""

    network: str | None = None
    """The network that is trained: ``convnet``, ``alexnet``, ``vgg11``, ``resnet18`` or ``vit``; the run's network if
    None."""
    width: int = 32
    """Channels of the network's first stage."""
    epochs: int = 10
    """Epochs of training on real images."""
    set_epochs: int = 300
    """Epochs of training on the set."""
    seeds: int | tuple[int, ...] = 2
    """How many networks of each kind, or a list of seeds."""
    images: int = 5000
    """Real training images to train on, at most, of each class its share."""
    learning_rate: float | None = spelled(None, flags=("--lr", "--learning-rate"), old=("lr",))
    """Learning rate of the training on the set; the step size learned with it, else 0.01 if None."""
    split: Split = "validation"
    """Real images that the set is held against; use the test images once, at the end."""
    out: str | None = spelled(None, path="folder")
    """Folder for audit.json, pictures and the networks, which the next audit uses again; the run's if None."""
    fail_on: Mapping[str, float] = spelled({})
    """Thresholds by the name of a number, such as worst_class_loss=0.3: where one is not kept the command's exit status
    is 1."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require_of(self, "width", "epochs", "set_epochs", "images")
        ABOVE_ZERO.require_of(self, "learning_rate")
        for name, value in self.fail_on.items():
            if name not in NUMBERS:
                raise ValueError(f"an audit has no number {name!r} to hold to a threshold; it has {', '.join(NUMBERS)}")
            if not math.isfinite(value):
                raise ValueError(f"the threshold of {name} is {value}: give a finite number")
