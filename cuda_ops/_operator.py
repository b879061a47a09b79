"""What an operator consists of beside its schema and its native kernels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operator:
    """An operator's reference, its fake kernel, its derivatives, and how a batch of calls becomes one call.

    Attributes:
        name: The operator's name in its name space.
        reference: The operator in plain torch, with the schema's arguments by position. It serves every device that has
            no kernel. Where a derivative below is missing, the derivative is torch's own of the reference.
        fake: The shape of the result: an empty tensor, from the schema's arguments by position.
        backward: ``backward(ctx, *cotangents)``, as in ``torch.autograd.Function``: one gradient or ``None`` for each
            argument. It calls operators and torch only, so that it is differentiable itself. Of several cotangents,
            some may be ``None``, which stands for zeros.
        setup_context: ``setup_context(ctx, inputs, output)``, which saves what ``backward`` needs.
        jvp: ``jvp(inputs, tangents)``, the tangent of the output. A tangent of ``None`` stands for zeros, there and in
            what it returns as a whole.
        constants: Positions of the tensors in which the operator has no derivative. Asking for one is an error.
        axes: The axes of each tensor argument, of which "n" and "c" can be several calls' beside each other, as
            ``("nchw", "c")``. A tensor without either is shared by all calls that are made as one.
        results: The axes of each result.
        vmap: The rule of ``torch.library.register_vmap``, in place of the one that ``axes`` and ``results`` give.
    """

    name: str
    reference: Callable[..., Any]
    fake: Callable[..., Any]
    backward: Callable[..., Any] | None = None
    setup_context: Callable[..., None] | None = None
    jvp: Callable[[Sequence[Any], Sequence[Any]], Any] | None = None
    constants: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    results: tuple[str, ...] = ("nchw",)
    vmap: Callable[..., Any] | None = None
