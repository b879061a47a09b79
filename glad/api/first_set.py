"""The set that a run starts from: its classes, labels and first latents."""

import torch
from torch import Tensor

from glad.data.balance import share_out
from glad.data.dataset import ImageData
from glad.experts import Experts
from glad.initialization import expert_network, initial_latents, learned_labels
from glad.networks.factory import network_factory
from glad.objectives.base import Objective
from glad.objectives.description import ObjectiveDescription
from glad.priors.base import Prior
from glad.priors.resolve import ResolvedPrior
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
    classes = torch.arange(len(data.classes)).repeat_interleave(torch.tensor(_images_per_class(data, settings)))
    labels = classes.repeat_interleave(resolved.description.images_per_row)
    if settings.labels != "hard":
        labels = learned_labels(labels, len(data.classes))
    ObjectiveDescription(objective).require_usable_labels(labels)
    latents = _latents(data, resolved.prior, experts, classes, settings, device)
    sizes, logits = (settings.chunk, int(settings.memory * 2**30)), settings.labels == "logits"
    synset = SyntheticSet(resolved.prior, latents, labels.to(device), *sizes, logits=logits)
    if logits and not Run(settings.folder).state.exists():
        synset.label_parameters.data.copy_(_first_logits(synset, data, experts, settings, device))
    return synset


def _first_logits(
    synset: SyntheticSet, data: ImageData, experts: Experts | None, settings: DistillSettings, device: torch.device
) -> Tensor:
    """What the experts' logits are for the first images, in the mean over experts, [N, K]."""
    if experts is None:
        raise ValueError("labels that are logits begin with those of experts: name their folder (--experts FOLDER)")
    make = network_factory(data, settings.network, settings.network_options, device)
    with torch.no_grad():
        images = synset.images()
        networks = (
            expert_network(experts, make, data, rng_for(settings.seed, "logits", n), n) for n in range(len(experts))
        )
        return torch.stack([network(images) for network in networks]).mean(0)


def _images_per_class(data: ImageData, settings: DistillSettings) -> list[int]:
    counts = data.labels.bincount(minlength=len(data.classes)).tolist()
    return share_out(counts, settings.ipc, settings.balance)


def _latents(
    data: ImageData,
    prior: Prior,
    experts: Experts | None,
    labels: Tensor,
    settings: DistillSettings,
    device: torch.device,
) -> dict[str, Tensor]:
    """The first latents, a row per label."""
    rng = rng_for(settings.seed, "init")
    continued = Run(settings.folder).state.exists()  # and replaces what is made here, whose shapes alone count
    if settings.initialization == "prior" or continued:
        latents = prior.init(labels, rng)
    else:
        make = network_factory(data, settings.network, settings.network_options, device)
        network = None if experts is None else expert_network(experts, make, data, rng)
        counts = _images_per_class(data, settings)
        sizes = (settings.candidates, settings.inversion_steps, settings.chunk)
        latents = initial_latents(settings.initialization, data, prior, network, counts, rng, device, *sizes)
    return {name: tensor.to(device) for name, tensor in latents.items()}
