"""The rows of a table of results, as data: what networks are trained on, and how.

A row's id is made of its parameters. Cells, summaries, differences, scores and costs refer to it, and it is part of the
key of a training's random draws. Its label is for people: nothing reads it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

SET, BEFORE, FULL, HYBRID, SHARE = "set", "before", "full", "hybrid", "share"
"""Kinds of rows, beside the names of coreset selections: a set, the same before optimization, all training images, a
set with a share of the real images, and that share alone."""
PIXELS = "pixels"
"""What herding works in without a trained network."""


@dataclass(frozen=True)
class Wording:
    """Texts that are made of a row's parameters."""

    kinds: Mapping[str, str]
    """By the row's kind."""
    variants: Mapping[str, str]
    """What is added for a row that is not trained as the evaluation says, by what differs."""
    features: Mapping[str, str]
    """What herding works in: pixels, or the features of a network."""
    even: str = "{ipc} per class"
    """How many real images, where they are as many of each class."""
    uneven: str = "{images} in all, shared out as the set's"
    """Likewise, where they are not."""

    def of(self, row: "ResultRow") -> str:
        """The text of ``row``."""
        network = row.features not in (None, PIXELS)
        features = self.features["network" if network else PIXELS].format(network=row.features)
        texts = [self.kinds[row.kind], *(self.variants[variant] for variant in row.variants)]
        number = self.even.format(ipc=row.ipc) if row.counts is None else self.uneven.format(images=sum(row.counts))
        return "".join(texts).format(**{**row.parameters, "features": features, "number": number})


LABELS = Wording(
    kinds={
        SET: "{owner}",
        BEFORE: "{owner} before optimization",
        "random": "random real images, {number}",
        "kmeans": "real images nearest to k-means centers, {number}",
        "herding": "real images by herding in {features}, {number}",
        FULL: "all {images} training images",
        HYBRID: "{owner} + {percent:g} % of the real images",
        SHARE: "{percent:g} % of the real images alone",
    },
    variants={
        "epochs": ", {epochs} epochs",
        "hard": ", hard labels",
        "augmented": ", augmented",
        "plain": ", no augmentation",
    },
    features={PIXELS: "pixels", "network": "features of a trained {network}"},
)
"""What tables call a row. Reword them freely."""


@dataclass(frozen=True)
class ResultRow:
    """One row by its parameters; None where a parameter does not belong to its kind."""

    kind: str
    owner: str | None = None
    """The candidate that the row belongs to: None for real images, which all candidates share."""
    ipc: int | None = None
    """Real images per class."""
    counts: tuple[int, ...] | None = None
    """Real images of each class, where they are not as many of all."""
    percent: float | None = None
    """The share of the real images."""
    images: int | None = None
    """How many training images there are."""
    features: str | None = None
    """What herding works in: ``pixels``, or the name of a trained network."""
    epochs: int | None = None
    """Epochs of training, where they are not those of the protocol."""
    label_mode: str | None = None
    """``hard`` where the evaluation's labels are soft and the row's are not."""
    augmented: bool | None = None
    """Whether trainings augment, where the row does not leave that to the protocol."""
    shown: bool = True
    """Whether tables have the row; the others are parts of scores and costs."""
    against: tuple[str, ...] = ()
    """The ids of the rows that this one is compared with."""

    @property
    def variants(self) -> tuple[str, ...]:
        """In what the row differs from trainings as the evaluation says."""
        augmented = {None: (), True: ("augmented",), False: ("plain",)}[self.augmented]
        hard = () if self.label_mode is None else (self.label_mode,)
        return (*(() if self.epochs is None else ("epochs",)), *hard, *augmented)

    @property
    def id(self) -> str:
        """``KIND:PARAMETER:OWNER``, such as ``set:codes``, ``random:10``, ``hybrid:5:codes`` or ``full/hard:20``.

        Numbers by class are their sum and a hash of them: ``random:30-0f3a9c21``.
        """
        kind = "/".join([self.kind, *(variant for variant in self.variants if variant != "epochs")])
        numbers = [format(number, ".10g") for number in (self.ipc, self.percent, self.epochs) if number is not None]
        counts = [] if self.counts is None else [f"{sum(self.counts)}-{_hash_of(self.counts)}"]
        return ":".join([kind, *counts, *numbers, *([] if self.owner is None else [self.owner])])

    @property
    def label(self) -> str:
        """What tables call the row."""
        return LABELS.of(self)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the row has, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None and name not in ("shown", "against")}

    def to_dict(self) -> dict[str, Any]:
        """What ``results.json`` says of the row."""
        return {
            "id": self.id,
            "kind": self.kind,
            "label": self.label,
            "owner": self.owner,
            "against": list(self.against),
            "shown": self.shown,
            **self.parameters,
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "ResultRow":
        """Read what ``to_dict`` wrote, but for the label; ``ValueError`` for a row that this version cannot name."""
        known = {field.name for field in fields(cls)}
        parameters = {name: value for name, value in entry.items() if name in known}
        counts = parameters.get("counts")
        parameters |= {"against": tuple(entry["against"]), "counts": None if counts is None else tuple(counts)}
        row = cls(**parameters)
        if row.kind not in LABELS.kinds or row.id != entry["id"]:
            raise ValueError(f"the row {entry['id']!r} is of no kind that this version knows")
        return row


def _hash_of(counts: tuple[int, ...]) -> str:
    return hashlib.sha256(repr(counts).encode()).hexdigest()[:8]


def set_id(name: str) -> str:
    """The id of the row of the set called ``name``."""
    return ResultRow(SET, owner=name).id


def rows_of(results: Mapping[str, Any]) -> dict[str, ResultRow]:
    """The rows of what ``glad.evaluate`` returned, or of what ``read_results`` read, by id and in the order of tables.

    ``KeyError``, ``TypeError`` or ``ValueError`` where ``results`` are not of that form.
    """
    rows = [ResultRow.from_dict(entry) for entry in results["rows"]]
    return {row.id: row for row in rows}


def label_of(results: Mapping[str, Any], row: str) -> str:
    """What tables call the row with the id ``row``: its label, or the id where ``results`` have no rows."""
    labels: dict[str, str] = {entry["id"]: entry["label"] for entry in results.get("rows", [])}
    return labels.get(row, row)
