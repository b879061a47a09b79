"""3x3 convolutions on CPUs with a quarter of the multiplications (Winograd 1980; Lavin & Gray, CVPR 2016).

A 4x4 tile of the output is a product of polynomials, evaluated at six points, multiplied there and interpolated:
36 multiplications per pair of channels in place of 144. Between the two transforms lie 36 plain matrix products.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight

from cuda_ops.dispatch import Operator, register

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)  # and infinity: of the small dyadic sets the one with the least rounding error
TILE, WINDOW = 4, 6  # outputs per axis, and the inputs that they need
LEAST_CHANNELS = 256  # below, the transforms cost what the products save
LEAST_PIXELS = 2000  # of the batch; below, the kernels' transform does
BATCH = 512  # tiles in one matrix product: enough for its speed, few enough for the cache


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether ``conv3x3`` applies and is the faster: wide 3x3 convolutions in float32 on a CPU, weights frozen."""
    large = min(weight.shape[:2]) >= LEAST_CHANNELS and x[:, 0].numel() >= LEAST_PIXELS
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    return large and plain and weight.shape[2:] == (3, 3) and not weight.requires_grad


@cache
def _transforms(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Of a window [36, 36], a kernel [36, 9] and back to a tile [16, 36]; by row and column alike, so one matrix."""
    points = np.array(POINTS)
    others = [np.delete(points, i) for i in range(len(points))]

    def powers(count: int) -> np.ndarray:
        return np.vstack([points[:, None] ** np.arange(count), np.eye(count)[-1]])

    window = np.vstack([*(np.append(np.poly(rest)[::-1], 0) for rest in others), np.poly(points)[::-1]])
    scale = [*(np.prod(point - rest) for point, rest in zip(points, others, strict=True)), 1.0]
    kernel = powers(3) / np.array(scale)[:, None]
    both = [torch.from_numpy(np.kron(m, m)).to(dtype) for m in (window, kernel, powers(TILE).T)]
    return both[0], both[1], both[2]


def conv3x3(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Cross-correlate ``x`` with ``weight``, zero-padded.

    Args:
        x: Images [N, I, H, W], float32 or float64, on the CPU.
        weight: Kernels [O, I, 3, 3] of the same type.
        padding: Zeros at each side, 0, 1 or 2.

    Returns:
        [N, O, H + 2 padding - 2, W + 2 padding - 2], channels last. The rounding error is about three times a direct
        convolution's. Differentiable in both to any order, in every mode; that in ``weight`` is torch's own.
    """
    result: Tensor = torch.ops.generators.conv3x3(x, weight, padding)
    return result


def _forward(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    to_window, to_kernel, to_tile = _transforms(x.dtype)
    (n, inside, h, w), outside = x.shape, weight.shape[0]
    height, width = h + 2 * padding - 2, w + 2 * padding - 2
    rows, columns = -(-height // TILE), -(-width // TILE)
    step = max(1, min(n, BATCH // (rows * columns)))  # samples at a time
    kernel = (to_kernel @ weight.reshape(-1, 9).t()).view(36, outside, inside).transpose(1, 2)
    padded = x.new_zeros(step, rows * TILE + 2, columns * TILE + 2, inside)
    size = step * rows * columns * 36
    first, second = x.new_empty(size * max(inside, outside)), x.new_empty(size * inside)
    result = x.new_empty(n, height, width, outside)
    for part, target in zip(x.split(step), result.split(step), strict=True):
        count = part.shape[0] * rows * columns
        padded[: part.shape[0], padding : padding + h, padding : padding + w] = part.permute(0, 2, 3, 1)
        windows, values = (flat[: count * 36 * inside].view(count, 36, inside) for flat in (first, second))
        windows.view(-1, rows, columns, WINDOW, WINDOW, inside).copy_(_windows(padded[: part.shape[0]]))
        torch.bmm(to_window.expand(count, -1, -1), windows, out=values)
        products = first[: count * 36 * outside].view(count, 36, outside)
        for i in range(36):
            torch.mm(values[:, i], kernel[i], out=products[:, i])
        tiles = torch.bmm(to_tile.expand(count, -1, -1), products).view(-1, rows, columns, TILE, TILE, outside)
        image = tiles.transpose(2, 3).reshape(-1, rows * TILE, columns * TILE, outside)
        target.copy_(image[:, :height, :width])
    return result.permute(0, 3, 1, 2)


def _windows(padded: Tensor) -> Tensor:
    """The overlapping windows of ``padded`` [N, H, W, C] as a view [N, rows, columns, 6, 6, C]."""
    return padded.unfold(1, WINDOW, TILE).unfold(2, WINDOW, TILE).permute(0, 1, 2, 4, 5, 3)


def _shape(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    n, _, h, w = x.shape
    return x.new_empty(n, h + 2 * padding - 2, w + 2 * padding - 2, weight.shape[0]).permute(0, 3, 1, 2)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    x, weight, ctx.padding = inputs
    ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    """The adjoint in x is such a convolution too, with the kernels turned round."""
    (x, weight), of_x, of_weight = ctx.saved_tensors, None, None
    if ctx.needs_input_grad[0]:
        of_x = conv3x3(gradient, weight.transpose(0, 1).flip(2, 3), 2 - ctx.padding)
    if ctx.needs_input_grad[1]:
        of_weight = conv2d_weight(x, weight.shape, gradient, padding=ctx.padding)
    return of_x, of_weight, None


def _jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor:
    """The convolution is linear in each of the two."""
    (x, weight, padding), (of_x, of_weight, _) = inputs, tangents
    if of_weight is None:
        return conv3x3(of_x, weight, padding)
    second = conv3x3(x, of_weight, padding)
    return second if of_x is None else conv3x3(of_x, weight, padding) + second


_LIBRARY = torch.library.Library("generators", "FRAGMENT")  # what is registered lasts as long as it
_LIBRARY.define("conv3x3(Tensor x, Tensor weight, int padding) -> Tensor")
register(_LIBRARY, Operator("conv3x3", _forward, _shape, _backward, _save, _jvp, axes=("nchw", "")))
