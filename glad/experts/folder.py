"""Training the experts of a folder, and opening them for a run that they fit."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cuda_ops.conv3x3 import convolutions
from glad.data.augment import strategy_for
from glad.data.dataset import ImageData, Splits
from glad.data.splits import open_data
from glad.device import pick_device
from glad.evaluation import accuracy
from glad.experts.files import ExpertError, ExpertFile, Experts, file_size
from glad.experts.training import flatten, make_optimizer, train_epoch, train_expert, unflatten
from glad.networks.factory import network_factory
from glad.rng import rng_for
from glad.runs.disk import sweep
from glad.runs.storage import optimizer_tensors, restore_optimizer
from glad.settings.data import DSA, Convolutions
from glad.settings.distill import DistillSettings
from glad.settings.experts import RECIPES, Dtype, ExpertSettings, Recipe, RecipeName
from glad.settings.fields import read
from glad.settings.objects import name_of
from glad.settings.types import as_tuple

OnEpoch = Callable[[int, int, float], None]
"""Is called with the expert's number, its epochs so far and its validation accuracy."""

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

    def file(self, number: int) -> ExpertFile:
        """The file of expert ``number``."""
        shapes = {name: list(p.shape) for name, p in self.make(rng_for(0)).named_parameters()}
        about = {
            **kind(self.splits.train, self.network, self.network_options),
            "data_name": self.splits.train.name,
            "recipe": self.recipe.stored(),
            "augmentation": self.augmentation,
            "seed": self.seed,
            "number": number,
            "parameters": shapes,
        }
        size = sum(torch.Size(shape).numel() for shape in shapes.values())
        return ExpertFile(
            self.out / f"expert_{number:03d}.safetensors", self.recipe.epochs + 1, size, self.dtype, about
        )

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


def plan(splits: Splits, settings: ExpertSettings) -> Plan:
    """Experts on the training images of ``splits``; ``ValueError`` for a number of the recipe that does not exist."""
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


def train_experts(
    data: str | Splits,
    out: str | Path,
    *,
    root: str | Path = "data",
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    resolution: int | None = None,
    zca: bool = False,
    drop_duplicates: bool = False,
    count: int = 10,
    recipe: RecipeName = "mtt",
    recipe_options: Mapping[str, Any] | None = None,
    network: str = "convnet",
    network_options: Mapping[str, Any] | None = None,
    augmentation: str = DSA,
    dtype: Dtype = "float32",
    seed: int = 0,
    conv: Convolutions = "auto",
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
) -> Experts:
    """Train the expert networks that the objectives ``mtt`` and ``ast`` follow, and store them after every epoch.

    Killed at any moment, the same call continues with the last epoch and ends with the same files. Experts that are
    in the folder are not trained again.

    Args:
        data: What ``glad.load_data`` takes, or its ``Splits``. Experts learn from the training images; their accuracy
            is that on the validation images.
        out: Folder of the files, one per expert.
        root: Where named data sets lie.
        classes: Positions or names of the classes to keep.
        limit: At most so many training images, of each class its share.
        resolution: Side in pixels to which images are resized and cropped.
        zca: Whiten the images. A run that follows the experts must do the same.
        drop_duplicates: Leave out training and validation images that are identical to another image.
        count: How many experts the folder is to hold.
        recipe: ``mtt``, ``glad`` or ``smooth`` (that of AST).
        recipe_options: Fields of ``glad.experts.Recipe`` that replace those of the recipe, such as ``{"epochs": 20}``.
        network: A name in ``glad.networks.NETWORKS``. A run that follows the experts has the same network.
        network_options: Options of the network, such as ``{"width": 64}``.
        augmentation: DSA transforms joined by ``_``, or ``none``.
        dtype: Of the stored parameters, ``float32`` or ``bfloat16``.
        seed: Of the initial networks, the order of the images and the augmentation.
        conv: 3x3 convolutions on a CPU. ``auto``: by Winograd's algorithm where it is the faster, which rounds
            otherwise; ``direct``: torch's own. What goes on keeps those that it began with.
        device: ``auto``, ``cpu`` or ``cuda``.
        on_epoch: Is called with the expert's number, its epochs so far and its validation accuracy in [0, 1].

    Returns:
        The experts of the folder, whose checkpoints are read one by one.

    Raises:
        ValueError: For an unknown recipe, network or type, or a number that makes no sense.
        DataError: For data that cannot be used.
        ExpertError: Before the training starts, where the files do not fit on the disk or the folder holds experts of
            another kind.
        ArithmeticError: Where a loss is not finite.

    Examples:
        >>> experts = glad.train_experts(
        ...     "fashion-mini", "experts", limit=50, count=1, recipe_options={"epochs": 2}, network_options={"width": 4}
        ... )
        >>> len(experts.experts), len(experts.experts[0].accuracy)
        (1, 3)
    """
    settings = ExpertSettings(
        data=name_of(data),
        root=str(root),
        classes=as_tuple(classes),
        limit=limit,
        resolution=resolution,
        zca=zca,
        drop_duplicates=drop_duplicates,
        out=str(out),
        count=count,
        recipe=recipe,
        recipe_options=recipe_options or {},
        network=network,
        network_options=network_options or {},
        augmentation=augmentation,
        dtype=dtype,
        seed=seed,
        conv=conv,
        device=device,
    )
    return train_plan(plan(open_data(settings, data), settings), on_epoch)


def train_plan(plan: Plan, on_epoch: OnEpoch | None = None) -> Experts:
    """Train the experts of ``plan`` that are not there yet, and return all of the folder; see ``train_experts``."""
    plan.out.mkdir(parents=True, exist_ok=True)
    sweep(plan.out)
    missing = [number for number in range(plan.count) if not plan.file(number).path.exists()]
    needed, free = plan.bytes() * len(missing) // plan.count, shutil.disk_usage(plan.out).free
    if needed > free:
        raise ExpertError(
            f"{len(missing)} experts take {needed / 2**30:.1f} GiB, {plan.out} has {free / 2**30:.1f} GiB left: train "
            "fewer, for fewer epochs, or store them in bfloat16"
        )
    for number in missing:
        with convolutions(plan.conv):
            _train_one(plan, number, on_epoch)
    experts = Experts(plan.out, kind(plan.splits.train, plan.network, plan.network_options))
    for expert in experts.experts:
        if expert.about["recipe"] != plan.recipe.stored():
            raise ExpertError(f"{expert.path} is of another recipe, {expert.about['recipe']}: choose another folder")
    return experts


def _train_one(plan: Plan, number: int, on_epoch: OnEpoch | None) -> None:
    """Train expert ``number``, or go on with it."""
    file, key = plan.file(number), (plan.seed, "expert", number)
    network = plan.make(rng_for(*key, "network"))
    tested = plan.splits.validation.tensor().to(plan.device), plan.splits.validation.labels.to(plan.device)

    def write(epoch: int, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        known, parameters = accuracy(network, *tested), flatten(network)
        file.write(epoch, parameters, known, {"parameters": parameters, **optimizer_tensors(optimizer)})
        if on_epoch is not None:
            on_epoch(number, epoch, known)

    found = file.begin()
    if found is None:
        write(0, network, make_optimizer(network, plan.recipe, 0))
        start, restore = 0, None
    else:
        start, state = found
        unflatten(network, state["parameters"])

        def restore(optimizer: torch.optim.Optimizer) -> None:
            restore_optimizer(optimizer, state)

    train_expert(network, plan.splits.train, plan.recipe, plan.augmentation, key, write, start, restore)


def open_experts(data: ImageData, settings: DistillSettings) -> Experts | None:
    """The experts that ``settings`` name, if any; ``ExpertError`` when they are not of its data and network."""
    if settings.experts is None:
        return None
    return Experts(Path(settings.experts), kind(data, settings.network, settings.network_options))


def experts_digest(experts: Experts) -> str:
    """SHA-256 of what the experts are, of their accuracies and of where each of them ends."""
    digest = hashlib.sha256()
    for expert in experts.experts:
        digest.update(json.dumps(expert.about, sort_keys=True).encode())
        digest.update(json.dumps(expert.accuracy).encode())
        digest.update(expert.checkpoint(expert.epochs).numpy().tobytes())
    return digest.hexdigest()
