"""What names a data set: the settings that distilling, training experts and training priors share."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from glad.settings.fields import Settings, as_words, settings_of
from glad.settings.numbers import AT_LEAST_ONE
from glad.settings.objects import is_object

Convolutions = Literal["auto", "direct"]

DSA = "color_crop_cutout_flip_scale_rotate"
"""All transforms of DSA (Zhao & Bilen, ICML 2021)."""


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """Which images, and in which form."""

    data: str = "fashion-mini"
    """The data set: ``fashion-mini`` and ``clothing-mini`` (embedded), ``mnist``, ``fashionmnist``, ``svhn``,
    ``cifar10``, ``cifar100``, ..., ``imagenette``, ``imagenet-a``, ..., a folder CLASS/image, or an .npz file."""
    root: str = "data"
    """Folder of the data sets that have a name."""
    classes: tuple[int | str, ...] | None = None
    """Classes to keep, by number or name; all if None."""
    limit: int | None = None
    """The most training images to use, of each class its share; all if None."""
    resolution: int | None = None
    """Side in pixels to which image files are resized and cropped; their own if None."""
    zca: bool = False
    """Whiten the images (ZCA), as published: fitted to pixels in [0, 1], with no other normalization."""
    drop_duplicates: bool = False
    """Leave out training and validation images that are identical to another image; test images stay all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require_of(self, "limit", "resolution")


def changed_words(settings: Settings, names: Collection[str]) -> list[str]:
    """The words of a command that give the fields ``names`` of ``settings``, as far as they are not the defaults.

    Data that were handed in as an object have no words.
    """
    words = []
    for setting in settings_of(type(settings)):
        value = getattr(settings, setting.name)
        if setting.name in names and value != setting.default and not is_object(value):
            words += as_words(setting.flags[-1], value)
    return words
