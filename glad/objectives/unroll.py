"""The gradient of where a student ends, with respect to the images that it was trained on.

A student starts at parameters that are given, takes steps of SGD on batches of the images, and is compared with
targets on its way. Three functions give the same loss; what differs is how its gradient reaches the images:

- ``full`` keeps the graph of all steps. Exact; memory grows with the number of steps.
- ``adjoint`` is exact as well, with the graph of one step, or of a few images of it, at a time: a forward pass that
  keeps the parameters now and then, and a backward pass that takes each step again, with a graph of its own, and
  computes its vector-Jacobian product (vjp) with the adjoint.
- ``tesla`` (Cui et al., ICML 2023) takes every step's parameters as if earlier images had not led there. It is not
  exact: docs/UNROLLING.md measures by how much.

The adjoint of a step m' = mu m + grad l(theta; x, y), theta' = theta - c a m', with p and q the adjoints of theta' and
m': v = q - c a p is that of the gradient, one Hessian-vector product gives h = d<grad l(theta; x, y), v>, and then
p += h_theta, x.grad += h_x, y.grad += h_y, q = mu v and a.grad -= c <m', p before the step>. The factor c corrects the
bias of a momentum that starts from zero (Kingma & Ba, ICLR 2015), or is 1.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

State = tuple[Tensor, Tensor]
"""A student between two steps: its parameters [P] and its momentum [P]."""


@dataclass(frozen=True)
class Student:
    """How a student is trained and what it is compared with; deterministic, so that any step can be taken again.

    ``batch(images [N, ...], labels [N], step)`` is what a step sees, augmented and differentiable in the images
    [n, ...], and its labels [n]; soft labels [N, K] it hands on differentiably. ``loss(parameters [P], seen [n, ...],
    labels [n])`` is the mean over those, twice differentiable.
    ``targets`` maps a number of steps to a scalar of the parameters after them: what is asked for is their sum.
    ``microbatch_size`` is how many images of a batch are taken together: None for all of them, which is needed where
    the loss of one depends on the others. ``bias_correction`` makes every step as long as the mean of the gradients so
    far, weighted by the momentum; without it the first steps are shorter, and late ones 1 / (1 - momentum) as long.
    """

    start: Tensor
    batch: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    targets: Mapping[int, Callable[[Tensor], Tensor]]
    momentum: float = 0.0
    microbatch_size: int | None = None
    bias_correction: bool = False

    @property
    def steps(self) -> int:
        """How many steps there are: no more than the last target needs."""
        return max(self.targets)

    def factor(self, step: int) -> float:
        """What the momentum of ``step``, counted from 0, is multiplied by."""
        return (1 - self.momentum) / (1 - self.momentum ** (step + 1)) if self.bias_correction else 1.0

    def losses(self, parameters: Tensor, seen: Tensor, labels: Tensor) -> Iterator[Tensor]:
        """Scalars whose sum is the loss of a batch, each with a graph of its own."""
        size = self.microbatch_size or len(seen)
        for x, y in zip(seen.split(size), labels.split(size), strict=True):
            yield self.loss(parameters, x, y) * (len(x) / len(seen))


def full(student: Student, images: Tensor, labels: Tensor, step_size: Tensor) -> Tensor:
    """The student's loss, by the graph of all its steps: a scalar, differentiable in ``images`` and ``step_size`` [].

    So it is in ``labels`` that are soft. Differentiable once more too, at a price in memory.
    """
    parameters, momentum = student.start.detach().requires_grad_(), torch.zeros_like(student.start)
    total = student.start.new_zeros(())
    for step in range(student.steps):
        momentum = student.momentum * momentum
        for part in student.losses(parameters, *student.batch(images, labels, step)):
            momentum = momentum + torch.autograd.grad(part, parameters, create_graph=True)[0]
        parameters = parameters - student.factor(step) * step_size * momentum
        if step + 1 in student.targets:
            total = total + student.targets[step + 1](parameters)
    return total


def adjoint(student: Student, images: Tensor, labels: Tensor, step_size: Tensor, every: int | None = None) -> Tensor:
    """The student's loss, by adjoints: a scalar, once differentiable in ``images``, soft ``labels``, ``step_size`` [].

    Every ``every``-th state is kept, by default every square root of the number of steps, and those between are
    computed again: memory is the graph of one step and twice that root of states, time a forward and backward pass
    more per step than ``full`` takes with ``every=1`` and two with a larger one.
    """
    return _Unrolled.apply(student, every or _root(student.steps), True, images, labels, step_size)


def tesla(student: Student, images: Tensor, labels: Tensor, step_size: Tensor, every: int | None = None) -> Tensor:
    """The student's loss; its gradient leaves out how parameters depend on the images of earlier steps."""
    return _Unrolled.apply(student, every or _root(student.steps), False, images, labels, step_size)


Unroll = Callable[[Student, Tensor, Tensor, Tensor], Tensor]
UNROLLS: dict[str, Unroll] = {"adjoint": adjoint, "full": full, "tesla": tesla}
"""The three by name."""


@torch.no_grad()
def stop_where_nearest(student: Student, images: Tensor, labels: Tensor, step_size: Tensor) -> Student:
    """The student that stops after that of its steps whose parameters the last target finds best.

    It takes a pass without a graph to know which; where the step is known the gradient is that of any other.
    """
    target, state = student.targets[student.steps], (student.start.detach(), torch.zeros_like(student.start))
    values = []
    for step in range(student.steps):
        with torch.enable_grad():
            state = _advance(student, state, images.detach(), labels.detach(), step_size.detach(), step)
        values.append(target(state[0]))
    return replace(student, targets={int(torch.stack(values).argmin()) + 1: target})


def _root(steps: int) -> int:
    return max(1, math.isqrt(steps))


def _advance(student: Student, state: State, images: Tensor, labels: Tensor, step_size: Tensor, step: int) -> State:
    """The state after ``step``, without a graph."""
    parameters = state[0].detach().requires_grad_()
    momentum = student.momentum * state[1]
    for part in student.losses(parameters, *student.batch(images, labels, step)):
        momentum += torch.autograd.grad(part, parameters)[0]
    after = parameters.detach() - student.factor(step) * step_size * momentum
    return after, (momentum if student.momentum else state[1])  # plain SGD has nothing to keep


class _Unrolled(torch.autograd.Function):
    """The forward and the backward pass; ``exact`` follows the gradient through earlier parameters too."""

    @staticmethod
    def forward(
        ctx: Any, student: Student, every: int, exact: bool, images: Tensor, labels: Tensor, step_size: Tensor
    ) -> Tensor:
        images, labels, step_size = images.detach(), labels.detach(), step_size.detach()
        state: State = (student.start.detach(), torch.zeros_like(student.start))
        kept, cotangents, total = [], {}, student.start.new_zeros(())
        for step in range(student.steps):
            if step % every == 0:
                kept.append(state)
            with torch.enable_grad():
                state = _advance(student, state, images, labels, step_size, step)
                if step + 1 in student.targets:
                    after = state[0].requires_grad_()
                    value = student.targets[step + 1](after)
                    (cotangents[step],) = torch.autograd.grad(value, after)
                    total, state = total + value.detach(), (after.detach(), state[1])
        ctx.student, ctx.every, ctx.exact, ctx.kept, ctx.cotangents = student, every, exact, kept, cotangents
        ctx.save_for_backward(images, labels, step_size)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        student, (images, labels, step_size) = ctx.student, ctx.saved_tensors
        learned = ctx.needs_input_grad[4]
        leaves = images.detach().requires_grad_(), labels.detach().requires_grad_(learned)
        passing = _BackwardPass(student, *leaves, step_size, ctx.exact, ctx.cotangents)
        with torch.enable_grad():
            for number in reversed(range(len(ctx.kept))):
                first = number * ctx.every
                states = [ctx.kept[number]]
                for step in range(first, min(first + ctx.every, student.steps) - 1):
                    states.append(_advance(student, states[-1], images, labels, step_size, step))
                while states:
                    passing.step(states.pop(), first + len(states))
        to_labels = upstream * passing.labels_grad if learned else None
        return None, None, None, upstream * passing.images_grad, to_labels, upstream * passing.step_size_grad


class _BackwardPass:
    """The adjoints of the parameters and of the momentum after a step, and the gradients so far.

    ``cotangents`` are the gradients of the targets, by the step that they follow. What is not ``exact`` takes no
    gradient through the parameters, which is TESLA's approximation.
    """

    def __init__(
        self,
        student: Student,
        images: Tensor,
        labels: Tensor,
        step_size: Tensor,
        exact: bool,
        cotangents: Mapping[int, Tensor],
    ) -> None:
        self.student, self.images, self.labels, self.step_size = student, images, labels, step_size
        self.exact, self.cotangents = exact, cotangents
        self.of_parameters, self.of_momentum = torch.zeros_like(student.start), torch.zeros_like(student.start)
        self.images_grad, self.step_size_grad = torch.zeros_like(images), torch.zeros_like(step_size)
        self.labels_grad = torch.zeros_like(labels)

    def step(self, state: State, number: int) -> None:
        """Take the adjoints from after step ``number``, which starts at ``state``, to before it."""
        student, parameters = self.student, state[0].detach().requires_grad_()
        batch, labels = student.batch(self.images, self.labels, number)
        seen = batch.detach().requires_grad_()  # what the network sees is differentiated twice, how it came about once
        wanted = labels.detach().requires_grad_(labels.requires_grad)
        if number in self.cotangents:
            self.of_parameters = self.of_parameters + self.cotangents[number]
        factor = student.factor(number)
        direction = self.of_momentum - factor * self.step_size * self.of_parameters
        leaves = [*([parameters] if self.exact else []), seen, *([wanted] if wanted.requires_grad else [])]
        sums = [torch.zeros_like(leaf) for leaf in leaves]
        self.step_size_grad = self.step_size_grad - factor * student.momentum * (state[1] @ self.of_parameters)
        for part in student.losses(parameters, seen, wanted):
            (gradient,) = torch.autograd.grad(part, parameters, create_graph=True)
            self.step_size_grad = self.step_size_grad - factor * (gradient.detach() @ self.of_parameters)
            for total, pulled in zip(sums, torch.autograd.grad(gradient @ direction, leaves), strict=True):
                total += pulled
        if self.exact:
            self.of_parameters = self.of_parameters + sums.pop(0)
        self.of_momentum = student.momentum * direction
        self.images_grad += torch.autograd.grad(batch, self.images, sums[0])[0]
        if wanted.requires_grad:
            self.labels_grad += torch.autograd.grad(labels, self.labels, sums[1])[0]
