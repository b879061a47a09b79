"""The set that a run starts from: its classes, labels and first latents."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from glad.data.balance import share_out
from glad.data.dataset import ImageData
from glad.experts import Experts
from glad.initialization import expert_network, initial_latents, learned_labels
from glad.networks.factory import network_factory
from glad.objectives.base import Objective
from glad.objectives.description import ObjectiveDescription
from glad.priors.description import PriorDescription
from glad.priors.resolve import ResolvedPrior
from glad.ranks.group import Ranks, require_classes
from glad.ranks.offload import place_of_rows
from glad.ranks.sharded_set import ShardedSet
from glad.rng import rng_for
from glad.runs.folder import Run
from glad.settings.distill import DistillSettings
from glad.synthetic_set import SyntheticSet


def first_set(
    data: ImageData,
    resolved: ResolvedPrior,
    experts: Experts | None,
    objective: Objective,
    settings: DistillSettings,
    device: torch.device,
) -> SyntheticSet:
    """Make the set before the first iteration; of a run that is continued only the shapes count.

    Args:
        data: The training images.
        resolved: The prior.
        experts: Those of the run, if it has some.
        objective: What is to see the set.
        settings: Of the run.
        device: Where the set lies.
    """
    rows = rows_per_class(data, resolved.description, settings)
    continued = Run(settings.folder).state.exists()  # and replaces what is made here, whose shapes alone count
    classes = torch.arange(len(data.classes)).repeat_interleave(torch.tensor(rows))
    labels = classes.repeat_interleave(resolved.description.images_per_row)
    if settings.labels != "hard":
        labels = learned_labels(labels, len(data.classes))
    ObjectiveDescription(objective).require_usable_labels(labels)
    if continued or settings.initialization == "prior":
        latents = _drawn(resolved, classes, rng_for(settings.seed, "init"))
    else:
        latents = _initialized(data, resolved, experts, rows, settings, device)
    latents = {name: tensor.to(device) for name, tensor in latents.items()}
    require_images(resolved, latents, data)
    sizes, logits = (settings.chunk, int(settings.memory * 2**30)), settings.labels == "logits"
    synset = SyntheticSet(resolved.prior, latents, labels.to(device), *sizes, logits=logits)
    if logits and not continued:
        _set_logits([synset], [synset.images()], data, experts, settings, device)
    return synset


def first_shards(
    data: ImageData,
    resolved: ResolvedPrior,
    experts: Experts | None,
    objective: Objective,
    settings: DistillSettings,
    ranks: Ranks,
) -> ShardedSet:
    """Make the rows of the classes of this rank, before the first iteration; the other parameters as ``first_set``.

    Where the prior draws them, each class has a stream of its own, and no rank makes rows of others. Any other
    initialization is computed as a whole, alike on every rank.

    Args:
        ranks: Who shares the set.

    Raises:
        ValueError: There are more ranks than classes.
    """
    rows, each = rows_per_class(data, resolved.description, settings), resolved.description.images_per_row
    require_classes(ranks.world, len(rows))
    continued, starts, whole = Run(settings.folder).state.exists(), [0, *accumulate(rows)], None
    if not continued and settings.initialization != "prior":
        whole = _initialized(data, resolved, experts, rows, settings, ranks.device)
    own, logits, place = ranks.own(len(rows)), settings.labels == "logits", place_of_rows(settings, ranks.device)
    parts: dict[int, SyntheticSet] = {}
    for c in own:
        classes = torch.full([rows[c]], c)
        labels = classes.repeat_interleave(each)
        if settings.labels != "hard":
            labels = learned_labels(labels, len(data.classes))
        ObjectiveDescription(objective).require_usable_labels(labels)
        if whole is None:
            latents = _drawn(resolved, classes, rng_for(settings.seed, "init", c))
        else:
            latents = {name: tensor[starts[c] : starts[c + 1]] for name, tensor in whole.items()}
        latents = {name: tensor.to(ranks.device) for name, tensor in latents.items()}
        if not parts:
            require_images(resolved, latents, data)
        sizes = (settings.chunk, int(settings.memory * 2**30) // len(own))
        parts[c] = SyntheticSet(resolved.prior, latents, labels.to(ranks.device), *sizes, logits=logits)
        place.place(parts[c])
    synset = ShardedSet(ranks, parts, [each * count for count in rows], place)
    if logits and not continued:
        with torch.no_grad():
            images = list(synset.render().values())
        _set_logits(list(parts.values()), images, data, experts, settings, ranks.device)
    return synset


@torch.no_grad()
def require_images(resolved: ResolvedPrior, latents: dict[str, Tensor], data: ImageData) -> None:
    """Raise ``ValueError`` unless a row of ``latents`` renders as images of the shape that the data have."""
    shape = list(resolved.prior(**{name: tensor[:1] for name, tensor in latents.items()}).shape)
    wanted = [resolved.description.images_per_row, data.channels, data.resolution, data.resolution]
    if shape != wanted:
        raise ValueError(f"prior {resolved.description.name}: a row renders as {shape}, and the data need {wanted}")


@torch.no_grad()
def _set_logits(
    sets: Sequence[SyntheticSet],
    images: Sequence[Tensor],
    data: ImageData,
    experts: Experts | None,
    settings: DistillSettings,
    device: torch.device,
) -> None:
    """Let labels that are logits begin as those of the experts for the first ``images``, in the mean over experts."""
    if experts is None:
        raise ValueError("labels that are logits begin with those of experts: name their folder (--experts FOLDER)")
    make = network_factory(data, settings.network, settings.network_options, device)
    found = []
    for n in range(len(experts)):
        network = expert_network(experts, make, data, rng_for(settings.seed, "logits", n), n)
        found.append([network(batch) for batch in images])
    for synset, logits in zip(sets, zip(*found, strict=True), strict=True):
        synset.label_parameters.data.copy_(torch.stack(logits).mean(0))


def rows_per_class(data: ImageData, prior: PriorDescription, settings: DistillSettings) -> list[int]:
    """Rows of latents of each class: as many as ``ipc`` says, or as fit into the budget, shared out by ``balance``.

    Args:
        data: The training images.
        prior: What the prior says of itself.
        settings: Of the run.

    Raises:
        ValueError: The budget is less than a row.
    """
    counts = data.labels.bincount(minlength=len(data.classes)).tolist()
    if settings.budget is None:
        return share_out(counts, settings.ipc or 1, settings.balance)
    numbers = data.channels * data.resolution**2
    rows = math.floor(settings.budget * numbers / prior.floats_per_row + 1e-9)
    if rows < 1:
        raise ValueError(
            f"a budget of {settings.budget:g} images per class is {settings.budget * numbers:,.0f} numbers, a row of "
            f"{prior.name} takes {prior.floats_per_row:,}: give --budget {prior.floats_per_row / numbers:.3g} or more"
        )
    return share_out(counts, rows, settings.balance)


def _drawn(resolved: ResolvedPrior, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
    """What the prior draws, a row per class of ``classes`` [N]."""
    latents = resolved.prior.init(classes, rng)
    if not isinstance(latents, Mapping):
        raise ValueError(f"init of the prior gives a {type(latents).__name__}: it must give a dict of tensors")
    return latents


def _initialized(
    data: ImageData,
    resolved: ResolvedPrior,
    experts: Experts | None,
    rows: list[int],
    settings: DistillSettings,
    device: torch.device,
) -> dict[str, Tensor]:
    """Latents by the initialization that was asked for, ``rows`` of each class."""
    rng = rng_for(settings.seed, "init")
    make = network_factory(data, settings.network, settings.network_options, device)
    network = None if experts is None else expert_network(experts, make, data, rng)
    sizes = (settings.candidates, settings.inversion_steps, settings.chunk)
    return initial_latents(settings.initialization, data, resolved.prior, network, rows, rng, device, *sizes)
