"""What torch is told of an operator: its reference, its shapes, its derivatives of every mode, its rule for vmap.

``torch.library.register_autograd`` knows backward mode alone. A forward-mode tangent comes out of its operators as zero
without a word, and under ``torch.func.grad`` they raise (torch 2.14). A ``torch.autograd.Function`` around the operator
would lose its forward formula in ``torch.compile`` and be wrong in forward mode of forward mode (torch's issues 192985,
197867). So the operators bring a kernel of their own for torch's Autograd key: a function of a single level, as torch
makes one of a ``torch.autograd.Function`` under a transform. It calls the operator again for the levels below.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

from cuda_ops import _batching
from cuda_ops._operator import Operator


def register(library: torch.library.Library, operator: Operator) -> None:
    """Register all that makes ``operator`` but its schema and its native kernels; it lasts as long as ``library``."""
    library.impl(operator.name, operator.reference, "CompositeExplicitAutograd")
    torch.library.register_fake(f"{library.ns}::{operator.name}", operator.fake, lib=library)
    call = getattr(getattr(torch.ops, library.ns), operator.name).default
    library.impl(operator.name, _kernel(call, operator), "Autograd")
    rule = operator.vmap or _batching.rule(call, operator)
    torch.library.register_vmap(f"{library.ns}::{operator.name}", rule, lib=library)


def _kernel(call: torch._ops.OpOverload, operator: Operator) -> Callable[..., Any]:
    """The kernel of the Autograd key, which runs at each level of nested transforms and without any."""
    members = (_forward(call), _setup_context(call, operator), _backward(call, operator), _jvp(call, operator))
    names = ("forward", "setup_context", "backward", "jvp")
    body = {name: staticmethod(member) for name, member in zip(names, members, strict=True)}
    function: Any = type(operator.name, (_SingleLevelFunction,), body)

    def kernel(*arguments: Any) -> Any:
        if not torch._C._are_functorch_transforms_active():
            return function.apply(*arguments)
        with enable_single_level_autograd_function():
            return function.apply(*arguments)

    return kernel


def _forward(call: torch._ops.OpOverload) -> Callable[..., Any]:
    def forward(*arguments: Any) -> Any:
        below = torch._C._AutoDispatchBelowAutograd
        if not torch._C._are_functorch_transforms_active():
            with below():
                return call(*arguments)
        # ``apply`` has switched both modes off, for this level; the levels below need them.
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True), below():
            return call(*arguments)

    return forward


def _setup_context(call: torch._ops.OpOverload, operator: Operator) -> Callable[..., None]:
    tensors = sum("Tensor" in str(argument.type) for argument in call._schema.arguments)  # which come first

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.set_materialize_grads(False)
        ctx.numbers = inputs[tensors:]
        ctx.save_for_forward(*inputs[:tensors])  # torch lets go of them before the call returns
        if operator.backward is None:
            ctx.save_for_backward(*inputs[:tensors])
        elif operator.setup_context is not None:
            operator.setup_context(ctx, inputs, output)

    return setup_context


def _backward(call: torch._ops.OpOverload, operator: Operator) -> Callable[..., Any]:
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        _refuse(call, operator, ctx.needs_input_grad)
        if all(cotangent is None for cotangent in cotangents):
            return (None,) * len(ctx.needs_input_grad)
        if operator.backward is not None:
            return operator.backward(ctx, *cotangents)
        needed = [i for i, asked in enumerate(ctx.needs_input_grad) if asked]
        inputs = [*ctx.saved_tensors, *ctx.numbers]
        outputs, pull, *_ = torch.func.vjp(_at(operator, inputs, needed), *(inputs[i] for i in needed))
        cotangents = tuple(torch.zeros_like(y) if c is None else c for y, c in zip(outputs, cotangents, strict=True))
        gradients = dict(zip(needed, pull(cotangents), strict=True))
        return tuple(gradients.get(i) for i in range(len(inputs)))

    return backward


def _jvp(call: torch._ops.OpOverload, operator: Operator) -> Callable[..., Any]:
    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:
        _refuse(call, operator, [tangent is not None for tangent in tangents])
        with forward_ad._set_fwd_grad_enabled(True):  # off within ``apply``; tangents of the levels below need it
            if operator.jvp is None:
                return tangent(operator.reference, *ctx.saved_tensors, *ctx.numbers)
            saved = [None if t is None else forward_ad.unpack_dual(t, level=0).primal for t in ctx.saved_tensors]
            inputs = [*saved, *ctx.numbers]
            result = operator.jvp(inputs, tangents)
            return torch.zeros_like(operator.fake(*inputs)) if result is None else result

    return jvp


def tangent(function: Callable[..., Any], *inputs: Any) -> Any:
    """The tangent of ``function`` in plain torch, from ``inputs`` that are dual numbers of this level or constant.

    It is for ``jvp``, where a transform of torch.func cannot begin: that of this level is not over.
    """
    y = function(*inputs)
    parts = tuple(_tangent_or_zeros(part) for part in (y if isinstance(y, tuple) else (y,)))
    return parts if isinstance(y, tuple) else parts[0]


def _tangent_or_zeros(y: Tensor) -> Tensor:
    primal, part = forward_ad.unpack_dual(y, level=0)
    return torch.zeros_like(primal) if part is None else part


def _refuse(call: torch._ops.OpOverload, operator: Operator, asked: Sequence[bool]) -> None:
    for position in operator.constants:
        if asked[position]:
            name = call._schema.arguments[position].name
            raise NotImplementedError(f"{operator.name} has no derivative in {name}: pass {name}.detach()")


def _at(operator: Operator, inputs: Sequence[Any], positions: Sequence[int]) -> Callable[..., tuple[Tensor, ...]]:
    """The reference as a function of the arguments at ``positions``, with a tuple as its result."""

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(positions, tensors, strict=True))
        y = operator.reference(*(given.get(i, value) for i, value in enumerate(inputs)))
        return y if isinstance(y, tuple) else (y,)

    return function
