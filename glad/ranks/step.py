"""The gradients of an iteration, class by class, with the same bytes on any number of ranks.

Terms of an objective that is ``by_class`` are computed by the rank of their class. Any other objective sees all images
and runs alike on every rank; the images are rendered, and their gradient is led back through the prior, by the rank of
their class. Tensors that all classes share (a learned generator, an objective's own) get the gradients of the classes
added in the order of the classes.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from glad.distillation import (
    SKIPPED,
    DistillationError,
    Metrics,
    find_cotangents,
    require_finite,
    undone_by_error,
)
from glad.objectives.base import Objective, SkipIteration, Step
from glad.objectives.description import ObjectiveDescription, all_terms
from glad.ranks.group import Ranks
from glad.ranks.sharded_set import ShardedSet


def compute_gradients(
    synset: ShardedSet, objective: Objective, optimizer: torch.optim.Optimizer, step: Step
) -> Metrics:
    """Give everything that the optimizer holds its gradient.

    Args:
        synset: The set; every rank must ask.
        objective: The loss.
        optimizer: Of this rank's rows and of what all share.
        step: The iteration.

    Returns:
        Metrics of the whole set, the same on every rank; with an entry ``skipped`` where the iteration is skipped.

    Raises:
        DistillationError: A term or a gradient is not finite, on every rank alike.
    """
    optimizer.zero_grad()
    with undone_by_error(objective):
        if ObjectiveDescription(objective).by_class:
            return _by_class(synset, objective, optimizer, step)
        try:
            return _together(synset, objective, optimizer, step)
        except SkipIteration as skipped:
            return {"loss": skipped.loss, SKIPPED: 1.0}


def _by_class(synset: ShardedSet, objective: Objective, optimizer: torch.optim.Optimizer, step: Step) -> Metrics:
    """Terms and their gradients by the rank of their class."""
    prepare, rendered = ObjectiveDescription(objective).prepare, {}
    if prepare is not None:
        rendered = synset.render()
        prepare(synset.gather_images(rendered), synset.labels, step)
    shared = SharedGradients(synset.ranks, _learned(synset.prior.tensors(), objective.tensors()))
    seen = {}
    for c, present in rounds(synset):
        if c is not None:
            part = synset.parts[c]
            with synset.graph_of(c, rendered) as images:
                losses, to_images, to_labels = _terms_of(c, objective, images, part.labels, step)
                _pull_back(part.labels, to_labels, images, to_images)
            seen[c] = torch.stack([torch.stack(losses).double().sum(), to_images.double().square().sum()])
        shared.add(present)
    shared.finish()
    loss, image_grad = torch.stack(synset.ranks.gather(seen, [2] * len(synset.sizes))).unbind(1)
    metrics = {"loss": float(loss.sum()), "image_grad": float(image_grad.sum().sqrt())}
    return _finite(metrics, list(loss), synset, optimizer, step)


def _terms_of(
    c: int, objective: Objective, images: Tensor, labels: Tensor, step: Step
) -> tuple[list[Tensor], Tensor, Tensor | None]:
    """What ``find_cotangents`` gives for class ``c``."""
    try:
        return find_cotangents(objective.terms, images, labels, step)
    except SkipIteration as skipped:
        raise DistillationError(
            f"iteration {step.iteration}: {ObjectiveDescription(objective).name} skips it for class {c}: an "
            "objective that skips iterations sees all classes; take by_class away from it"
        ) from skipped


def _together(synset: ShardedSet, objective: Objective, optimizer: torch.optim.Optimizer, step: Step) -> Metrics:
    """All terms on every rank; gradients through the prior by the rank of their class."""
    rendered = synset.render()
    images, labels = synset.gather_images(rendered), synset.labels.requires_grad_(synset.learns_labels)
    losses, to_images, to_labels = find_cotangents(partial(all_terms, objective), images, labels, step)
    images_of = to_images.split(synset.sizes)
    labels_of = [None] * len(synset.sizes) if to_labels is None else to_labels.split(synset.sizes)
    shared = SharedGradients(synset.ranks, _learned(synset.prior.tensors()))
    for c, present in rounds(synset):
        if c is not None:
            with synset.graph_of(c, rendered) as own:
                _pull_back(synset.parts[c].labels, labels_of[c], own, images_of[c])
        shared.add(present)
    shared.finish()
    metrics = {"loss": float(torch.stack(losses).double().sum()), "image_grad": float(to_images.norm())}
    return _finite(metrics, losses, synset, optimizer, step)


def rounds(synset: ShardedSet) -> list[tuple[int | None, int]]:
    """For each round of a class per rank: this rank's class, None where there is none left, and how many there are."""
    classes, ranks = len(synset.sizes), synset.ranks
    return [
        (first + ranks.rank if first + ranks.rank < classes else None, min(ranks.world, classes - first))
        for first in range(0, classes, ranks.world)
    ]


def _pull_back(labels: Tensor, to_labels: Tensor | None, images: Tensor, to_images: Tensor) -> None:
    if to_labels is not None:
        labels.backward(to_labels)
    images.backward(to_images)


def _learned(*offered: Mapping[str, Tensor]) -> list[Tensor]:
    return [tensor for tensors in offered for tensor in tensors.values() if tensor.requires_grad]


class SharedGradients:
    """The gradients of tensors that all classes share, added class after class: on every rank the same sum.

    Args:
        ranks: Who adds.
        tensors: What all share.
    """

    def __init__(self, ranks: Ranks, tensors: Sequence[Tensor]) -> None:
        self.ranks, self.tensors = ranks, tensors
        self.total: Tensor | None = None

    def add(self, present: int) -> None:
        """Add what the first ``present`` ranks have as gradients now, in the order of the ranks; it is taken away."""
        if not self.tensors:
            return
        own = torch.cat(
            [(torch.zeros_like(t) if t.grad is None else t.grad).flatten().to(self.ranks.device) for t in self.tensors]
        )
        if self.total is None:
            self.total = torch.zeros_like(own)
        for part in self.ranks.all_gather(own)[:present]:
            self.total += part
        for tensor in self.tensors:
            tensor.grad = None

    def finish(self) -> None:
        """Give the tensors the sums."""
        if self.total is None:
            return
        for tensor, part in zip(self.tensors, self.total.split([t.numel() for t in self.tensors]), strict=True):
            tensor.grad = part.view_as(tensor).to(tensor)


def _finite(
    metrics: Metrics, losses: list[Tensor], synset: ShardedSet, optimizer: torch.optim.Optimizer, step: Step
) -> Metrics:
    """``metrics`` with the norms of all gradients."""
    rows = synset.first.tensors()
    names = [group["name"] for group in optimizer.param_groups]
    squares = {
        c: torch.stack([_square(synset.rows.gradient(part.tensors()[name]), synset.ranks.device) for name in rows])
        for c, part in synset.parts.items()
    }
    sums = torch.stack(synset.ranks.gather(squares, [len(rows)] * len(synset.sizes))).sum(0)
    norms = dict(zip(rows, sums.sqrt().tolist(), strict=True))
    for name, group in zip(names, optimizer.param_groups, strict=True):
        if name in norms:
            metrics[f"grad/{name}"] = norms[name]
        else:
            tensor = group["params"][0]
            metrics[f"grad/{name}"] = float(_square(tensor.grad, tensor.device).sqrt())
    require_finite(metrics, losses, step)
    return metrics


def _square(grad: Tensor | None, device: torch.device) -> Tensor:
    """The squared norm of a gradient, float64 [] on ``device``; 0 where there is none."""
    zero = torch.zeros((), dtype=torch.float64, device=device)
    return zero if grad is None else grad.double().square().sum().to(device)
