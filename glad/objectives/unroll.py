"""The gradient of where a student ends, with respect to the images that it was trained on.

A student starts at parameters that are given, takes steps of SGD on batches of the images, and is compared with
targets on its way. Three functions give the same loss; what differs is how its gradient reaches the images:

- ``full`` keeps the graph of all steps. Exact; memory grows with the number of steps.
- ``adjoint`` is exact as well, with the graph of one step, or of a few images of it, at a time: a forward pass that
  keeps the parameters now and then, and a backward pass that takes each step again, with a graph of its own, and
  computes its vector-Jacobian product (vjp) with the adjoint.
- ``tesla`` (Cui et al., ICML 2023) takes every step's parameters as if earlier images had not led there. It is not
  exact: docs/UNROLLING.md measures by how much.

The adjoint of a step m' = mu m + grad l(theta; x), theta' = theta - a m', with p and q the adjoints of theta' and m':
v = q - a p is that of the gradient, one Hessian-vector product gives h = d<grad l(theta; x), v>, and then p += h_theta,
x.grad += h_x, q = mu v and a.grad -= <m', p before the step>.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

State = tuple[Tensor, Tensor]
"""A student between two steps: its parameters [P] and its momentum [P]."""


@dataclass(frozen=True)
class Student:
    """How a student is trained and what it is compared with; deterministic, so that any step can be taken again.

    ``batch(images [N, ...], step)`` is what a step sees, augmented and differentiable in the images [n, ...], and its
    labels [n]. ``loss(parameters [P], seen [n, ...], labels [n])`` is the mean over those, twice differentiable.
    ``targets`` maps a number of steps to a scalar of the parameters after them: what is asked for is their sum.
    ``microbatch_size`` is how many images of a batch are taken together: None for all of them, which is needed where
    the loss of one depends on the others.
    """

    start: Tensor
    batch: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    targets: Mapping[int, Callable[[Tensor], Tensor]]
    momentum: float = 0.0
    microbatch_size: int | None = None

    @property
    def steps(self) -> int:
        """How many steps there are: no more than the last target needs."""
        return max(self.targets)

    def losses(self, parameters: Tensor, seen: Tensor, labels: Tensor) -> Iterator[Tensor]:
        """Scalars whose sum is the loss of a batch, each with a graph of its own."""
        size = self.microbatch_size or len(seen)
        for x, y in zip(seen.split(size), labels.split(size), strict=True):
            yield self.loss(parameters, x, y) * (len(x) / len(seen))


def full(student: Student, images: Tensor, step_size: Tensor) -> Tensor:
    """The student's loss, by the graph of all its steps: a scalar, differentiable in ``images`` and ``step_size`` [].

    Differentiable once more too, at a price in memory.
    """
    parameters, momentum = student.start.detach().requires_grad_(), torch.zeros_like(student.start)
    total = student.start.new_zeros(())
    for step in range(student.steps):
        momentum = student.momentum * momentum
        for part in student.losses(parameters, *student.batch(images, step)):
            momentum = momentum + torch.autograd.grad(part, parameters, create_graph=True)[0]
        parameters = parameters - step_size * momentum
        if step + 1 in student.targets:
            total = total + student.targets[step + 1](parameters)
    return total


def adjoint(student: Student, images: Tensor, step_size: Tensor, every: int | None = None) -> Tensor:
    """The student's loss, by adjoints: a scalar, once differentiable in ``images`` and ``step_size`` [].

    Every ``every``-th state is kept, by default every square root of the number of steps, and those between are
    computed again: memory is the graph of one step and twice that root of states, time a forward and backward pass
    more per step than ``full`` takes with ``every=1`` and two with a larger one.
    """
    return _Unrolled.apply(student, every or _root(student.steps), _vjp_both, images, step_size)


def tesla(student: Student, images: Tensor, step_size: Tensor, every: int | None = None) -> Tensor:
    """The student's loss; its gradient leaves out how parameters depend on the images of earlier steps."""
    return _Unrolled.apply(student, every or _root(student.steps), _vjp_images, images, step_size)


UNROLLS: dict[str, Callable[[Student, Tensor, Tensor], Tensor]] = {"adjoint": adjoint, "full": full, "tesla": tesla}
"""The three by name."""


def _root(steps: int) -> int:
    return max(1, math.isqrt(steps))


def _vjp_both(product: Tensor, parameters: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of ``product``, a Hessian-vector product's potential, for the parameters and for the images."""
    to_parameters, to_images = torch.autograd.grad(product, (parameters, images))
    return to_parameters, to_images


def _vjp_images(product: Tensor, parameters: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of a product for the images; for the parameters nothing, which is TESLA's approximation."""
    return torch.zeros_like(parameters), torch.autograd.grad(product, images)[0]


def _advance(student: Student, state: State, images: Tensor, step_size: Tensor, step: int) -> State:
    """The state after ``step``, without a graph."""
    parameters = state[0].detach().requires_grad_()
    momentum = student.momentum * state[1]
    for part in student.losses(parameters, *student.batch(images, step)):
        momentum += torch.autograd.grad(part, parameters)[0]
    after = parameters.detach() - step_size * momentum
    return after, (momentum if student.momentum else state[1])  # plain SGD has nothing to keep


class _Unrolled(torch.autograd.Function):
    """The forward and the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, student: Student, every: int, vjp: Callable[..., Any], images: Tensor, step_size: Tensor
    ) -> Tensor:
        images, step_size = images.detach(), step_size.detach()
        state: State = (student.start.detach(), torch.zeros_like(student.start))
        kept, cotangents, total = [], {}, student.start.new_zeros(())
        for step in range(student.steps):
            if step % every == 0:
                kept.append(state)
            with torch.enable_grad():
                state = _advance(student, state, images, step_size, step)
                if step + 1 in student.targets:
                    after = state[0].requires_grad_()
                    value = student.targets[step + 1](after)
                    (cotangents[step],) = torch.autograd.grad(value, after)
                    total, state = total + value.detach(), (after.detach(), state[1])
        ctx.student, ctx.every, ctx.vjp, ctx.kept, ctx.cotangents = student, every, vjp, kept, cotangents
        ctx.save_for_backward(images, step_size)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, None, Tensor, Tensor]:
        student, (images, step_size) = ctx.student, ctx.saved_tensors
        passing = _BackwardPass(student, images.detach().requires_grad_(), step_size, ctx.vjp, ctx.cotangents)
        with torch.enable_grad():
            for number in reversed(range(len(ctx.kept))):
                first = number * ctx.every
                states = [ctx.kept[number]]
                for step in range(first, min(first + ctx.every, student.steps) - 1):
                    states.append(_advance(student, states[-1], images, step_size, step))
                while states:
                    passing.step(states.pop(), first + len(states))
        return None, None, None, upstream * passing.images_grad, upstream * passing.step_size_grad


class _BackwardPass:
    """The adjoints of the parameters and of the momentum after a step, and the gradients so far.

    ``cotangents`` are the gradients of the targets, by the step that they follow.
    """

    def __init__(
        self,
        student: Student,
        images: Tensor,
        step_size: Tensor,
        vjp: Callable[..., Any],
        cotangents: Mapping[int, Tensor],
    ) -> None:
        self.student, self.images, self.step_size = student, images, step_size
        self.vjp, self.cotangents = vjp, cotangents
        self.of_parameters, self.of_momentum = torch.zeros_like(student.start), torch.zeros_like(student.start)
        self.images_grad, self.step_size_grad = torch.zeros_like(images), torch.zeros_like(step_size)

    def step(self, state: State, number: int) -> None:
        """Take the adjoints from after step ``number``, which starts at ``state``, to before it."""
        student, parameters = self.student, state[0].detach().requires_grad_()
        batch, labels = student.batch(self.images, number)
        seen = batch.detach().requires_grad_()  # what the network sees is differentiated twice, how it came about once
        if number in self.cotangents:
            self.of_parameters = self.of_parameters + self.cotangents[number]
        direction = self.of_momentum - self.step_size * self.of_parameters
        to_parameters, to_seen = torch.zeros_like(parameters), torch.zeros_like(seen)
        self.step_size_grad = self.step_size_grad - student.momentum * (state[1] @ self.of_parameters)
        for part in student.losses(parameters, seen, labels):
            (gradient,) = torch.autograd.grad(part, parameters, create_graph=True)
            self.step_size_grad = self.step_size_grad - gradient.detach() @ self.of_parameters
            one, other = self.vjp(gradient @ direction, parameters, seen)
            to_parameters += one
            to_seen += other
        self.of_parameters = self.of_parameters + to_parameters
        self.of_momentum = student.momentum * direction
        self.images_grad += torch.autograd.grad(batch, self.images, to_seen)[0]
