"""Instance norm, ReLU and 2x2 mean in one pass over memory: what follows each convolution of the field's ConvNet."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ops import _library
from cuda_ops.dispatch import Operator

EPS = 1e-5


def norm_relu_pool_ref(x: Tensor, weight: Tensor, bias: Tensor, eps: float = EPS) -> Tensor:
    """``norm_relu_pool`` step by step in plain torch, each step with torch's own derivative."""
    return F.avg_pool2d(F.relu(F.group_norm(x, x.shape[1], weight, bias, eps)), 2)


def norm_relu_pool(x: Tensor, weight: Tensor, bias: Tensor, eps: float = EPS) -> Tensor:
    """Normalize each plane of ``x`` [N, C, H, W], scale and shift it per channel, clamp below 0, and average 2x2.

    ``weight`` and ``bias`` are [C]. Returns [N, C, H // 2, W // 2]. On a CPU, in float32 or float64 with even sides, it
    runs on kernels that go through each plane in the first cache, its first and second derivatives too; the third and
    all above are torch's own, and slower. Everything else, other devices included, is ``norm_relu_pool_ref``.
    """
    fits = x.dtype in (torch.float32, torch.float64) and not (x.shape[2] | x.shape[3]) % 2
    fits = fits and all(v.dtype == x.dtype and v.shape == (x.shape[1],) for v in (weight, bias))
    if x.device.type != "cpu" or not fits or not _library.has_kernels("cpu"):
        return norm_relu_pool_ref(x, weight, bias, eps)
    result: Tensor = torch.ops.glad.norm_relu_pool(x, weight.contiguous(), bias.contiguous(), eps)
    return result


def _fake(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], x.shape[2] // 2, x.shape[3] // 2)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    dx, dweight, dbias = torch.ops.glad.norm_relu_pool_grad(g, *ctx.saved_tensors, ctx.eps)
    return dx, dweight.sum(0), dbias.sum(0), None


def _grad_reference(g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients in x, and per plane in weight and bias [N, C]."""
    normal, rate = _normalize(x, eps)
    t = _spread(g, normal, weight, bias)
    mean, slope = t.mean((2, 3), True), (t * normal).mean((2, 3), True)
    dx = _column(weight) * rate * (t - mean - normal * slope)
    return dx, (t * normal).sum((2, 3)), t.sum((2, 3))


def _grad_grad_reference(
    u: Tensor, p: Tensor, q: Tensor, g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of <u, dx> + <p, dweight> + <q, dbias> in g, x, and per plane in weight [N, C]."""
    (normal, rate), count = _normalize(x, eps), x.shape[2] * x.shape[3]
    scale, p, q = _column(weight) * rate, p[..., None, None], q[..., None, None]
    t = _spread(g, normal, weight, bias)
    slope, h = (u * normal).mean((2, 3), True), (t * normal).mean((2, 3), True)
    rest = u - u.mean((2, 3), True) - normal * slope
    along = (t * rest).sum((2, 3), True)
    active = normal * _column(weight) + _column(bias) > 0
    dg = F.avg_pool2d(active * (scale * rest + p * normal + q), 2)
    e = p * t - scale * (t * slope + h * u)
    dx = rate * (e - e.mean((2, 3), True) - normal * (e * normal).mean((2, 3), True))
    return dg, dx - _column(weight) * along * rate.square() * normal / count, (rate * along).flatten(1)


def _column(channels: Tensor) -> Tensor:
    return channels[:, None, None]


def _normalize(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Planes of mean 0 and deviation 1, and what they were multiplied with."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    rate = (variance + eps).rsqrt()
    return (x - mean) * rate, rate


def _spread(g: Tensor, normal: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The gradient in what the norm gives, from that in the output."""
    wide = g.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    return wide * (normal * _column(weight) + _column(bias) > 0)


def _grad_fake(g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(x.shape[:2]), x.new_empty(x.shape[:2])


def _grad_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _grad_backward(ctx: Any, u: Tensor | None, p: Tensor | None, q: Tensor | None) -> tuple[Any, ...]:
    x = ctx.saved_tensors[1]
    directions = _materialize(x, u, p, q)
    dg, dx, dweight = torch.ops.glad.norm_relu_pool_grad_grad(*directions, *ctx.saved_tensors, ctx.eps)
    return dg, dx, dweight.sum(0), None, None  # the bias only decides what is active


def _materialize(x: Tensor, u: Tensor | None, p: Tensor | None, q: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """A direction in x, weight and bias with zeros for what is None; the last two per channel [C] or plane [N, C]."""
    planes = x.shape[:2]
    p, q = (x.new_zeros(planes) if v is None else v.expand(planes) for v in (p, q))
    return torch.zeros_like(x) if u is None else u, p, q


def _jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor:
    """The operator of second derivatives has it: the gradient in g of the gradients' product with the tangents."""
    x, weight, bias, eps = inputs
    directions = _materialize(x, *tangents[:3])
    g = x.new_zeros(_fake(*inputs).shape)
    result: Tensor = torch.ops.glad.norm_relu_pool_grad_grad(*directions, g, x, weight, bias, eps)[0]
    return result


def _grad_jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients are linear in g; in the rest they change by the Hessian, which is symmetric."""
    g, x, weight, bias, eps = inputs
    terms = []
    if tangents[0] is not None:
        terms.append(torch.ops.glad.norm_relu_pool_grad(tangents[0], x, weight, bias, eps))
    if any(tangent is not None for tangent in tangents[1:4]):
        directions = _materialize(x, *tangents[1:4])
        _, dx, dweight = torch.ops.glad.norm_relu_pool_grad_grad(*directions, g, x, weight, bias, eps)
        terms.append((dx, dweight, x.new_zeros(x.shape[:2])))
    dx, dweight, dbias = (sum(parts) for parts in zip(*terms, strict=True))
    return dx, dweight, dbias


def _grad_grad_fake(
    u: Tensor, p: Tensor, q: Tensor, g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(g), torch.empty_like(x), x.new_empty(x.shape[:2])


_library.register(
    Operator("norm_relu_pool", norm_relu_pool_ref, _fake, _backward, _setup, _jvp, axes=("nchw", "c", "c"))
)
_library.register(
    Operator(
        *("norm_relu_pool_grad", _grad_reference, _grad_fake, _grad_backward, _grad_setup, _grad_jvp),
        axes=("nchw", "nchw", "c", "c"),
        results=("nchw", "nc", "nc"),
    )
)
_library.register(
    Operator(
        *("norm_relu_pool_grad_grad", _grad_grad_reference, _grad_grad_fake),
        axes=("nchw", "nc", "nc", "nchw", "nchw", "c", "c"),
        results=("nchw", "nchw", "nc"),
    )
)
