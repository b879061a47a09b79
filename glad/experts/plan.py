"""Experts that are to be trained: on what, how, into which files, and what that takes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from glad.data.augment import strategy_for
from glad.data.dataset import ImageData, Splits
from glad.device import pick_device
from glad.experts.files import FORM, ExpertFile, file_size
from glad.experts.training import make_optimizer, train_epoch
from glad.networks.factory import network_factory, require_fitting
from glad.rng import rng_for
from glad.settings.data import Convolutions
from glad.settings.experts import RECIPES, ExpertSettings, Recipe
from glad.settings.fields import read

TIMED_BATCHES = 3


@dataclass(frozen=True)
class Plan:
    """Experts to be trained: on what, how, and into which files."""

    splits: Splits
    recipe: Recipe
    network: str
    network_options: Mapping[str, Any]
    augmentation: str
    dtype: str
    seed: int
    count: int
    out: Path
    device: torch.device
    conv: Convolutions = "auto"

    @property
    def make(self) -> Callable[[torch.Generator], Any]:
        """``make(rng)``: a fresh network."""
        return network_factory(self.splits.train, self.network, self.network_options, self.device)

    def path(self, number: int) -> Path:
        """Where expert ``number`` lies."""
        return self.out / f"expert_{number:03d}.safetensors"

    def training(self) -> dict[str, Any]:
        """How each expert is trained, as its file has it."""
        return {"recipe": self.recipe.stored(), "augmentation": self.augmentation, "seed": self.seed}

    def file(self, number: int) -> ExpertFile:
        """The file of expert ``number``."""
        shapes = {name: list(p.shape) for name, p in self.make(rng_for(0)).named_parameters()}
        about = {
            **kind(self.splits.train, self.network, self.network_options),
            **described(self.splits.train),
            **self.training(),
            "number": number,
            "parameters": shapes,
        }
        size = sum(torch.Size(shape).numel() for shape in shapes.values())
        return ExpertFile(self.path(number), self.recipe.epochs + 1, size, self.dtype, about)

    def bytes(self) -> int:
        """Size of all files."""
        file = self.file(0)
        return self.count * file_size(file.rows, file.parameters, file.dtype, file.about)

    def seconds(self) -> float:
        """How long all epochs will take, from three batches after one to warm up; without the tests after each."""
        data, batch = self.splits.train, self.recipe.batch
        network = self.make(rng_for("trial"))
        part = data.select(torch.arange(min(len(data), batch)))
        times = []
        for trial in range(TIMED_BATCHES + 1):
            began = time.perf_counter()
            optimizer = make_optimizer(network, self.recipe, 0)
            train_epoch(network, optimizer, part, self.recipe, self.augmentation, trial, ("trial",))
            times.append(time.perf_counter() - began)
        return sorted(times[1:])[TIMED_BATCHES // 2] / len(part) * len(data) * self.recipe.epochs * self.count


def kind(data: ImageData, network: str, network_options: Mapping[str, Any]) -> dict[str, Any]:
    """What experts and a run must have in common."""
    return {"data": data.digest, "network": network, "network_options": dict(sorted(network_options.items()))}


def described(data: ImageData) -> dict[str, Any]:
    """What data are in words, as experts' files have it: of two digests one sees only that they differ."""
    form = {
        "images": len(data),
        "classes": list(data.classes),
        "resolution": data.resolution,
        "channels": data.channels,
        "zca": data.whitening is not None,
    }
    return {"data_name": data.name, FORM: form}


def plan(splits: Splits, settings: ExpertSettings) -> Plan:
    """Experts on the training images of ``splits``; ``ValueError`` for a number of recipe or network without sense."""
    require_fitting(splits.train, settings.network, settings.network_options)
    published = RECIPES[settings.recipe].plain()
    return Plan(
        splits=splits,
        recipe=read(Recipe, {**published, **settings.recipe_options}, f"recipe {settings.recipe}"),
        network=settings.network,
        network_options=settings.network_options,
        augmentation=strategy_for(splits.train, settings.augmentation),
        dtype=settings.dtype,
        seed=settings.seed,
        count=settings.count,
        out=Path(settings.out),
        conv=settings.conv,
        device=pick_device(settings.device),
    )
