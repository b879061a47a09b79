"""How ``torch.func.vmap`` runs an operator: many calls as one, side by side in the batch or in the channels."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cuda_ops._operator import Operator

Dims = Sequence[int | None]


def rule(call: Callable[..., Any], operator: Operator) -> Callable[..., tuple[Any, Any]]:
    """The rule of ``operator`` for ``torch.library.register_vmap``.

    Images lie side by side in the batch; where a vector per channel differs from call to call, in the channels. Where
    another tensor does, a filter say, the calls are made one after the other.
    """

    def vmap(info: Any, in_dims: Dims, *arguments: Any) -> tuple[Any, Any]:
        batched = [axes for axes, dim in zip(operator.axes, in_dims, strict=False) if dim is not None]
        axis = next((axis for axis in "nc" if batched and all(axis in axes for axes in batched)), None)
        if axis is None or not info.batch_size:
            return one_by_one(call, info.batch_size, in_dims, arguments)
        count, given = info.batch_size, list(arguments)
        for i, axes in enumerate(operator.axes):
            if given[i] is not None and axis in axes:
                given[i] = side_by_side(given[i], in_dims[i], axes.index(axis), count)
        y = call(*given)
        places = [axes.index(axis) for axes in operator.results]
        if isinstance(y, Tensor):
            return apart(y, places[0], count), places[0]
        return tuple(apart(part, at, count) for part, at in zip(y, places, strict=True)), tuple(places)

    return vmap


def side_by_side(x: Tensor, dim: int | None, axis: int, count: int) -> Tensor:
    """``x`` with its calls, ``count`` along ``dim`` or all alike, one after the other along ``axis``."""
    x = x.unsqueeze(axis).expand(*x.shape[:axis], count, *x.shape[axis:]) if dim is None else x.movedim(dim, axis)
    return x.flatten(axis, axis + 1)


def apart(x: Tensor, axis: int, count: int) -> Tensor:
    """What :func:`side_by_side` has joined, along ``axis`` and the one behind it."""
    return x.unflatten(axis, (count, x.shape[axis] // count))


def one_by_one(call: Callable[..., Any], count: int, in_dims: Dims, arguments: Sequence[Any]) -> tuple[Any, Any]:
    """The calls one after the other, their results stacked in front.

    Of no calls at all, as in the Jacobian of an empty batch, the result has the shape that one with zeros gives.
    """
    dims = [dim if isinstance(a, Tensor) else None for a, dim in zip(arguments, in_dims, strict=True)]
    given = [a if d is None else a.movedim(d, 0) for a, d in zip(arguments, dims, strict=True)]
    if not count:
        given = [a if d is None else a.new_zeros(1, *a.shape[1:]) for a, d in zip(given, dims, strict=True)]
    calls = [call(*(a if d is None else a[i] for a, d in zip(given, dims, strict=True))) for i in range(count or 1)]
    if isinstance(calls[0], Tensor):
        return torch.stack(calls)[:count], 0
    return tuple(torch.stack(parts)[:count] for parts in zip(*calls, strict=True)), (0,) * len(calls[0])
