"""Leaky ReLU between an up-sampling and a down-sampling filter: StyleGAN3's alias-free nonlinearity."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cuda_ops import _library
from cuda_ops.bias_act import bias_act, bias_act_ref, bias_tangent, check_call
from cuda_ops.dispatch import Operator
from cuda_ops.upfirdn2d import (
    check_image,
    check_size,
    factor_pair,
    filter_plain,
    filter_taps,
    memory_format,
    output_size,
    padding_quad,
    upfirdn2d,
    upfirdn2d_ref,
)

_SQRT2 = 2.0**0.5
_FUSED_TAPS = 48  # of a filter, which the fused kernels hold for any factors; those of StyleGAN have 12 and 24


def filtered_lrelu_ref(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = _SQRT2,
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
) -> Tensor:
    """``filtered_lrelu`` as published, from the reference operators: the oracle of the tests."""
    x = bias_act_ref(x, b)
    x = upfirdn2d_ref(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    x = bias_act_ref(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp)
    return upfirdn2d_ref(x, fd, down=down, flip_filter=flip_filter)


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = _SQRT2,
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
) -> Tensor:
    """Add ``b``, up-sample with ``fu``, leaky ReLU, gain and clamp, then down-sample with ``fd``.

    ``x`` is ``[N, C, H, W]`` of any floating type, ``b`` ``[C]`` or ``None``; ``fu`` and ``fd`` are float32 filters
    as in ``cuda_ops.upfirdn2d``; ``padding`` counts samples of the up-sampled grid and is not biased. The
    up-sampling keeps the mean (gain ``up**2``). Returns ``[N, C, H', W']`` with
    ``W' = (W * up + x0 + x1 - (fu_w - 1) - (fd_w - 1) + down - 1) // down``; differentiable in ``x`` and ``b`` to any
    order, and the up-sampled map is never in memory as a whole. ``slope=1, gain=1`` is resampling with a clamp.
    Filters in two dimensions or of more than 48 taps, and calls without any, run as their parts. Raises ``ValueError``
    as those do.
    """
    pads = padding_quad(padding)
    _check(x, fu, fd, b, up, down, pads, clamp)
    if fu is None and fd is None and up == down == 1 and not any(pads):
        return bias_act(x, b, act="lrelu", alpha=slope, gain=gain, clamp=clamp)
    if any(f is not None and (f.ndim == 2 or f.numel() > _FUSED_TAPS) for f in (fu, fd)):
        x = bias_act(x, b)
        x = upfirdn2d(x, fu, up=up, padding=pads, flip_filter=flip_filter, gain=up**2)
        x = bias_act(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp)
        return upfirdn2d(x, fd, down=down, flip_filter=flip_filter)
    _library.load(x.device.type)
    fu, fd = (None if f is None else f.contiguous() for f in (fu, fd))
    b = None if b is None else b.to(x.dtype).contiguous()
    result: Tensor = torch.ops.glad.filtered_lrelu(x, fu, fd, b, up, down, pads, gain, slope, clamp, flip_filter)
    return result


def _check(
    x: Tensor,
    fu: Tensor | None,
    fd: Tensor | None,
    b: Tensor | None,
    up: int,
    down: int,
    padding: tuple[int, int, int, int],
    clamp: float | None,
) -> None:
    """``ValueError`` where the arguments do not fit each other."""
    check_image(x)
    check_call(x, b, 1, "lrelu", None, None, clamp)
    factor_pair(up, "up"), factor_pair(down, "down")
    for name, tensor in (("fu", fu), ("fd", fd)):
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"{name} is on {tensor.device}, x on {x.device}")
    (width, height), (fw, fh) = _padded_size(x, up, padding), filter_taps(fu)
    check_size((width, height), fu)
    check_size((width - fw + 1, height - fh + 1), fd)


def _padded_size(x: Tensor, up: int, padding: Sequence[int]) -> tuple[int, int]:
    return x.shape[3] * up + padding[0] + padding[1], x.shape[2] * up + padding[2] + padding[3]


def _add_bias(x: Tensor, b: Tensor | None) -> Tensor:
    """``x + b``, channels-last: the faster layout for depthwise convolutions, worth a change for four of them."""
    x = x.contiguous(memory_format=torch.channels_last)
    return x if b is None else x + b[:, None, None]


def _reference(
    x: Tensor,
    fu: Tensor | None,
    fd: Tensor | None,
    b: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    gain: float,
    slope: float,
    clamp: float | None,
    flip_filter: bool,
) -> Tensor:
    y = filter_plain(_add_bias(x, b), fu, (up, up), (1, 1), padding, flip_filter, up**2)
    y = torch.nn.functional.leaky_relu(y, slope).mul_(gain)
    y = y if clamp is None else y.clamp_(-clamp, clamp)
    y = filter_plain(y, fd, (1, 1), (down, down), (0, 0, 0, 0), flip_filter, 1)
    return y.contiguous(memory_format=memory_format(x))


def _fake(
    x: Tensor,
    fu: Tensor | None,
    fd: Tensor | None,
    b: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    *rest: Any,
) -> Tensor:
    (width, height), (u, _), (d, _) = _padded_size(x, up, padding), filter_taps(fu), filter_taps(fd)
    size = [output_size(n - u + 1, 1, down, (0, 0), d) for n in (height, width)]
    return torch.empty((*x.shape[:2], *size), dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, fu, fd, b, *ctx.rest = inputs
    ctx.save_for_backward(x, fu, fd, b)


def _backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    x, fu, fd, b = ctx.saved_tensors
    dx = torch.ops.glad.filtered_lrelu_jacobian(g, x, fu, fd, b, *ctx.rest, True)
    db = dx.sum((0, 2, 3)) if ctx.needs_input_grad[3] else None
    return dx, None, None, db, *[None] * 7


def _jacobian_reference(
    v: Tensor,
    x: Tensor,
    fu: Tensor | None,
    fd: Tensor | None,
    b: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    gain: float,
    slope: float,
    clamp: float | None,
    flip_filter: bool,
    transpose: bool,
) -> Tensor:
    one, none, format_of_x = (1, 1), (0, 0, 0, 0), memory_format(x)
    mid = filter_plain(_add_bias(x, b), fu, (up, up), one, padding, flip_filter, up**2)
    slopes = torch.where(mid > 0, mid.new_full((), gain), mid.new_full((), gain * slope))
    if clamp is not None:
        slopes.masked_fill_(mid.mul_(slopes).abs_() > clamp, 0.0)
    if not transpose:
        y = slopes * filter_plain(_add_bias(v, None), fu, (up, up), one, padding, flip_filter, up**2)
        y = filter_plain(y, fd, one, (down, down), none, flip_filter, 1)
        return y.contiguous(memory_format=format_of_x)
    (u, _), (d, _), (height, width) = filter_taps(fu), filter_taps(fd), mid.shape[2:]
    rest = [width - (v.shape[3] - 1) * down, height - (v.shape[2] - 1) * down]
    pads = [d - 1, rest[0] - down, d - 1, rest[1] - down]
    y = slopes * filter_plain(_add_bias(v, None), fd, (down, down), one, pads, not flip_filter, 1)
    pads = [u - 1 - padding[0], padding[0] + x.shape[3] * up - width, u - 1 - padding[2], 0]
    pads[3] = padding[2] + x.shape[2] * up - height
    y = filter_plain(y, fu, one, (up, up), pads, not flip_filter, up**2)
    return y.contiguous(memory_format=format_of_x)


def _jacobian_fake(v: Tensor, x: Tensor, *rest: Any) -> Tensor:
    if not rest[-1]:
        return _fake(x, *rest)
    return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _jacobian_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, x, fu, fd, b, *ctx.rest = inputs
    ctx.save_for_backward(x, fu, fd, b)


def _jacobian_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    """The Jacobian transposed; it is piecewise constant in x and b."""
    (x, fu, fd, b), (*rest, transpose) = ctx.saved_tensors, ctx.rest
    dv = torch.ops.glad.filtered_lrelu_jacobian(g, x, fu, fd, b, *rest, not transpose)
    dx = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
    db = torch.zeros_like(b) if ctx.needs_input_grad[4] else None
    return dv, dx, None, None, db, *[None] * 8


def _jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor:
    x, fu, fd, b, *rest = inputs
    v = bias_tangent(x, tangents[0], tangents[3], 1)
    result: Tensor = torch.ops.glad.filtered_lrelu_jacobian(v, x, fu, fd, b, *rest, False)
    return result


def _jacobian_jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor | None:
    result: Tensor | None = None
    if tangents[0] is not None:  # in the others it is piecewise constant
        result = torch.ops.glad.filtered_lrelu_jacobian(tangents[0], *inputs[1:])
    return result


_library.register(
    Operator(
        *("filtered_lrelu", _reference, _fake, _backward, _setup, _jvp),
        constants=(1, 2),
        axes=("nchw", "", "", "c"),
    )
)
_library.register(
    Operator(
        "filtered_lrelu_jacobian",
        *(_jacobian_reference, _jacobian_fake, _jacobian_backward, _jacobian_setup, _jacobian_jvp),
        constants=(2, 3),
        axes=("nchw", "nchw", "", "", "c"),
    )
)
