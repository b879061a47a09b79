"""A distilled set in memory: a PyTorch data set, its codes if it has some, and the card that travels with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from glad.data.dataset import ImageData
from glad.formats.packing import Packed
from glad.formats.storage import Levels, QuantizationLoss
from glad.runs import html
from glad.runs.stored_size import StoredSize, size_of_images, size_of_rows


@dataclass(frozen=True)
class Card:
    """What a set says about itself; every export carries it as JSON.

    ``mean`` and ``std`` are per channel and normalize pixels in [0, 1]; ``range`` is that of the pixels before they
    were stored. ``zca`` is ``none``, ``kept`` (images are whitened, as test images must be) or ``inverted`` (the set
    was distilled whitened, its images are not). ``step_size`` is the student's, where it was learned. ``format`` is a
    name in ``glad.formats.FORMATS``, or ``run``; ``levels`` is None where floats are stored, and ``cost`` what was
    lost. ``made`` says where the set comes from: settings, hashes, versions.
    """

    classes: tuple[str, ...]
    images: int
    channels: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    range: tuple[float, float]
    zca: str
    step_size: float | None
    format: str
    levels: Levels | None
    cost: QuantizationLoss
    made: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON takes it."""
        return asdict(self)

    def to_json(self) -> str:
        """The card as text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Card":
        """Undo ``to_dict``; ``KeyError`` or ``TypeError`` where something is missing or of another kind."""
        values = {field.name: content[field.name] for field in fields(cls)}
        values |= {name: tuple(values[name]) for name in ("classes", "mean", "std", "range")}
        levels = values["levels"]
        return cls(**{**values, "levels": levels and Levels(**levels), "cost": QuantizationLoss(**values["cost"])})

    def data(self) -> ImageData:
        """A data set without images that normalizes as this set's did, without whitening."""
        return ImageData(
            name="distilled",
            images=torch.empty(0, self.channels, self.resolution, self.resolution, dtype=torch.uint8),
            labels=torch.empty(0, dtype=torch.int64),
            classes=self.classes,
            class_ids=tuple(range(len(self.classes))),
            mean=self.mean,
            std=self.std,
            resolution=self.resolution,
            channels=self.channels,
        )


@dataclass(frozen=True)
class Codes:
    """What a prior makes the images of.

    ``latents`` have a row per image; ``learned`` are the prior's own tensors, such as learned weights of a generator.
    ``prior`` is its name as ``glad distill --prior`` takes it, with its ``options``; ``sha256`` that of its weights,
    empty where it has no file. ``chunk`` rows were rendered at a time. ``files`` are the options that name a file.
    ``packed`` holds what is stored in few bits, by its name in the file (``latents/w``, ``labels``); ``latents`` and
    ``learned`` are the tensors that it stands for.
    """

    latents: dict[str, Tensor]
    learned: dict[str, Tensor]
    prior: str
    options: Mapping[str, Any]
    sha256: str
    chunk: int
    files: tuple[str, ...] = ()
    packed: Mapping[str, Packed] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Distilled(Dataset[tuple[Tensor, Tensor]]):
    """N images and what to train on; an item is ``(images[i], targets[i])``.

    ``images`` float32 [N, C, H, W] are as networks see them, ``pixels`` the same in [0, 1] and, where the set goes
    beyond, outside; ``labels`` int64 [N]; ``soft_labels`` float [N, K], or None.
    """

    images: Tensor
    pixels: Tensor
    labels: Tensor
    soft_labels: Tensor | None
    card: Card
    codes: Codes | None = None

    def __post_init__(self) -> None:
        card, count = self.card, self.card.images
        shape = (count, card.channels, card.resolution, card.resolution)
        if self.images.shape != shape or self.pixels.shape != shape:
            raise ValueError(f"images are {list(self.images.shape)}, the set's description says {list(shape)}")
        if self.labels.shape != (count,) or not bool(((self.labels >= 0) & (self.labels < len(card.classes))).all()):
            raise ValueError(f"labels are not {count} numbers from 0 to {len(card.classes) - 1}")
        if self.soft_labels is not None and self.soft_labels.shape != (count, len(card.classes)):
            raise ValueError(f"soft labels are {list(self.soft_labels.shape)}, not {[count, len(card.classes)]}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        return self.images[index], self.targets[index]

    def _repr_html_(self) -> str:
        """What a notebook shows: images, a column per class, and what the set is."""
        card = self.card
        size = f"{card.channels} x {card.resolution} x {card.resolution}"
        facts = {"images": len(self), "of": size, "classes": len(self.classes), "format": card.format}
        facts |= {} if card.step_size is None else {"step size": f"{card.step_size:.4g}"}
        facts |= {key: value for key, value in card.made.items() if isinstance(value, str | int)}
        return html.section("distilled set", facts, html.images(self.pixels, self.targets, self.classes))

    @property
    def targets(self) -> Tensor:
        """What a loss takes: the soft labels where the set has them, else the labels."""
        return self.labels if self.soft_labels is None else self.soft_labels

    @property
    def stored(self) -> StoredSize:
        """What the set takes to store: its codes where it has some, else its images as they are stored."""
        classes, codes = len(self.classes), self.codes
        if codes is None:
            bits = 32 if self.card.levels is None else self.card.levels.bits
            return size_of_images(self.images, self.targets, classes, bits)
        rows, shared = (
            {name: codes.packed.get(f"{part}/{name}", tensor) for name, tensor in tensors.items()}
            for part, tensors in (("latents", codes.latents), ("learned", codes.learned))
        )
        size = size_of_rows(rows, shared, self.targets, classes, None if codes.sha256 else 0)
        labels = codes.packed.get("labels" if self.soft_labels is None else "soft_labels")
        return size if labels is None else replace(size, labels=labels.nbytes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the labels."""
        return self.card.classes

    @property
    def mean(self) -> tuple[float, ...]:
        """Per channel, of pixels in [0, 1]."""
        return self.card.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Per channel, of pixels in [0, 1]."""
        return self.card.std

    @property
    def step_size(self) -> float | None:
        """The student's step size that was learned along with the set, if one was."""
        return self.card.step_size

    def normalize(self, pixels: Tensor) -> Tensor:
        """Float pixels [n, C, H, W] in [0, 1], of test images for instance, as networks see them.

        ``ValueError`` where the set is whitened: the data set that it was distilled from has the whitening.
        """
        if self.card.zca == "kept":
            raise ValueError("this set is whitened: normalize test images with the data it was distilled from (zca)")
        return self.card.data().normalize(pixels)


def _levels(card: Card) -> Levels:
    if card.levels is None:
        raise ValueError(f"the description of a set of format {card.format} does not say how pixels are stored")
    return card.levels


def to_stored(source: Distilled, card: Card) -> np.ndarray:
    """The pixels of ``source`` in the levels of ``card``: uint8 or uint16 [N, H, W, C]."""
    return _levels(card).quantize(source.pixels)


def from_stored(card: Card, stored: Sequence[np.ndarray], labels: Tensor, soft_labels: Tensor | None) -> Distilled:
    """The set of N images stored as whole numbers [H, W, C]; ``ValueError`` where they are not what ``card`` says."""
    levels, shape = _levels(card), (card.resolution, card.resolution, card.channels)
    if len(stored) != card.images:
        raise ValueError(f"{len(stored)} images are there, the set has {card.images}")
    if wrong := [i for i, image in enumerate(stored) if image.shape != shape]:
        raise ValueError(f"image {wrong[0]} is {list(stored[wrong[0]].shape)}, the set's are {list(shape)}")
    pixels = levels.pixels(np.stack(list(stored)))
    return Distilled(card.data().normalize(pixels), pixels, labels, soft_labels, card)


def as_levels(source: Distilled, levels: Levels) -> Card:
    """The card of ``source`` once its pixels are stored in ``levels``; whitening is undone, as pixels have none."""
    zca = "none" if source.card.zca == "none" else "inverted"
    return replace(source.card, levels=levels, cost=levels.cost(source.pixels), zca=zca)
