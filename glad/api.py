"""The two functions of the package, ``distill`` and ``evaluate``: from names to finished files.

This is the door: settings end here, below are plain objects.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

from generators.classes import read_class_map
from glad.data.augment import ALL
from glad.data.dataset import ImageData, Splits
from glad.data.splits import open_data
from glad.device import pick_device
from glad.distillation import Metrics, Progress, learnt_tensors, require_usable_labels
from glad.distillation import run as iterate
from glad.evaluation.config import EvaluationConfig, with_fields
from glad.evaluation.resolve import ResolvedEvaluation
from glad.evaluation.runner import run_evaluation
from glad.experts import Experts
from glad.experts.folder import experts_digest, open_experts
from glad.initialization import LABELS, STARTS, expert_network, initial_latents, learned_labels
from glad.networks.factory import network_factory
from glad.objectives.base import Objective
from glad.objectives.resolve import resolve_learning_rates, resolve_objective
from glad.optimizers import make_optimizer
from glad.priors.base import Prior
from glad.priors.resolve import ResolvedPrior, resolve_prior
from glad.rng import rng_for
from glad.runs.folder import Run
from glad.runs.monitor import Monitor
from glad.synthetic_set import SyntheticSet
from glad.version import VERSION

OnStep = Callable[[int, Metrics], None]


def distill(
    data: str | Splits = "fashion-mini",
    objective: str | Objective = "dm",
    prior: str | Prior = "fashion-mini",
    ipc: int = 1,
    *,
    out: str | Path | None = None,
    root: str | Path = "data",
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    resolution: int | None = None,
    zca: bool = False,
    prior_options: Mapping[str, Any] | None = None,
    class_map: Mapping[str, str | int] | str | None = None,
    objective_options: Mapping[str, Any] | None = None,
    network: str = "convnet",
    network_options: Mapping[str, Any] | None = None,
    augmentation: str = ALL,
    experts: str | Path | None = None,
    labels: str = "hard",
    start: str = "prior",
    candidates: int = 100,
    inversion_steps: int = 200,
    iterations: int = 1000,
    lr: Mapping[str, float] | float | None = None,
    momentum: float = 0.5,
    chunk: int = 10,
    memory: float = 2.0,
    seed: int = 0,
    device: str = "auto",
    save_every: int = 50,
    grid_every: int = 100,
    on_step: OnStep | None = None,
) -> Run:
    """Distil ``data`` into ``ipc`` synthetic images per class and return the finished run's folder.

    Names and paths are those of `glad distill --help`; ``data`` may be ``Splits``, ``objective`` and ``prior`` objects,
    ``lr`` a dict by latent name. ``labels`` are ``hard``, the number of a class for each image, or ``learned``: a
    weight for each class, first 1 for the image's own and 0 for the others, which the optimizer changes at the learning
    rate called ``labels``. ``start``, ``candidates`` and ``inversion_steps`` are those of
    ``glad.initialization``. ``memory`` (GiB) decides whether the generator's graphs are kept or rendered twice. An
    existing folder ``out`` with the same settings is continued, to the same result. ``on_step(iteration, metrics)`` is
    called after each step.
    ``DataError``, ``WeightsError``, ``ValueError``, ``RunError`` and ``DistillationError`` say what to change.
    """
    config = _resolve(dict(locals()))
    where, splits = pick_device(device), open_data(config, data)
    opened = resolve_prior(prior, splits.train, config["prior_options"], where, config["class_map"])
    guides = open_experts(splits.train, config)
    progress = _start(splits.train, opened, guides, objective, config, where)
    return _run(progress, splits.train, _inputs(splits.train, opened, guides), config, on_step)


def _resolve(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``distill`` as plain settings: what can be written down and given again."""
    config = {name: value for name, value in given.items() if name != "on_step"}
    for name in ("ipc", "candidates", "inversion_steps", "iterations", "chunk", "save_every", "grid_every"):
        if config[name] < 1:
            raise ValueError(f"{name} must be at least 1, not {config[name]}")
    if config["labels"] not in LABELS:
        raise ValueError(f"unknown labels {config['labels']!r}: one of {', '.join(LABELS)}")
    if config["start"] not in STARTS:
        raise ValueError(f"unknown start {config['start']!r}: one of {', '.join(STARTS)}")
    if config["start"] == "representative" and config["experts"] is None:
        raise ValueError(
            "start representative needs --experts FOLDER: train one with `glad experts train --out FOLDER --count 1`"
        )
    for name in ("data", "objective", "prior"):
        value = config[name]
        if not isinstance(value, str):
            config[name] = f"object:{type(value).__module__}.{type(value).__qualname__}"
    for name in ("prior_options", "objective_options", "network_options"):
        config[name] = dict(config[name] or {})
    config["class_map"] = read_class_map(config["class_map"])
    config["classes"] = None if config["classes"] is None else list(config["classes"])
    config["lr"] = dict(config["lr"]) if isinstance(config["lr"], Mapping) else config["lr"]
    parts = [Path(config[name]).stem.replace(":", "-") for name in ("data", "objective", "prior")]
    experts = None if config["experts"] is None else str(config["experts"])
    folder = "-".join([*parts, f"ipc{config['ipc']}", f"seed{config['seed']}"])
    return {
        **config,
        "root": str(config["root"]),
        "experts": experts,
        "out": str(config["out"] or Path("runs") / folder),
    }


def _start(
    data: ImageData,
    opened: ResolvedPrior,
    guides: Experts | None,
    objective: str | Objective,
    config: dict[str, Any],
    device: torch.device,
) -> Progress:
    """The set at its start, its objective and its optimiser."""
    prior = opened.description
    loss = resolve_objective(objective, data, prior, None if guides is None else guides.segment, config, device)
    classes = torch.arange(len(data.classes)).repeat_interleave(config["ipc"])
    labels = classes.repeat_interleave(prior.images_per_row)
    labels = learned_labels(labels, len(data.classes)) if config["labels"] == "learned" else labels
    require_usable_labels(labels, loss)
    latents = _latents(data, opened.prior, guides, classes, config, device)
    synset = SyntheticSet(opened.prior, latents, labels.to(device), config["chunk"], int(config["memory"] * 2**30))
    besides = synset.tensors().keys() - latents.keys()
    rates = resolve_learning_rates(list(latents), objective, loss, prior, config["lr"], sorted(besides))
    optimizer = make_optimizer(learnt_tensors(synset, loss), rates, config["momentum"], prior.optimizers)
    return Progress(synset, loss, optimizer)


def _latents(
    data: ImageData,
    prior: Prior,
    guides: Experts | None,
    labels: Tensor,
    config: Mapping[str, Any],
    device: torch.device,
) -> dict[str, Tensor]:
    """The first latents, a row per label."""
    rng = rng_for(config["seed"], "init")
    continued = Run(Path(config["out"])).state.exists()  # and replaces what is made here, whose shapes alone count
    if config["start"] == "prior" or continued:
        latents = prior.init(labels, rng)
    else:
        make = network_factory(data, config["network"], config["network_options"], device)
        network = None if guides is None else expert_network(guides, make, data, rng)
        sizes = (config[name] for name in ("candidates", "inversion_steps", "chunk"))
        latents = initial_latents(config["start"], data, prior, network, config["ipc"], rng, device, *sizes)
    return {name: tensor.to(device) for name, tensor in latents.items()}


def _run(
    progress: Progress, data: ImageData, inputs: dict[str, Any], config: dict[str, Any], on_step: OnStep | None
) -> Run:
    """Begin or continue the folder, iterate, and write the set."""
    run = Run(Path(config["out"]))
    rates = {group["name"]: group["lr"] for group in progress.optimizer.param_groups}
    old_names = getattr(progress.objective, "old_names", {})
    if run.begin(config, {**inputs, "learning_rates": rates}, old_names):
        progress.restore(run.state)
    monitor = Monitor(run, data, progress.synset, config["grid_every"], progress.iteration, config["iterations"])
    if progress.iteration == 0:
        monitor.snapshot("initial", 0)

    def step(iteration: int, metrics: Metrics) -> None:
        monitor.record(iteration, metrics)
        if on_step is not None:
            on_step(iteration, metrics)

    def save() -> None:
        progress.save(run.state)

    try:
        iterate(progress, config["iterations"], config["seed"], save, config["save_every"], step)
        monitor.snapshot("synset", progress.iteration)
    finally:
        monitor.close()
    return run


def _inputs(data: ImageData, opened: ResolvedPrior, guides: Experts | None) -> dict[str, Any]:
    versions = {"glad": VERSION, "torch": torch.__version__, "torchvision": torchvision.__version__}
    return {
        "hashes": {
            "data": data.digest,
            **opened.hashes(),
            **({"experts": experts_digest(guides)} if guides is not None else {}),
        },
        "weights": None if opened.weights is None else opened.weights.fields(),
        "classes": list(data.classes),
        **({"prior_classes": dict(opened.classes)} if opened.classes else {}),
        "mean": list(data.mean),
        "std": list(data.std),
        "training_images": len(data),
        "versions": {**versions, "python": platform.python_version()},
    }


def evaluate(
    runs: str | Path | Run | Sequence[str | Path | Run],
    *,
    on_cell: Callable[[dict[str, Any], int], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train networks from scratch on finished ``runs``, or other sets, and test them after the last epoch.

    Args:
        runs: Folders of one data set, or sets of images with the name of their ``data``, loaded by ``root`` to ``zca``.
        on_cell: Called with each new cell and the number of cells that are left.
        settings: The fields of ``glad.evaluation.config.EvaluationConfig``, which has a line on each; their names are
            those of `glad evaluate --help`.

    Returns:
        What ``results.json`` holds (see docs/EVALUATION.md), accuracies in [0, 1]. What is finished is kept in each
        set's results and not computed again under the same settings.

    Raises:
        ValueError: A setting is unknown or cannot be.
        DataError, RunError: A set is unfinished, damaged or of other data.
    """
    listed = [runs] if isinstance(runs, str | Path | Run) else list(runs)
    if not listed:
        raise ValueError("an evaluation needs at least one run or set of images")
    paths = [run.path if isinstance(run, Run) else Path(run) for run in listed]
    return run_evaluation(ResolvedEvaluation(paths, EvaluationConfig(**settings)), on_cell)


evaluate.__signature__ = with_fields(evaluate, EvaluationConfig)  # type: ignore[attr-defined]
