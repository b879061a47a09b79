"""Training the experts of a folder, and opening them for a run that they fit."""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cuda_ops.conv3x3 import convolutions
from glad.data.dataset import ImageData, Splits
from glad.data.splits import open_data
from glad.evaluation import accuracy
from glad.experts.files import Expert, ExpertError, Experts, expert_paths
from glad.experts.mismatch import difference
from glad.experts.plan import Plan, described, kind, plan
from glad.experts.training import flatten, make_optimizer, train_expert, unflatten
from glad.objectives import Objective
from glad.objectives.resolve import require_experts
from glad.rng import rng_for
from glad.runs.disk import sweep
from glad.runs.storage import optimizer_tensors, restore_optimizer
from glad.settings.data import DSA, Convolutions
from glad.settings.distill import DistillSettings
from glad.settings.experts import Dtype, ExpertSettings, MissingExpertsError, RecipeName, training_command
from glad.settings.objects import name_of
from glad.settings.spread import TaskSettings
from glad.settings.types import as_tuple
from glad.tasks.engines import open_engine
from glad.tasks.order import TaskKind, await_file, require_data, require_named

OnEpoch = Callable[[int, int, float], None]
"""Is called with the expert's number, its epochs so far and its validation accuracy."""


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
    workers: int | None = None,
    ray: str | None = None,
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
        workers: At most so many experts at once, each in a process of its own; by default 1, with ray as many as there
            is room for. Processes of this machine share the threads of this one.
        ray: ``local``, or the address of a Ray cluster whose machines share ``out`` (docs/SCALE.md).
        on_epoch: Is called with the expert's number, its epochs so far and its validation accuracy in [0, 1]; with
            ``workers`` or ``ray`` after its last epoch only.

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
        workers=workers,
        ray=ray,
    )
    return train_plan(plan(open_data(settings, data), settings), on_epoch, settings)


def train_plan(plan: Plan, on_epoch: OnEpoch | None = None, settings: ExpertSettings | None = None) -> Experts:
    """Train the experts of ``plan`` that are not there yet, and return all of the folder; see ``train_experts``.

    They are trained in this process unless the ``settings`` that the plan was made of say otherwise.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    sweep(plan.out)
    missing = [number for number in range(plan.count) if not plan.path(number).exists()]
    needed, free = plan.bytes() * len(missing) // plan.count, shutil.disk_usage(plan.out).free
    if needed > free:
        raise ExpertError(
            f"{len(missing)} experts take {needed / 2**30:.1f} GiB, {plan.out} has {free / 2**30:.1f} GiB left: train "
            "fewer, for fewer epochs, or store them in bfloat16"
        )
    if missing and expert_paths(plan.out):  # others beside them would spoil the folder
        _open(plan)
    for number in missing:  # before one is trained that the others would not fit
        if plan.path(number).with_suffix(".partial").exists():
            plan.file(number).require_same()
    _train(plan, missing, on_epoch, settings)
    return _open(plan)


def _open(plan: Plan) -> Experts:
    """The experts of the folder; ``ExpertError`` where one is of another kind or training than those of ``plan``."""
    data = plan.splits.train
    experts = Experts(plan.out, kind(data, plan.network, plan.network_options), described(data))
    for expert in experts.experts:
        if said := difference({**expert.about, "dtype": expert.dtype}, {**plan.training(), "dtype": plan.dtype}):
            raise ExpertError(f"{expert.path} {said}")
    return experts


def _train(plan: Plan, missing: Sequence[int], on_epoch: OnEpoch | None, settings: ExpertSettings | None) -> None:
    """Train the ``missing`` experts, each a task."""
    with open_engine(settings or TaskSettings(), plan.out, plan.device) as engine:
        if not engine.elsewhere:
            work = TaskKind(partial(_train_one, on_epoch=on_epoch), "expert {}".format, plan)
            deque(engine.run(work, [(number,) for number in missing]))
            return
        assert settings is not None
        require_named(settings.data)
        there = replace(settings, device=engine.device)
        work = TaskKind(_train_one, "expert {}".format, reopen=partial(_reopen, there, plan.splits.train.digest))
        for position, accuracy in engine.run(work, [(number,) for number in missing]):
            await_file(plan.path(missing[position]))
            if on_epoch is not None:
                on_epoch(missing[position], plan.recipe.epochs, accuracy)


def _reopen(settings: ExpertSettings, digest: str) -> Plan:
    """The plan of ``settings`` in another process; ``NodeError`` where its data is other data."""
    made = plan(open_data(settings), settings)
    require_data(made.splits.train.digest, digest)
    return made


def _train_one(plan: Plan, number: int, on_epoch: OnEpoch | None = None) -> float:
    """Train expert ``number``, or go on with it; its last accuracy, also of one that is there."""
    if not plan.path(number).exists():  # a task that is done again may have been finished
        with convolutions(plan.conv):
            _train_file(plan, number, on_epoch)
    return Expert(plan.path(number)).accuracy[-1]


def _train_file(plan: Plan, number: int, on_epoch: OnEpoch | None) -> None:
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

    try:
        train_expert(network, plan.splits.train, plan.recipe, plan.augmentation, key, write, start, restore)
    except ArithmeticError as error:
        file.discard()  # it would come to the same loss again, and a training by another recipe is refused beside it
        folder = " and another folder (--out FOLDER), since this one has finished experts of that rate"
        removed = "; its unfinished file is removed"
        raise ArithmeticError(f"{error}{folder if expert_paths(plan.out) else ''}{removed}") from error


def require_experts_of(settings: DistillSettings, objective: Objective | None = None) -> None:
    """Raise ``MissingExpertsError``, before data are loaded, where a run needs experts and there are none.

    An ``objective`` that was handed in has its own.
    """
    if settings.experts is None:
        if objective is None:
            require_experts(settings)
    elif not expert_paths(Path(settings.experts)):
        remedy = f"train some with `{training_command(settings)}`"
        raise MissingExpertsError(f"there are no experts in {settings.experts}", remedy)


def open_experts(data: ImageData, settings: DistillSettings) -> Experts | None:
    """The experts that ``settings`` name, if any; ``ExpertError`` when they are not of its data and network."""
    if settings.experts is None:
        return None
    return Experts(Path(settings.experts), kind(data, settings.network, settings.network_options), described(data))


def experts_digest(experts: Experts) -> str:
    """SHA-256 of what the experts are, of their accuracies and of where each of them ends."""
    digest = hashlib.sha256()
    for expert in experts.experts:
        digest.update(json.dumps(expert.about, sort_keys=True).encode())
        digest.update(json.dumps(expert.accuracy).encode())
        digest.update(expert.checkpoint(expert.epochs).numpy().tobytes())
    return digest.hexdigest()
