"""3x3 convolutions for networks that are trained on a CPU: a quarter of the multiplications (Lavin & Gray, CVPR 2016).

Winograd's F(4x4, 3x3) for the convolution and for its gradients in the input and in the weight. These three are closed
under differentiation, as the convolution is linear in each argument, so every derivative runs on the same kernels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight

from cuda_ops import _library
from cuda_ops.dispatch import Operator

Convolutions = Literal["auto", "direct"]
"""``auto``: Winograd's where they are the faster; ``direct``: torch's own everywhere."""

LEAST_CHANNELS = 16  # of inputs and outputs: the kernels pad them to multiples of that
LEAST_IMAGES, LEAST_WIDTH = 8, 32  # where one side has fewer channels, as in a first layer; and channels of the other
LEAST_PIXELS = 64  # in a plane of all images together
WEIGHTS_PER_PIXEL = 64  # at most so many pairs of channels: their transform is shared by the pixels
LEAST_FILLED = 0.5  # share of the 4 x 4 tiles that is image
"""Where Winograd's is the faster on one thread, with AVX-512 and AVX2 alike; docs/KERNELS.md has the measurement."""

_used: Convolutions = "auto"


def use_convolutions(which: Convolutions) -> None:
    """Choose the 3x3 convolutions of this process from here on: ``auto`` or ``direct``."""
    global _used
    _used = which


def used_convolutions() -> Convolutions:
    """The convolutions that this process uses: ``auto`` or ``direct``."""
    return _used


@contextmanager
def convolutions(which: Convolutions) -> Iterator[None]:
    """Within the block the process uses these convolutions, unless another choice is made; then those of before."""
    before = used_convolutions()
    use_convolutions(which)
    try:
        yield
    finally:
        use_convolutions(before)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Cross-correlate ``x`` with ``weight``, with a border of one zero.

    Args:
        x: Images [N, I, H, W].
        weight: Kernels [O, I, 3, 3] of the same type.
        bias: Added to each channel [O]; nothing if None.

    Returns:
        [N, O, H, W]. On a CPU, in float32 and where it is the faster, by Winograd's algorithm, with the same bits for
        any number of threads; otherwise torch's convolution. Differentiable to any order, in every mode.
    """
    n, inputs, height, width = x.shape
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    fits = plain and pays(n, inputs, height, width, len(weight))
    if _used == "direct" or not fits or not _library.has_kernels("cpu"):
        return F.conv2d(x, weight, bias, padding=1)
    result: Tensor = torch.ops.glad.conv3x3(x, weight, bias)
    return result


def pays(n: int, inputs: int, height: int, width: int, outputs: int) -> bool:
    """Whether Winograd's is the faster for images [n, inputs, height, width], with all its derivatives."""
    pixels, tiled = n * height * width, 16 * n * -(-height // 4) * -(-width // 4)
    wide = min(inputs, outputs) >= LEAST_CHANNELS or (n >= LEAST_IMAGES and max(inputs, outputs) >= LEAST_WIDTH)
    return wide and pixels >= max(LEAST_PIXELS, inputs * outputs / WEIGHTS_PER_PIXEL, LEAST_FILLED * tiled)


def _single(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if _single(x):
        narrow = weight.shape[1] < LEAST_CHANNELS  # the transforms would cost more than they save
        y: Tensor = (
            torch.ops.glad.narrow_conv(x, weight, bias) if narrow else torch.ops.glad.winograd(x, weight, bias, False)
        )
        return y
    return F.conv2d(x, weight, bias, padding=1)


def _input_grad(g: Tensor, weight: Tensor) -> Tensor:
    """The transposed convolution: that with the kernels turned round."""
    if _single(g):
        dx: Tensor = torch.ops.glad.winograd(g, weight, None, True)
        return dx
    return conv2d_input((len(g), weight.shape[1], *g.shape[2:]), weight, g, padding=1)


def _weight_grad(g: Tensor, x: Tensor) -> Tensor:
    shape = (g.shape[1], x.shape[1], 3, 3)
    if _single(x):
        dw: Tensor = torch.ops.glad.winograd_weight_grad(g, x)
        return dw
    return conv2d_weight(x, shape, g, padding=1)


def _fake(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(len(x), len(weight), *x.shape[2:])


def _input_grad_fake(g: Tensor, weight: Tensor) -> Tensor:
    return g.new_empty(len(g), weight.shape[1], *g.shape[2:])


def _weight_grad_fake(g: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(g.shape[1], x.shape[1], 3, 3)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """What the gradient in the other argument needs; the first two arguments are those that are multiplied."""
    first, second = ctx.needs_input_grad[:2]
    ctx.save_for_backward(inputs[0] if second else None, inputs[1] if first else None)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    dx = torch.ops.glad.conv3x3_input_grad(g, weight) if ctx.needs_input_grad[0] else None
    dw = torch.ops.glad.conv3x3_weight_grad(g, x) if ctx.needs_input_grad[1] else None
    return dx, dw, g.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None


def _input_grad_backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
    g, weight = ctx.saved_tensors
    dg = torch.ops.glad.conv3x3(u, weight, None) if ctx.needs_input_grad[0] else None
    return dg, torch.ops.glad.conv3x3_weight_grad(g, u) if ctx.needs_input_grad[1] else None


def _weight_grad_backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
    g, x = ctx.saved_tensors
    dg = torch.ops.glad.conv3x3(x, u, None) if ctx.needs_input_grad[0] else None
    return dg, torch.ops.glad.conv3x3_input_grad(g, u) if ctx.needs_input_grad[1] else None


def _jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor | None:
    (x, weight, _), (of_x, of_weight, of_bias) = inputs, tangents
    product = _product(torch.ops.glad.conv3x3, (x, weight), (of_x, of_weight), None)
    if of_bias is None:
        return product
    shift = of_bias[:, None, None].expand(_fake(*inputs).shape)
    return shift if product is None else product + shift


def _product(operator: Any, factors: Sequence[Any], tangents: Sequence[Any], *rest: Any) -> Tensor | None:
    """The tangent of an operator that is linear in each of its two factors; None for zeros."""
    (a, b), (of_a, of_b) = factors, tangents
    terms = [operator(of_a, b, *rest)] if of_a is not None else []
    terms += [operator(a, of_b, *rest)] if of_b is not None else []
    return sum(terms[1:], terms[0]) if terms else None


_library.register(Operator("conv3x3", _forward, _fake, _backward, _setup, _jvp, axes=("nchw", "", "")))
_library.register(
    Operator(
        *("conv3x3_input_grad", _input_grad, _input_grad_fake, _input_grad_backward, _setup),
        lambda inputs, tangents: _product(torch.ops.glad.conv3x3_input_grad, inputs, tangents),
        axes=("nchw", ""),
    )
)
_library.register(
    Operator(
        *("conv3x3_weight_grad", _weight_grad, _weight_grad_fake, _weight_grad_backward, _setup),
        lambda inputs, tangents: _product(torch.ops.glad.conv3x3_weight_grad, inputs, tangents),
        axes=("", ""),
        results=("",),
    )
)


def _winograd_reference(x: Tensor, weight: Tensor, bias: Tensor | None, turned: bool) -> Tensor:
    return F.conv2d(x, weight.transpose(0, 1).flip(2, 3) if turned else weight, bias, padding=1)


def _winograd_fake(x: Tensor, weight: Tensor, bias: Tensor | None, turned: bool) -> Tensor:
    return x.new_empty(len(x), weight.shape[1 if turned else 0], *x.shape[2:])


def _winograd_weight_grad_reference(g: Tensor, x: Tensor) -> Tensor:
    return conv2d_weight(x, (g.shape[1], x.shape[1], 3, 3), g, padding=1)


_library.register(Operator("winograd", _winograd_reference, _winograd_fake, axes=("nchw", "", "")))
_library.register(Operator("narrow_conv", partial(F.conv2d, padding=1), _fake, axes=("nchw", "", "")))
_library.register(
    Operator(
        *("winograd_weight_grad", _winograd_weight_grad_reference, _weight_grad_fake),
        axes=("", ""),
        results=("",),
    )
)
