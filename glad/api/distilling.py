"""``glad.distill``: from settings to the folder of a finished run."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cuda_ops.conv3x3 import convolutions
from generators.classes import read_class_map
from glad.api.first_set import first_set, first_shards
from glad.api.running import OnStep, finish
from glad.data.dataset import ImageData, Splits
from glad.data.splits import open_data
from glad.device import pick_device
from glad.distillation import DistillationState, select_learned
from glad.experts import Experts
from glad.experts.folder import experts_digest, open_experts, require_experts_of
from glad.objectives.base import Objective
from glad.objectives.description import ObjectiveDescription
from glad.objectives.resolve import hash_option_files, resolve_learning_rates, resolve_objective
from glad.optimizers import make_optimizer
from glad.priors.base import Prior
from glad.priors.resolve import ResolvedPrior, resolve_prior
from glad.ranks.group import Ranks, place, said_once
from glad.ranks.sharded_set import ShardedSet
from glad.ranks.state import ShardedState
from glad.runs.folder import Run
from glad.settings.data import DSA, Convolutions
from glad.settings.distill import Balance, DistillSettings, Initialization, Labels, Offload
from glad.settings.objects import name_of, object_or_none
from glad.settings.types import as_tuple
from glad.synthetic_set import SyntheticSet
from glad.version import VERSION


def distill(
    data: str | Splits = "fashion-mini",
    objective: str | Objective | type[Objective] = "dm",
    prior: str | Prior | type[Prior] = "fashion-mini",
    ipc: int | None = None,
    *,
    root: str | Path = "data",
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    resolution: int | None = None,
    zca: bool = False,
    drop_duplicates: bool = False,
    budget: float | None = None,
    balance: Balance = "equal",
    out: str | Path | None = None,
    iterations: int = 1000,
    learning_rate: Mapping[str, float] | float | None = None,
    momentum: float = 0.5,
    prior_options: Mapping[str, Any] | None = None,
    class_map: Mapping[str, str | int] | str | None = None,
    objective_options: Mapping[str, Any] | None = None,
    network: str = "convnet",
    network_options: Mapping[str, Any] | None = None,
    augmentation: str = DSA,
    experts: str | Path | None = None,
    labels: Labels = "hard",
    initialization: Initialization = "prior",
    candidates: int = 100,
    inversion_steps: int = 200,
    chunk: int = 10,
    memory: float = 2.0,
    seed: int = 0,
    conv: Convolutions = "auto",
    device: str = "auto",
    sharded: bool = False,
    offload: Offload = "none",
    rank_timeout: float = 60.0,
    save_every: int = 50, grid_every: int = 100,
    on_step: OnStep | None = None,
) -> Run:  # fmt: skip
    """Distill a data set into a few synthetic images per class.

    A folder with the same settings is continued, to the same result as if it had not been interrupted.

    Args:
        data: The data set: ``fashion-mini`` and ``clothing-mini`` (embedded), ``mnist``, ``fashionmnist``,
            ``svhn``, ``cifar10``, ``cifar100``, ..., ``imagenette``, ``imagenet-a``, ..., a folder CLASS/image, or an
            .npz file.
        objective: The objective: ``dm``, ``dc``, ``mtt``, ``ast``, ``datm``, ``datadam``, ``cf``, ``ncfm``,
            ``lgm``, or module:Class of one's own.
        prior: The prior: a generator of `glad weights list` (``fashion-mini`` and other ``-mini`` are embedded),
            FILE.safetensors, org/repo:FILE on the Hub, ``random``, ``pixels``, ``idc``, ``fred``, ``ddif``,
            ``pyramid``, ``taesd``, or module:Class of one's own.
        ipc: Synthetic images per class (rows of latents, of which ``idc`` makes several images each); 1 if None.
        root: Folder of the data sets that have a name.
        classes: Classes to keep, by number or name; all if None.
        limit: The most training images to use, of each class its share; all if None.
        resolution: Side in pixels to which image files are resized and cropped; their own if None.
        zca: Whiten the images (ZCA), as published: fitted to pixels in [0, 1], with no other normalization.
        drop_duplicates: Leave out training and validation images that are identical to another image; test images stay
            all.
        budget: Size of the set in place of ``ipc``: it may store as many numbers per class as so many images have, and
            has as many rows of latents as fit; ``ipc`` decides if None.
        balance: How the images are shared out to the classes: ``equal``, as many of each; ``proportional``, as the
            training images are; ``sqrt``, as their square roots. In all there are as many as with ``equal``, and one of
            each at least.
        out: Folder of the run; an existing one with the same settings is continued; runs/NAME if None.
        iterations: Updates of the synthetic set.
        learning_rate: Learning rate of all latents, or by name (``w``, ``f``, ``pixels``, ``g``; ``*`` is any other
            latent); those of the objective and the prior if None.
        momentum: Momentum of the latents' SGD.
        prior_options: Options of the prior by name.
        class_map: The class of the generator, by name or number, that stands for a class of the data; ``guess`` takes
            classes that no name decides by their number. Classes that are not given are found by name.
        objective_options: Options of the objective by name; `glad objectives show NAME` lists them.
        network: The network to distill with: ``convnet``, ``alexnet``, ``vgg11``, ``resnet18`` or ``vit``.
        network_options: Options of that network, such as width=64 or norm=batch.
        augmentation: DSA transforms joined by _, or ``none``.
        experts: Folder of `glad experts train`, which the objectives mtt, ast, datm, ncfm and lgm and a
            representative initialization need; no experts if None.
        labels: ``hard``: the number of a class for each image. ``learned``: a weight per class, at first 1 for the
            image's own class and 0 for the others, learned at the learning rate called labels (objectives mtt,
            ast and datm). ``logits``: the softmax of logits that are learned, at first the mean of the experts' for the
            first images, as in DATM.
        initialization: First latents. ``prior``: drawn by the prior. ``representative``: the real images (with a
            generator: drawn codes) nearest to the centers of each class among an expert's logits. ``nearest``: drawn
            codes whose images are nearest to such real ones (without experts: to those that k-means on pixels
            chooses). ``correct``: real images drawn from those that an expert classifies right, or codes nearest to
            them. ``inversion``: codes that render the images of ``nearest``. ``fit``: what the prior draws, fitted to
            real images drawn at random.
        candidates: Codes drawn per class for an initialization that chooses some of them.
        inversion_steps: Steps of the initializations ``inversion`` and ``fit``, twice as many in F_n.
        chunk: Images rendered at a time.
        memory: GiB for the generator's graphs; beyond it images are rendered twice.
        seed: Seed of every draw.
        conv: 3x3 convolutions on a CPU. ``auto``: by Winograd's algorithm where it is the faster, which rounds
            otherwise; ``direct``: torch's own. What goes on keeps those that it began with.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        sharded: Compute class by class, so that the set can be shared out to processes (ranks), with the same bytes on
            any number of them; started by torchrun, a run is.
        offload: Where latents, their gradients and moments lie while their class is not in use: ``none``, on the
            device; ``host``, in the memory of the host of a GPU; ``disk``, in a nameless file in the folder of the run.
            A run with one of these is sharded; the bytes are the same.
        rank_timeout: Seconds that a rank waits for the others before it stops.
        save_every: Iterations between saved states.
        grid_every: Iterations between pictures.
        on_step: Called with the iteration, from 0 on, and its metrics after each step.

    Returns:
        The folder of the finished run.

    Raises:
        DataError: The data cannot be used.
        WeightsError: The weights of the prior cannot be used.
        ValueError: A setting does not exist or makes no sense.
        RunError: The folder holds a run with other settings, or of other data or weights.
        DistillationError: A loss or an image is not finite.

    Examples:
        >>> run = glad.distill(
        ...     "fashion-mini", "dm", "fashion-mini", ipc=1, iterations=2, out="runs/tiny", device="cpu",
        ...     network_options={"width": 8}, objective_options={"batch": 8},
        ... )
        >>> run.name, run.config["iterations"]
        ('tiny', 2)
    """
    settings = DistillSettings(
        data=name_of(data), prior=name_of(prior), save_every=save_every, candidates=candidates, grid_every=grid_every,
        objective=name_of(objective), resolution=resolution, learning_rate=learning_rate, initialization=initialization,
        ipc=ipc, classes=as_tuple(classes), iterations=iterations, augmentation=augmentation, rank_timeout=rank_timeout,
        root=str(root), budget=budget, balance=balance, network=network, labels=labels, memory=memory, sharded=sharded,
        zca=zca, drop_duplicates=drop_duplicates, class_map=read_class_map(class_map), inversion_steps=inversion_steps,
        out=None if out is None else str(out), prior_options=prior_options or {}, network_options=network_options or {},
        momentum=momentum, objective_options=objective_options or {}, experts=None if experts is None else str(experts),
        limit=limit, chunk=chunk, seed=seed, conv=conv, device=device, offload=offload)  # fmt: skip
    return run_distillation(settings, data, object_or_none(objective), object_or_none(prior), on_step)


def run_distillation(
    settings: DistillSettings,
    data: str | Splits | None = None,
    objective: Objective | None = None,
    prior: Prior | None = None,
    on_step: OnStep | None = None,
    on_data: Callable[[Splits], None] | None = None,
) -> Run:
    """Run ``settings`` to their end, or continue their folder; see ``distill``.

    Args:
        settings: What to do.
        data: The data themselves, where the settings cannot name them.
        objective: The objective itself, likewise.
        prior: The prior itself, likewise.
        on_step: As in ``distill``.
        on_data: Called with the data when they are loaded.
    """
    if place() is not None or settings.offload != "none":
        settings = replace(settings, sharded=True)
    with said_once(settings.rank_timeout), convolutions(settings.conv):
        require_experts_of(settings, objective)
        splits = open_data(settings, data, Run(settings.folder).data_digest)
        if on_data is not None:
            on_data(splits)
        return _distill(settings, splits.train, objective, prior, on_step)


def _distill(
    settings: DistillSettings,
    train: ImageData,
    objective: Objective | None,
    prior: Prior | None,
    on_step: OnStep | None,
) -> Run:
    """Make all that ``settings`` name, and run it."""
    ranks = Ranks.here(pick_device(settings.device)) if settings.sharded else None
    device = pick_device(settings.device) if ranks is None else ranks.device
    resolved = resolve_prior(prior or settings.prior, train, settings.prior_options, device, settings.class_map)
    experts = open_experts(train, settings)
    segment = None if experts is None else experts.segment
    asked = objective or settings.objective
    made, used = resolve_objective(asked, train, resolved.description, segment, settings, device)
    if experts is not None and made is not objective:  # one that was made elsewhere has its own segments
        ObjectiveDescription(made).require_usable_experts(experts.epochs)
    used = replace(used, out=str(settings.folder))
    state = _first_state(train, resolved, experts, asked, made, used, device if ranks is None else ranks)
    inputs = _inputs(train, resolved, experts, hash_option_files(asked, used.objective_options))
    return finish(state, train, inputs, used, on_step)


def _first_state(
    train: ImageData,
    resolved: ResolvedPrior,
    experts: Experts | None,
    asked: str | Objective,
    made: Objective,
    settings: DistillSettings,
    where: torch.device | Ranks,
) -> DistillationState | ShardedState:
    """The run before its first iteration, of one process on a device or of the ranks that share it."""
    synset: SyntheticSet | ShardedSet
    if isinstance(where, Ranks):
        synset = first_shards(train, resolved, experts, made, settings, where)
        part = synset.first
    else:
        synset = part = first_set(train, resolved, experts, made, settings, where)
    named = [name for name in part.latents if name in part.tensors()]
    besides = sorted(part.tensors().keys() - part.latents.keys())
    rates = resolve_learning_rates(named, asked, made, resolved.description, settings.learning_rate, besides)
    kinds = {**ObjectiveDescription(made).optimizers, **resolved.description.optimizers}
    optimizer = make_optimizer(select_learned(synset, made), rates, settings.momentum, kinds)
    if isinstance(synset, ShardedSet):
        return ShardedState(synset, made, optimizer)
    return DistillationState(synset, made, optimizer)


def _inputs(
    data: ImageData, resolved: ResolvedPrior, experts: Experts | None, files: Mapping[str, str]
) -> dict[str, Any]:
    versions = {"glad": VERSION, "torch": torch.__version__, "torchvision": version("torchvision")}
    classes = {name: asdict(found) for name, found in resolved.classes.items()}
    return {
        "hashes": {
            "data": data.digest,
            **resolved.hashes(),
            **{f"file {path}": digest for path, digest in files.items()},
            **({"experts": experts_digest(experts)} if experts is not None else {}),
        },
        "weights": None if resolved.weights is None else resolved.weights.fields(),
        "weights_bytes": resolved.description.weights_bytes,
        "classes": list(data.classes),
        **({"prior_classes": classes} if classes else {}),
        "mean": list(data.mean),
        "std": list(data.std),
        "training_images": len(data),
        "versions": {**versions, "python": platform.python_version()},
    }
