"""The loop: render, let the objective see plain images, backpropagate its gradient through the prior, step.

Nothing here knows which prior or which objective runs.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glad.objectives.base import Objective, SkipIteration, Step
from glad.objectives.description import ObjectiveDescription, all_terms
from glad.runs.interrupts import Interrupts, Terminated
from glad.runs.storage import optimizer_tensors, read_number, read_tensors, restore_optimizer, write_tensors
from glad.synthetic_set import SyntheticSet

Metrics = dict[str, float]
SKIPPED = "skipped"  # the metric of an iteration that changed nothing


class DistillationError(RuntimeError):
    """A run that cannot go on: the iteration, the cause and a hint."""


def select_learned(synset: Any, objective: Objective) -> dict[str, Any]:
    """All that the optimizer changes, by name: latents, and what prior and objective offer that requires grad.

    Of a set in parts the latents are lists, with a tensor for each part.
    """
    offered = {**synset.prior.tensors(), **objective.tensors()}
    return {**synset.tensors(), **{name: tensor for name, tensor in offered.items() if tensor.requires_grad}}


def iterate(synset: SyntheticSet, objective: Objective, optimizer: torch.optim.Optimizer, step: Step) -> Metrics:
    """One iteration: the metrics of the set as it was, and an update of everything the optimizer holds.

    Nothing is updated where the objective raises ``SkipIteration``; the metrics then have an entry ``skipped``.
    Raises ``DistillationError``, with nothing changed, when a term or a gradient is not finite.
    """
    metrics = compute_gradients(synset, objective, optimizer, step)
    _update(synset, optimizer, metrics)
    return metrics


def _update(synset: SyntheticSet, optimizer: torch.optim.Optimizer, metrics: Metrics) -> None:
    """The second half of an iteration, unless it is skipped."""
    if SKIPPED not in metrics:
        optimizer.step()
        synset.project()


def compute_gradients(
    synset: SyntheticSet, objective: Objective, optimizer: torch.optim.Optimizer, step: Step
) -> Metrics:
    """The first half of an iteration: a gradient for everything the optimizer holds, which is not changed yet.

    Raises ``DistillationError`` when a term or a gradient is not finite. Whatever it is interrupted by, the objective's
    own state is put back.
    """
    optimizer.zero_grad()
    try:
        with undone_by_error(objective):
            return _gradients(synset, objective, optimizer, step)
    except SkipIteration as skipped:
        return {"loss": skipped.loss, SKIPPED: 1.0}


@contextmanager
def undone_by_error(objective: Objective) -> Iterator[None]:
    """Put the objective's own state back when the block fails.

    All else stands still until the optimizer's step, but an objective may train a network inside ``terms``; saved after
    such a failure, it would be trained twice when the run goes on. A copy per iteration is a copy of one network's
    weights, which is nothing beside the passes through it.
    """
    state = {name: tensor for name, tensor in objective.tensors().items() if not tensor.requires_grad}
    before = {name: tensor.clone() for name, tensor in state.items()}
    try:
        yield
    except BaseException:
        for name, tensor in state.items():
            tensor.copy_(before[name])
        raise


def _gradients(synset: SyntheticSet, objective: Objective, optimizer: torch.optim.Optimizer, step: Step) -> Metrics:
    """Give everything the optimizer holds its gradient; the metrics, all finite."""
    rendered, labels = synset.images(), synset.labels
    losses, to_images, to_labels = find_cotangents(partial(all_terms, objective), rendered, labels, step)
    if to_labels is not None:
        labels.backward(to_labels)
    rendered.backward(to_images)  # one pass through the prior, whatever the number of terms
    metrics = {"loss": float(torch.stack(losses).double().sum()), "image_grad": float(to_images.norm())}
    for group in optimizer.param_groups:
        grad = group["params"][0].grad
        metrics[f"grad/{group['name']}"] = 0.0 if grad is None else float(grad.norm())
    require_finite(metrics, losses, step)
    return metrics


def find_cotangents(
    terms: Callable[[Tensor, Tensor, Step], Iterator[Tensor]], images: Tensor, labels: Tensor, step: Step
) -> tuple[list[Tensor], Tensor, Tensor | None]:
    """Compute the loss of images and its gradients with respect to images and labels.

    Args:
        terms: The terms of the loss, for plain images and plain labels.
        images: Normalized [N, C, H, W]; what they are made of receives nothing yet.
        labels: int64 [N], or float [N, K].
        step: The iteration.

    Returns:
        The value of each term, the gradient of the images, and that of the labels where these require grad.

    Raises:
        DistillationError: The terms give no gradient.
    """
    plain = images.detach().requires_grad_()
    towards = labels.detach().requires_grad_(labels.requires_grad)
    losses = []
    for term in terms(plain, towards, step):
        term.backward()
        losses.append(term.detach())
    if plain.grad is None:
        raise DistillationError(f"iteration {step.iteration}: the objective gave no gradient for the images")
    if labels.requires_grad and towards.grad is None:
        raise DistillationError(f"iteration {step.iteration}: the objective gave no gradient for the labels")
    return losses, plain.grad, towards.grad


def require_finite(metrics: Metrics, losses: list[Tensor], step: Step) -> None:
    """Raise ``DistillationError`` unless all ``metrics`` are finite; of the ``losses`` it names those that are not."""
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not broken:
        return
    terms = [str(i) for i, loss in enumerate(losses) if not bool(loss.isfinite())]
    where = f"term {', '.join(terms)} of the objective" if terms else f"the gradient ({', '.join(broken)})"
    raise DistillationError(
        f"iteration {step.iteration}: {where} is not finite; the state before it is kept. "
        "Lower the learning rates (--lr), or start again from another seed"
    )


def require_same_shapes(path: Path, state: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Raise ``DistillationError`` unless ``saved``, of the file at ``path``, has all of ``state`` in their shapes."""
    for name, tensor in state.items():
        if name not in saved or saved[name].shape != tensor.shape:
            have = list(saved[name].shape) if name in saved else "missing"
            raise DistillationError(f"{path}: {name} is {have}, this run has {list(tensor.shape)}")


@dataclass
class DistillationState:
    """A run's state between iterations, written to and read from one file."""

    synset: SyntheticSet
    objective: Objective
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    seconds: float = 0.0
    _clock: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._description = ObjectiveDescription(self.objective)
        self._description.require_usable_labels(self.synset.labels)

    def _state(self) -> dict[str, Tensor]:
        named = {"latents": self.synset.latents, "prior": self.synset.prior.tensors()}
        named["objective"] = self.objective.tensors()
        state = {f"{part}/{name}": tensor for part, tensors in named.items() for name, tensor in tensors.items()}
        return {**state, "labels": self.synset.label_parameters}

    def elapsed(self) -> float:
        """Seconds of this run so far, earlier parts included."""
        return self.seconds + time.monotonic() - self._clock

    def save(self, path: Path) -> None:
        """Write latents, labels, the tensors of prior and objective, and the optimizer's moments, durably.

        The metadata name the tensor that is the student's step size, where the objective learns one.
        """
        tensors = {**self._state(), **optimizer_tensors(self.optimizer)}
        learned = self._description.learned_step_size
        named = {} if learned is None else {"step_size": f"objective/{learned}"}
        write_tensors(path, tensors, iteration=str(self.iteration), seconds=f"{self.elapsed():.3f}", **named)

    def restore(self, path: Path) -> None:
        """Put back, in place, what ``save`` wrote; ``DistillationError`` when it belongs to another run."""
        saved, metadata = read_tensors(path)
        for old, new in self._description.old_names.items():
            if f"objective/{old}" in saved:
                saved[f"objective/{new}"] = saved.pop(f"objective/{old}")
        state = self._state()
        require_same_shapes(path, state, saved)  # all are looked at before the first is changed
        done, seconds = (read_number(metadata, name, path) for name in ("iteration", "seconds"))
        for name, tensor in state.items():
            tensor.data.copy_(saved[name])
        restore_optimizer(self.optimizer, saved)
        self.iteration, self.seconds = int(done), seconds
        self._clock = time.monotonic()


def run(
    state: DistillationState,
    iterations: int,
    seed: int,
    save: Callable[[], None],
    save_every: int,
    on_step: Callable[[int, Metrics], None],
) -> None:
    """Iterate up to ``iterations``.

    Args:
        state: The run's state, which is changed.
        iterations: The number of iterations, those behind ``state`` included.
        seed: Of all draws.
        save: Called every ``save_every`` iterations, at the end, and before ``DistillationError``, Ctrl-C
            (``KeyboardInterrupt``) or SIGTERM (``Terminated``) end the run; always between two iterations.
        save_every: See ``save``.
        on_step: Called with the number of each iteration and its metrics.
    """
    with Interrupts() as interrupts:
        while state.iteration < iterations:
            step = Step(seed, state.iteration)
            try:
                metrics = compute_gradients(state.synset, state.objective, state.optimizer, step)
                with interrupts.held():  # from here on the iteration is done as a whole
                    _update(state.synset, state.optimizer, metrics)
                    state.iteration += 1
                    on_step(step.iteration, metrics)
                    if state.iteration % save_every == 0 or state.iteration == iterations:
                        save()
            except (DistillationError, KeyboardInterrupt, Terminated):
                save()
                raise
