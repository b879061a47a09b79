"""Pad, up-sample, filter and down-sample a batch of images (Karras et al., StyleGAN3, NeurIPS 2021, appendix)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ops import _library
from cuda_ops.dispatch import Operator

Factor = int | Sequence[int]


def setup_filter(
    f: Tensor | Sequence[float] | None,
    device: torch.device | str = "cpu",
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor | None:
    """Bring a FIR filter into the form that the operators take.

    ``f`` has shape ``[taps]`` or ``[fh, fw]``; ``None`` stays ``None`` (identity). ``normalize`` gives unit sum,
    ``gain`` scales the two-dimensional response. A 1-D filter of fewer than 8 taps is expanded to its outer product
    unless ``separable`` says otherwise. Returns float32 ``[taps]`` or ``[fh, fw]``. Raises ``ValueError`` on an empty
    filter, on more than two dimensions, and when a 2-D filter is asked to be separable.
    """
    if f is None:
        return None
    f = torch.as_tensor(f, dtype=torch.float32)
    if f.ndim == 0:
        f = f[None]
    if f.ndim > 2 or f.numel() == 0:
        raise ValueError(f"a filter has 1 or 2 dimensions and at least one tap, not shape {tuple(f.shape)}")
    separable = (f.ndim == 1 and f.numel() >= 8) if separable is None else separable
    if separable and f.ndim == 2:
        raise ValueError(f"a filter of shape {tuple(f.shape)} cannot be made separable: give its 1-D taps")
    if f.ndim == 1 and not separable:
        f = f.outer(f)
    if normalize:
        f = f / f.sum()
    if flip_filter:
        f = f.flip(list(range(f.ndim)))
    return (f * gain ** (f.ndim / 2)).to(device)


def factor_pair(value: Factor, name: str) -> tuple[int, int]:
    """Read an up- or down-sampling factor, an int or ``[x, y]``, as ``(x, y)``; ``ValueError`` below 1."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name} must be an integer of at least 1, or two of them (x, y), not {value}")
    return pair[0], pair[1]


def padding_quad(value: Factor) -> tuple[int, int, int, int]:
    """Read a padding, an int, ``[x, y]`` or ``[x0, x1, y0, y1]``, as the last; ``ValueError`` on another length."""
    if isinstance(value, int):
        return value, value, value, value
    if len(value) == 2:
        return value[0], value[0], value[1], value[1]
    if len(value) == 4:
        return value[0], value[1], value[2], value[3]
    raise ValueError(f"padding is one, two or four integers, not {len(value)}: {value}")


def output_size(size: int, up: int, down: int, pad: tuple[int, int], taps: int) -> int:
    """Length of one axis after up-sampling, padding, filtering with ``taps`` taps and down-sampling."""
    return (size * up + pad[0] + pad[1] - taps) // down + 1


def filter_taps(f: Tensor | None) -> tuple[int, int]:
    """Width and height of a filter: ``(fw, fh)``."""
    if f is None:
        return 1, 1
    return (f.shape[0], f.shape[0]) if f.ndim == 1 else (f.shape[1], f.shape[0])


def check_image(x: Tensor) -> None:
    """``ValueError`` if ``x`` is not [N, C, H, W] of a floating type."""
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(f"x must be a floating-point tensor [N, C, H, W], not {x.dtype} of shape {tuple(x.shape)}")


def _check(x: Tensor, f: Tensor | None, up: tuple[int, int], padding: tuple[int, int, int, int], gain: float) -> None:
    check_image(x)
    if f is not None and (f.ndim not in (1, 2) or f.dtype not in (torch.float32, torch.float64) or f.numel() == 0):
        raise ValueError(f"f must be float32 or float64 [taps] or [fh, fw], not {f.dtype} of shape {tuple(f.shape)}")
    if f is not None and f.requires_grad:
        raise ValueError("upfirdn2d has no gradient for its filter: pass f.detach()")
    if f is not None and f.ndim == 1 and gain < 0:
        raise ValueError(f"a separable filter takes the root of its gain, which must be at least 0, not {gain}")
    if f is not None and f.device != x.device:
        raise ValueError(f"f is on {f.device}, x on {x.device}")
    check_size((x.shape[3] * up[0] + padding[0] + padding[1], x.shape[2] * up[1] + padding[2] + padding[3]), f)


def check_size(padded: tuple[int, int], f: Tensor | None) -> None:
    """``ValueError`` if an image, (width, height) with its padding, is smaller than the filter."""
    (width, height), (fw, fh) = padded, filter_taps(f)
    if width < fw or height < fh:
        raise ValueError(f"padded image {height}x{width} is smaller than the filter {fh}x{fw}")


def upfirdn2d_ref(
    x: Tensor,
    f: Tensor | None,
    up: Factor = 1,
    down: Factor = 1,
    padding: Factor = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """``upfirdn2d`` as published, step by step: the oracle of the tests.

    Zero-stuffing, padding or cropping, depthwise convolution at the full rate, keeping every ``down``-th sample.
    """
    (ux, uy), (dx, dy), (x0, x1, y0, y1) = factor_pair(up, "up"), factor_pair(down, "down"), padding_quad(padding)
    _check(x, f, (ux, uy), (x0, x1, y0, y1), gain)
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, ux - 1, 0, 0, 0, uy - 1]).reshape(n, c, h * uy, w * ux)
    x = F.pad(x, [max(side, 0) for side in (x0, x1, y0, y1)])
    x = x[:, :, max(-y0, 0) : x.shape[2] - max(-y1, 0), max(-x0, 0) : x.shape[3] - max(-x1, 0)]
    if f is not None:
        f = (f.to(torch.promote_types(f.dtype, x.dtype)) * gain ** (f.ndim / 2)).to(x.dtype)
        f = f if flip_filter else f.flip(list(range(f.ndim)))
        kernels = [f[None, :], f[:, None]] if f.ndim == 1 else [f]
        for kernel in kernels:
            x = F.conv2d(x, kernel.expand(c, 1, *kernel.shape), groups=c)
    else:
        x = x * gain
    return x[:, :, ::dy, ::dx]


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: Factor = 1,
    down: Factor = 1,
    padding: Factor = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Up-sample ``x`` with zeros, pad, filter with ``f``, keep every ``down``-th sample.

    ``x`` is ``[N, C, H, W]`` of any floating type, ``f`` float32 (or float64) ``[taps]`` (separable), ``[fh, fw]`` or
    ``None`` (identity). ``up`` and ``down`` are int or ``[x, y]``; ``padding`` int, ``[x, y]`` or
    ``[x0, x1, y0, y1]`` counted on the up-sampled grid, negative to crop. ``flip_filter=False`` is a true convolution,
    ``True`` a correlation; ``gain``, at least 0 where ``f`` is separable, multiplies the result. Returns
    ``[N, C, H', W']`` with ``W' = (W * ux + x0 + x1 - fw) // dx + 1``. Differentiable in ``x`` to any order and in
    every mode of torch, not in ``f``. Raises ``ValueError`` when the padded image is smaller than the filter, or on
    arguments of another shape or type.
    """
    ups, downs, pads = factor_pair(up, "up"), factor_pair(down, "down"), padding_quad(padding)
    _check(x, f, ups, pads, gain)
    _library.load(x.device.type)
    f = None if f is None else f.contiguous()
    result: Tensor = torch.ops.glad.upfirdn2d(x, f, ups, downs, pads, flip_filter, gain)
    return result


def _filter_axis(x: Tensor, dim: int, taps: Tensor, up: int, down: int, pad: int, out: int) -> Tensor:
    """Filter axis 2 or 3 of ``x`` by one depthwise convolution with a stride: no zero-stuffed intermediate."""
    shape = (x.shape[1], 1, -1, 1) if dim == 2 else (x.shape[1], 1, 1, -1)
    kernel, stride = taps.to(x.dtype).expand(x.shape[1], -1), (lambda n: (n, 1) if dim == 2 else (1, n))
    if up == 1:
        x = _window(x, dim, -pad, down * (out - 1) + len(taps))
        return F.conv2d(x, kernel.reshape(shape), stride=stride(down), groups=x.shape[1])
    full = F.conv_transpose2d(x, kernel.flip(1).reshape(shape), stride=stride(up), groups=x.shape[1])
    y = _window(full, dim, len(taps) - 1 - pad, down * (out - 1) + 1)
    return y if down == 1 else y[:, :, ::down] if dim == 2 else y[..., ::down]


def _window(x: Tensor, dim: int, first: int, length: int) -> Tensor:
    """Samples ``first`` to ``first + length`` of axis 2 or 3, zeros outside the image."""
    size = x.shape[dim]
    begin = min(max(first, 0), size)
    end = max(min(first + length, size), begin)
    before = min(max(-first, 0), length)
    sides, inside = [before, length - before - (end - begin)], x.narrow(dim, begin, end - begin)
    return F.pad(inside, sides if dim == 3 else [0, 0, *sides]) if any(sides) else inside


def filter_plain(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    """The operator in plain torch, several times the speed of ``upfirdn2d_ref`` where ``f`` is 1-D."""
    if f is None or f.ndim != 1:
        y = upfirdn2d_ref(x, f, up, down, padding, flip_filter, gain)
    else:
        dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
        taps = (f if flip_filter else f.flip(0)).double() * gain**0.5
        y, (_, _, height, width) = x.to(dtype), _output_shape(x, f, up, down, padding)
        y = _filter_axis(y, 2, taps, up[1], down[1], padding[2], height)
        y = _filter_axis(y, 3, taps, up[0], down[0], padding[0], width)
    return y.to(x.dtype)


def _reference(x: Tensor, f: Tensor | None, *rest: Any) -> Tensor:
    y = filter_plain(x, f, *rest)
    return y.clone() if y is x else y.contiguous(memory_format=memory_format(x))


def memory_format(x: Tensor) -> torch.memory_format:
    """The layout of an operator's result: channels-last where ``x`` [N, C, H, W] is densely so, else contiguous."""
    dense = x.shape[1] > 1 and x.shape[2] * x.shape[3] > 1 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if dense else torch.contiguous_format


def _output_shape(
    x: Tensor, f: Tensor | None, up: Sequence[int], down: Sequence[int], padding: Sequence[int]
) -> tuple[int, int, int, int]:
    fw, fh = filter_taps(f)
    width = output_size(x.shape[3], up[0], down[0], (padding[0], padding[1]), fw)
    return x.shape[0], x.shape[1], output_size(x.shape[2], up[1], down[1], (padding[2], padding[3]), fh), width


def _fake(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    shape = _output_shape(x, f, up, down, padding)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, f, *ctx.rest = inputs
    ctx.size, ctx.out = x.shape[2:], output.shape[2:]
    ctx.save_for_backward(f)


def _backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    """The same operator with the factors exchanged, the filter turned round, and paddings that undo the cut."""
    (f,), (up, down, padding, flip_filter, gain) = ctx.saved_tensors, ctx.rest
    pads = []
    for axis in (0, 1):
        taps, before = filter_taps(f)[axis], padding[2 * axis]
        size, out = ctx.size[1 - axis], ctx.out[1 - axis]
        pads += [taps - 1 - before, size * up[axis] - out * down[axis] + before - up[axis] + 1]
    dx = torch.ops.glad.upfirdn2d(g, f, down, up, pads, not flip_filter, gain)
    return dx, None, None, None, None, None, None


def _jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor:
    result: Tensor = torch.ops.glad.upfirdn2d(tangents[0], *inputs[1:])
    return result


_library.register(Operator("upfirdn2d", _reference, _fake, _backward, _setup, _jvp, constants=(1,), axes=("nchw", "")))
