"""Evaluating sets: what is asked, on what data, under which settings a finished cell is valid."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from glad.data.augment import strategy_for
from glad.data.coresets import REAL
from glad.data.dataset import ImageData, Splits
from glad.data.splits import load_data, open_data
from glad.device import pick_device
from glad.evaluation import hybrid
from glad.evaluation.candidates import Candidate, is_run, network_of, of_path, of_run, require_one_data
from glad.evaluation.conditions import Conditions
from glad.evaluation.protocol import PROTOCOLS, Protocol
from glad.evaluation.teacher import Teacher, open_teacher
from glad.networks import NETWORKS
from glad.runs.folder import Run
from glad.runs.storage import RunError

BASELINES = ("before", *REAL, "full")
RECIPES = ("hard", "soft")
TEACHER = "convnet"  # where none is named
AS_GIVEN = ("data", "epochs", "split", "augmentation", "recipe", "full_epochs", "scores", "cost", "reach", "workers")


@dataclass(frozen=True)
class EvaluationConfig:
    """One evaluation of one or several sets; see ``glad.evaluate``.

    ``source`` are the keyword arguments of ``load_data`` beside its name, ``part`` is (I, N) or None.
    """

    paths: list[Path]
    networks: list[str]
    seeds: list[int]
    epochs: int | None
    baselines: list[str]
    split: str
    augmentation: str
    lr: float | dict[str, float] | None
    network_options: dict[str, dict[str, int]]
    device: torch.device
    data: Splits | str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    unless_told: str = "convnet"
    protocol_name: str = "default"
    recipe: str = "hard"
    teacher_name: str | None = None
    full_epochs: int = 20
    hybrid: list[float] = field(default_factory=list)
    scores: bool = False
    cost: bool = False
    reach: float = 0.8
    workers: int = 1
    part: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        teacher = [] if self.teacher_name is None else [self.teacher_name]
        choices: dict[str, tuple[Iterable[str], Iterable[str]]] = {
            "baselines": (BASELINES, self.baselines),
            "networks": (NETWORKS, [*self.networks, *self.network_options]),
            "split": (("test", "validation"), [self.split]),
            "protocol": (PROTOCOLS, [self.protocol_name]),
            "recipe": (RECIPES, [self.recipe]),
            "teacher": (NETWORKS, teacher),
            "same": (NETWORKS, [self.unless_told]),
        }
        for kind, (known, values) in choices.items():
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"{kind}: {unknown[0]!r} is unknown; choose from {', '.join(known)}")
        if (self.epochs is not None and self.epochs < 1) or not self.seeds or not self.networks or not self.paths:
            raise ValueError("an evaluation needs at least one run, one network, one seed and one epoch")
        for name in ("full_epochs", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.reach <= 1:
            raise ValueError(f"reach is {self.reach}: a share of the full data's accuracy, above 0 and at most 1")
        hybrid.check(self.hybrid, self.hybrid)
        if self.part is not None and self.cost:
            raise ValueError("cost is measured in one process: leave it to the call without a part")
        if teacher and self.recipe != "soft" and "herding" not in self.baselines:
            raise ValueError("a teacher is for the recipe soft and the baseline herding: ask for one of them")

    @property
    def runs(self) -> list[Run]:
        """Those of the paths that are folders of runs."""
        return [Run(path) for path in self.paths if is_run(path)]

    @cached_property
    def splits(self) -> Splits:
        """The data of all sets; ``RunError`` when runs, or what lies on the disk now, differ, or none is named."""
        if isinstance(self.data, str):
            splits = load_data(self.data, **self.source)
        elif self.runs or self.data is not None:
            if asked := [name for name, value in self.source.items() if name != "root" and value]:
                raise ValueError(f"{asked[0]} goes with the name of the data (--data): a run knows its own")
            splits = self.data or open_data(self.runs[0].config)
        else:
            raise RunError(
                f"{self.paths[0]} is not the folder of a run: for a set of images name the data that it stands for "
                "(--data NAME)"
            )
        require_one_data(self.runs, splits.train)
        return splits

    @cached_property
    def candidates(self) -> list[Candidate]:
        """The sets that compete; ``RunError`` when one is unfinished or damaged, ``ValueError`` for one name twice."""
        train = self.splits.train
        found = [of_run(Run(path)) if is_run(path) else of_path(path, train) for path in self.paths]
        names = [candidate.name for candidate in found]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"runs are told apart by their folder's name; {', '.join(repeated)} occurs twice")
        return found

    @cached_property
    def tested(self) -> ImageData:
        """The images that accuracy is measured on."""
        images: ImageData = getattr(self.splits, self.split)
        return images

    @cached_property
    def same(self) -> str:
        """The network that the sets were distilled with; ``RunError`` when they differ.

        ``ValueError`` when it is not evaluated and scores or costs, which are its own, are asked for.
        """
        name = network_of(self.candidates, self.unless_told)
        if (self.scores or self.cost) and name not in self.networks:
            raise ValueError(f"scores and costs are those of {name}, distilled with: add it (--networks {name})")
        return name

    @property
    def protocol(self) -> Protocol:
        """How networks are trained; ``lr`` replaces the published rates, of all networks or by name."""
        named = PROTOCOLS[self.protocol_name]
        strategy = strategy_for(self.splits.train, self.augmentation)
        published = replace(named, epochs=self.epochs or named.epochs, strategy=strategy)
        if self.lr is None:
            return published
        if not isinstance(self.lr, dict):
            return replace(published, lr_same=self.lr, lr_other=self.lr, lr_by_network={})
        by_network = {**published.lr_by_network, **self.lr}
        return replace(published, lr_same=self.lr.get(self.same, published.lr_same), lr_by_network=by_network)

    @cached_property
    def learned_lr(self) -> dict[str, float]:
        """The step sizes learnt along with the sets, taken by the network distilled with unless ``lr`` names it."""
        if isinstance(self.lr, int | float) or self.same in (self.lr or {}):
            return {}
        return {
            candidate.name: candidate.learned_lr for candidate in self.candidates if candidate.learned_lr is not None
        }

    @cached_property
    def teacher(self) -> Teacher | None:
        """The network behind soft labels and herding; None where neither asks for one."""
        if self.recipe != "soft" and self.teacher_name is None:
            return None
        name = self.teacher_name or TEACHER
        return open_teacher(self.splits, name, self.network_options.get(name, {}), self.full_epochs, self.device)

    @cached_property
    def conditions(self) -> Conditions:
        """What is trained on, seed by seed."""
        return Conditions(
            candidates=self.candidates,
            train=self.splits.train,
            baselines=self.baselines,
            networks=tuple(self.networks),
            same=self.same,
            protocol=self.protocol,
            learned_lr=self.learned_lr,
            soft=self.recipe == "soft",
            teacher=self.teacher,
            hybrid=self.hybrid,
            scores=self.scores,
            cost=self.cost,
            full_epochs=self.full_epochs,
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a finished cell depends on, beside its own set, network and seed.

        What the first version did not know is named only where it is not as it was then, so that its cells stay valid.
        """
        options = {
            "epochs": self.protocol.epochs,
            "split": self.split,
            "augmentation": self.augmentation,
            "lr": self.lr,
        }
        options |= {"learned_lr": self.learned_lr} if self.learned_lr else {}
        options |= {"protocol": self.protocol_name} if self.protocol_name != "default" else {}
        options |= {"recipe": self.recipe} if self.recipe != "hard" else {}
        options |= {"teacher": dict(self.teacher.settings)} if self.teacher is not None else {}
        options |= {} if any(candidate.network for candidate in self.candidates) else {"same": self.same}
        hashes = {"data": self.splits.train.digest, "tested": self.tested.digest}
        sets = {candidate.name: candidate.hashes for candidate in self.candidates}
        return {**options, "network_options": self.network_options, "hashes": hashes, "sets": sets}


def resolve_config(given: Mapping[str, Any]) -> EvaluationConfig:
    """The evaluation that the arguments of ``glad.evaluate`` ask for; ``ValueError`` naming what cannot be."""
    runs, seeds, lr = given["runs"], given["seeds"], given["lr"]
    listed = [runs] if isinstance(runs, str | Path | Run) else list(runs)
    return EvaluationConfig(
        paths=[run.path if isinstance(run, Run) else Path(run) for run in listed],
        networks=list(given["networks"]),
        seeds=list(range(seeds)) if isinstance(seeds, int) else list(seeds),
        lr=dict(lr) if isinstance(lr, Mapping) else lr,
        network_options={name: dict(options) for name, options in (given["network_options"] or {}).items()},
        baselines=list(given["baselines"]),
        device=pick_device(given["device"]),
        source={name: given[name] for name in ("root", "classes", "limit", "resolution", "zca")},
        unless_told=given["same"],
        protocol_name=given["protocol"],
        teacher_name=given["teacher"],
        hybrid=[float(percent) for percent in given["hybrid"] or ()],
        part=None if given["part"] is None else read_part(given["part"]),
        **{name: given[name] for name in AS_GIVEN},
    )


def read_part(text: str) -> tuple[int, int]:
    """``2/4`` as (2, 4); ``ValueError`` for anything else."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"part is {text!r}: name one of several, numbered from 1, such as 2/4")
    return int(number), int(count)
