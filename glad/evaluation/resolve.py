"""From the settings of an evaluation to its objects: the candidates, the data, the protocol, and what is to be trained.

Every property is computed at its first use, from the settings alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from glad.data.augment import strategy_for
from glad.data.dataset import ImageData, Splits
from glad.data.notices import warn_of
from glad.data.splits import load_data, open_data
from glad.device import pick_device
from glad.evaluation.candidates import Candidate, is_run, network_of, of_path, of_run, require_one_data, with_own_names
from glad.evaluation.conditions import Conditions
from glad.evaluation.config import TEACHER, EvaluationConfig
from glad.evaluation.protocol import TRAINING_VERSION, Protocol, resolve_protocol
from glad.evaluation.teacher import Teacher, open_teacher
from glad.networks import make_network
from glad.networks.factory import require_fitting, shape_for
from glad.networks.libraries import library_of, library_version
from glad.rng import rng_for
from glad.runs.folder import Run
from glad.runs.storage import RunError

SOURCE = ("root", "classes", "limit", "resolution", "zca", "drop_duplicates")  # of the data, beside its name


@dataclass(frozen=True, eq=False)
class ResolvedEvaluation:
    """The evaluation of the sets at ``paths`` under the settings ``config``."""

    paths: Sequence[Path]
    config: EvaluationConfig

    @property
    def runs(self) -> list[Run]:
        """Those of the paths that are folders of runs."""
        return [Run(path) for path in self.paths if is_run(path)]

    @cached_property
    def device(self) -> torch.device:
        """Where it is computed."""
        return pick_device(self.config.device)

    @cached_property
    def splits(self) -> Splits:
        """The data of all sets; ``RunError`` when runs, or what lies on the disk now, differ, or none is named."""
        source, data = {name: getattr(self.config, name) for name in SOURCE}, self.config.data
        if isinstance(data, str):
            splits = load_data(data, **source)
        elif self.runs or data is not None:
            if asked := [name for name, value in source.items() if name != "root" and value]:
                raise ValueError(f"{asked[0]} goes with the name of the data (--data): a run knows its own")
            splits = data or open_data(self.runs[0].settings, recorded=self.runs[0].data_digest)
        else:
            raise RunError(
                f"{self.paths[0]} is not the folder of a run: for a set of images name the data that it stands for "
                "(--data NAME)"
            )
        require_one_data(self.runs, splits.train)
        return splits

    @cached_property
    def candidates(self) -> list[Candidate]:
        """The sets that compete; ``RunError`` when one is unfinished or damaged, ``ValueError`` for one path twice."""
        train, config = self.splits.train, self.config
        found = [
            of_run(Run(path)) if is_run(path) else of_path(path, train, config.values, config.class_map)
            for path in self.paths
        ]
        return with_own_names(found, self.paths)

    @cached_property
    def tested(self) -> ImageData:
        """The images that accuracy is measured on."""
        images: ImageData = getattr(self.splits, self.config.split)
        return images

    @cached_property
    def seen(self) -> str:
        """The network that the sets were distilled with; ``RunError`` when they differ.

        ``ValueError`` when it is not evaluated and scores or costs, which are its own, are asked for.
        """
        name = network_of(self.candidates, self.config.seen)
        if (self.config.scores or self.config.cost) and name not in self.config.networks:
            raise ValueError(f"scores and costs are those of {name}, distilled with: add it (--networks {name})")
        return name

    @cached_property
    def protocol(self) -> Protocol:
        """How networks are trained: the protocol, with what the settings put in place of its fields."""
        asked, config = resolve_protocol(self.config.protocol)[1], self.config
        augmentation = config.augmentation if config.augmentation is not None else asked.augmentation
        made = replace(
            asked, epochs=config.epochs or asked.epochs, augmentation=strategy_for(self.splits.train, augmentation)
        )
        return made.with_learning_rates(config.learning_rate, self.seen)

    @cached_property
    def step_sizes(self) -> dict[str, float]:
        """The step sizes learned along with the sets, which the seen architecture takes unless its rate was given."""
        rates = self.config.learning_rate
        if isinstance(rates, int | float) or self.seen in (rates or {}):
            return {}
        return {candidate.name: candidate.step_size for candidate in self.candidates if candidate.step_size is not None}

    def options_of(self, network: str) -> dict[str, int]:
        """The options that a network is built with."""
        return dict((self.config.network_options or {}).get(network, {}))

    @cached_property
    def library_versions(self) -> dict[str, str | None]:
        """By network the library and version that it is of, None for our own; networks that do not fit are refused.

        A network whose convolutions end up on maps of one pixel gives a notice.
        """
        train = self.splits.train
        for name in self.config.networks:
            if library_of(name) is None:
                require_fitting(train, name, self.options_of(name))
            else:
                made: Any = make_network(name, rng=rng_for("fits", name), **shape_for(train), **self.options_of(name))  # type: ignore[arg-type]
                if made.smallest_map == 1:
                    remedy = f"--network-option {name}.stem=3 keeps them larger"
                    warn_of([f"{name}: images of {train.resolution} pixels become feature maps of one pixel; {remedy}"])
        return {name: library_version(name) for name in self.config.networks}

    @cached_property
    def teacher(self) -> Teacher | None:
        """The network behind soft labels and herding; None where neither asks for one."""
        if not self.config.soft and self.config.teacher is None:
            return None
        name = self.config.teacher or TEACHER
        return open_teacher(self.splits, name, self.options_of(name), self.config.full_epochs, self.device)

    @cached_property
    def conditions(self) -> Conditions:
        """What is trained on, seed by seed."""
        return Conditions(
            candidates=self.candidates,
            train=self.splits.train,
            baselines=self.config.baselines,
            equal=self.config.equal,
            networks=tuple(self.config.networks),
            seen=self.seen,
            protocol=self.protocol,
            step_sizes=self.step_sizes,
            soft=self.config.soft,
            teacher=self.teacher,
            hybrid=self.config.shares,
            scores=self.config.scores,
            cost=self.config.cost,
            full_epochs=self.config.full_epochs,
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a finished cell depends on, beside its row, network and seed: it is valid under equal settings only.

        The protocol is there with all its fields and without its name.
        """
        options = self.config.network_options or {}
        return {
            "training_version": TRAINING_VERSION,
            "protocol": self.protocol.to_dict(),
            "seen": self.seen,
            "split": self.config.split,
            "label_mode": self.config.label_mode,
            "teacher": None if self.teacher is None else dict(self.teacher.settings),
            "network_options": {name: dict(values) for name, values in options.items()},
            "hashes": {"data": self.splits.train.digest, "tested": self.tested.digest},
            "sets": {
                candidate.name: {
                    "hashes": candidate.hashes,
                    "step_size": self.step_sizes.get(candidate.name),
                    "stream": candidate.content,
                }
                for candidate in self.candidates
            },
        }
