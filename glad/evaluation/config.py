"""The settings of an evaluation: what ``glad.evaluate`` and ``glad evaluate`` are asked for."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from glad.data.coresets import SELECTIONS
from glad.data.dataset import Splits
from glad.evaluation import hybrid
from glad.evaluation.protocol import Protocol, resolve_protocol
from glad.networks import NETWORKS

BASELINES = ("before", *SELECTIONS, "full")
LABEL_MODES = ("hard", "soft")
UNRECORDED = ("data", "root", "classes", "limit", "resolution", "zca", "workers", "part", "device")
"""Fields that results do not repeat: where the data are, and how the work was spread."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is asked of an evaluation. ``ValueError`` names the setting that cannot be."""

    networks: Sequence[str] = tuple(NETWORKS)
    """The networks to train."""
    seeds: int | Sequence[int] = 5
    """How many seeds (0, 1, ...), or which."""
    epochs: int | None = None
    """Epochs of training on a set; the protocol's if None."""
    baselines: Sequence[str] = ("before", "random")
    """What the set is compared with: ``before`` (the same latents before optimization), ``random`` (real images, as
    many), ``kmeans`` (those nearest to k-means centres), ``herding`` (those that herding selects), ``full`` (the full
    data)."""
    data: str | Splits | None = None
    """The data that sets of images stand for, by name or loaded; runs know theirs."""
    root: str | Path = "data"
    """Where data sets lie; this and the next four go with the name of the data."""
    classes: Sequence[int | str] | None = None
    """The classes to keep, by number or name; all if None."""
    limit: int | None = None
    """At most so many training images."""
    resolution: int | None = None
    """Resize and crop image files to squares of this side."""
    zca: bool = False
    """Whiten the data."""
    seen: str = "convnet"
    """The seen architecture, which is the network that the set was distilled with, where no set says so."""
    split: str = "test"
    """The images that are tested on: ``test``, or ``validation`` for tuning."""
    augmentation: str | None = None
    """DSA transforms joined by ``_``, or ``none``; the protocol's if None."""
    protocol: str | Path | Protocol = "default"
    """How networks are trained: a protocol, its name (``list_protocols``), or a YAML or JSON file of its fields."""
    label_mode: str = "hard"
    """``hard``: the labels of the set. ``soft``: the probabilities that a teacher trained on the full data gives each
    image, for baselines too; a set that brings soft labels keeps them."""
    teacher: str | None = None
    """The network behind soft labels, in whose features herding works too; convnet where labels are soft, and none
    (herding on pixels) where they are hard."""
    full_epochs: int = 20
    """Epochs on the full data, for the teacher, the scores and the costs (the baseline ``full`` has ``epochs``)."""
    learning_rate: Mapping[str, float] | float | None = None
    """The peak learning rate, of all networks or by name, in place of the protocol's. Those are for 1,000 epochs: short
    trainings need larger ones."""
    network_options: Mapping[str, Mapping[str, int]] | None = None
    """By network, such as ``{"resnet18": {"width": 16}}``."""
    hybrid: Sequence[float] | None = None
    """Shares of the real images in per cent: each is added to the set, and compared with the share alone."""
    scores: bool = False
    """Whether to measure LRS and ARS of DD-Ranking, of the seen architecture."""
    cost: bool = False
    """Whether to measure what training takes on the set and on the full data, and when distilling has paid."""
    reach: float = 0.8
    """For ``cost``: the share of the full data's accuracy to be reached, above 0 and at most 1."""
    workers: int = 1
    """Processes to spread the trainings over; they share the threads of this one."""
    part: str | None = None
    """``I/N``: do only the I-th of N parts, for ranks on one file system; a call without ``part`` merges them."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..."""

    def __post_init__(self) -> None:
        resolve_protocol(self.protocol)
        teacher = [] if self.teacher is None else [self.teacher]
        choices: dict[str, tuple[Iterable[str], Iterable[str]]] = {
            "baselines": (BASELINES, self.baselines),
            "networks": (NETWORKS, [*self.networks, *(self.network_options or {})]),
            "split": (("test", "validation"), [self.split]),
            "label_mode": (LABEL_MODES, [self.label_mode]),
            "teacher": (NETWORKS, teacher),
            "seen": (NETWORKS, [self.seen]),
        }
        for kind, (known, values) in choices.items():
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"{kind}: {unknown[0]!r} is unknown; choose from {', '.join(known)}")
        if (self.epochs is not None and self.epochs < 1) or not self.seed_list or not self.networks:
            raise ValueError("an evaluation needs at least one network, one seed and one epoch")
        for name in ("full_epochs", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.reach <= 1:
            raise ValueError(f"reach is {self.reach}: a share of the full data's accuracy, above 0 and at most 1")
        hybrid.check(self.shares, self.shares)
        if self.part_numbers is not None and self.cost:
            raise ValueError("cost is measured in one process: leave it to the call without a part")
        if teacher and not self.soft and "herding" not in self.baselines:
            raise ValueError("a teacher is for soft labels and the baseline herding: ask for one of them")

    @property
    def seed_list(self) -> list[int]:
        """The seeds, one by one."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def shares(self) -> list[float]:
        """The shares of the real images in per cent."""
        return [float(percent) for percent in self.hybrid or ()]

    @property
    def soft(self) -> bool:
        """Whether labels are soft."""
        return self.label_mode == "soft"

    @property
    def part_numbers(self) -> tuple[int, int] | None:
        """``part`` as (I, N); ``ValueError`` for what is none."""
        if self.part is None:
            return None
        number, slash, count = self.part.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ValueError(f"part is {self.part!r}: name one of several, numbered from 1, such as 2/4")
        return int(number), int(count)

    def to_dict(self) -> dict[str, Any]:
        """What results say of the settings, as JSON takes them: enough to ask for the same again."""
        given = {f.name: _as_json(getattr(self, f.name)) for f in fields(self) if f.name not in UNRECORDED}
        return {**given, "seeds": self.seed_list, "hybrid": self.shares}


def _as_json(value: Any) -> Any:
    """A setting as JSON gives it back."""
    if isinstance(value, Protocol):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _as_json(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def with_fields(function: Callable[..., Any], config: type) -> inspect.Signature:
    """The signature of ``function`` with the fields of ``config`` in place of its ``**settings``."""
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    positional = [p for p in own if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    keywords = [p for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY]
    named = [*positional, *inspect.signature(config).parameters.values(), *keywords]
    return inspect.signature(function).replace(parameters=named)
