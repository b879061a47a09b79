"""Bias, activation, gain and clamp in one pass over memory (StyleGAN2/3's pointwise operator)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from cuda_ops import _library
from cuda_ops._batching import apart, one_by_one, side_by_side
from cuda_ops.dispatch import Operator, tangent

_SQRT2 = 2.0**0.5
_SELU, _SELU_BELOW = 1.0507009873554805, 1.0507009873554805 * 1.6732632423543772

Function = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Activation:
    """An activation of ``(x, alpha)``, its first and second derivative, and the default ``alpha`` and ``gain``."""

    function: Function
    first: Function
    second: Function
    alpha: float = 0.0
    gain: float = 1.0


def _zero(x: Tensor, alpha: float) -> Tensor:
    return torch.zeros_like(x)


def _slope(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > 0, x.new_ones(()), x.new_full((), alpha))


def _sigmoid1(x: Tensor, alpha: float = 0.0) -> Tensor:
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _sigmoid2(x: Tensor, alpha: float = 0.0) -> Tensor:
    return _sigmoid1(x) * (1 - 2 * torch.sigmoid(x))


def _tanh1(x: Tensor, alpha: float = 0.0) -> Tensor:
    return 1 - torch.tanh(x).square()


def _exponential(scale: float, below: float, order: int) -> Function:
    above = scale if order == 1 else 0.0
    return lambda x, alpha: torch.where(x > 0, torch.full_like(x, above), below * torch.exp(x.clamp(max=0)))


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, alpha: x, lambda x, alpha: torch.ones_like(x), _zero),
    "relu": Activation(lambda x, alpha: torch.relu(x), lambda x, alpha: _slope(x, 0.0), _zero, gain=_SQRT2),
    "lrelu": Activation(lambda x, alpha: F.leaky_relu(x, alpha), _slope, _zero, alpha=0.2, gain=_SQRT2),
    "tanh": Activation(lambda x, alpha: torch.tanh(x), _tanh1, lambda x, alpha: -2 * torch.tanh(x) * _tanh1(x)),
    "sigmoid": Activation(lambda x, alpha: torch.sigmoid(x), _sigmoid1, _sigmoid2),
    "elu": Activation(lambda x, alpha: F.elu(x), _exponential(1.0, 1.0, 1), _exponential(1.0, 1.0, 2)),
    "selu": Activation(
        lambda x, alpha: F.selu(x), _exponential(_SELU, _SELU_BELOW, 1), _exponential(_SELU, _SELU_BELOW, 2)
    ),
    "softplus": Activation(lambda x, alpha: F.softplus(x), lambda x, alpha: torch.sigmoid(x), _sigmoid1),
    "swish": Activation(
        lambda x, alpha: torch.sigmoid(x) * x,
        lambda x, alpha: torch.sigmoid(x) + x * _sigmoid1(x),
        lambda x, alpha: 2 * _sigmoid1(x) + x * _sigmoid2(x),
        gain=_SQRT2,
    ),
}


def bias_act_ref(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """``bias_act`` step by step in plain torch, each step with torch's own derivative: the oracle of the tests."""
    alpha, gain = check_call(x, b, dim, act, alpha, gain, clamp)
    x = ACTIVATIONS[act].function(_add_bias(x, b, dim % max(x.ndim, 1)), alpha)
    x = x * gain if gain != 1 else x
    return x if clamp is None else x.clamp(-clamp, clamp)


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Add ``b`` along ``dim``, apply ``act``, multiply by ``gain``, clamp to ``[-clamp, clamp]``.

    ``x`` has any shape and floating type, ``b`` is ``[x.shape[dim]]`` or ``None``. ``act`` is a key of
    ``ACTIVATIONS``; ``alpha`` (the slope of ``lrelu``) and ``gain`` default to the activation's own, ``clamp=None``
    switches the clamp off. The gain acts before the clamp; the gradient is zero where clamped and passes at equality.
    Returns a tensor like ``x``, differentiable in ``x`` and ``b`` to any order. Raises ``ValueError`` on an unknown
    activation, a bias of another length, or a negative clamp.
    """
    alpha, gain = check_call(x, b, dim, act, alpha, gain, clamp)
    _library.load(x.device.type)
    b = None if b is None else b.to(x.dtype).contiguous()
    result: Tensor = torch.ops.glad.bias_act(x, b, dim % max(x.ndim, 1), act, alpha, gain, clamp)
    return result


def check_call(
    x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float | None, gain: float | None, clamp: float | None
) -> tuple[float, float]:
    """Alpha and gain; ``ValueError`` where the arguments do not fit each other."""
    if act not in ACTIVATIONS:
        raise ValueError(f"unknown activation {act!r}: one of {', '.join(ACTIVATIONS)}")
    if not x.is_floating_point():
        raise ValueError(f"x must be a floating-point tensor, not {x.dtype}")
    if clamp is not None and clamp < 0:
        raise ValueError(f"clamp must be at least 0 or None, not {clamp}")
    if b is not None:
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(f"dim {dim} is outside a tensor of {x.ndim} dimensions")
        if b.shape != (x.shape[dim],):
            raise ValueError(f"bias has shape {tuple(b.shape)}, x has {x.shape[dim]} entries along dim {dim}")
        if b.device != x.device:
            raise ValueError(f"bias is on {b.device}, x on {x.device}")
    spec = ACTIVATIONS[act]
    return (spec.alpha if alpha is None else float(alpha)), (spec.gain if gain is None else float(gain))


def _add_bias(x: Tensor, b: Tensor | None, dim: int) -> Tensor:
    if b is None:
        return x
    return x + b.to(x.dtype).reshape([x.shape[dim] if i == dim else 1 for i in range(x.ndim)])


def _forward(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float | None) -> Tensor:
    y = bias_act_ref(x, b, dim, act, alpha, gain, clamp)
    return y.clone() if y is x else y


def _fake(x: Tensor, b: Tensor | None, *rest: Any) -> Tensor:
    return torch.empty_like(x)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, b, *ctx.rest = inputs
    ctx.save_for_backward(x, b)


def _backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    x, b = ctx.saved_tensors
    dx = torch.ops.glad.bias_act_grad(g, x, b, *ctx.rest, 1)
    return dx, _bias_grad(ctx.needs_input_grad[1], dx, ctx.rest[0]), None, None, None, None, None


def _bias_grad(needed: bool, dx: Tensor, dim: int) -> Tensor | None:
    return dx.sum([i for i in range(dx.ndim) if i != dim]) if needed and dx.ndim > 1 else dx if needed else None


def _derivative(
    g: Tensor,
    x: Tensor,
    b: Tensor | None,
    dim: int,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
    order: int,
) -> Tensor:
    """``g`` times the order-th derivative of the activation, zero where clamped."""
    spec, x = ACTIVATIONS[act], _add_bias(x, b, dim)
    y = ((spec.first if order == 1 else spec.second)(x, alpha) * g).mul_(gain)
    return y if clamp is None else y.masked_fill_((spec.function(x, alpha) * gain).abs_() > clamp, 0.0)


def _derivative_like_x(*inputs: Any) -> Tensor:
    y, x = _derivative(*inputs), inputs[1]
    return y if y.stride() == x.stride() else torch.empty_like(x).copy_(y)


def _derivative_fake(g: Tensor, x: Tensor, b: Tensor | None, *rest: Any) -> Tensor:
    return torch.empty_like(x)


def _derivative_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    g, x, b, *ctx.rest = inputs
    ctx.save_for_backward(g, x, b)


def _derivative_backward(ctx: Any, gg: Tensor) -> tuple[Any, ...]:
    (g, x, b), (*rest, order) = ctx.saved_tensors, ctx.rest
    dg = torch.ops.glad.bias_act_grad(gg, x, b, *rest, order) if ctx.needs_input_grad[0] else None
    dx = None
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        if ACTIVATIONS[rest[1]].second is _zero:
            dx = torch.zeros_like(x)
        elif order == 1:
            dx = torch.ops.glad.bias_act_grad(gg * g, x, b, *rest, 2)
        else:  # the third derivative and all above are torch's own of the second
            y, pull, *_ = torch.func.vjp(lambda at: _derivative(gg * g, at, b, *ctx.rest), x)
            dx = pull(torch.ones_like(y))[0]
    db = None if dx is None else _bias_grad(ctx.needs_input_grad[2], dx, rest[0])
    return dg, dx, db, None, None, None, None, None, None


def bias_tangent(x: Tensor, of_x: Tensor | None, of_b: Tensor | None, dim: int) -> Tensor:
    """The tangent of ``x + b``, ``b`` along ``dim``, from those of both, of which one may be None."""
    if of_x is not None:
        return _add_bias(of_x, of_b, dim)
    return _add_bias(torch.zeros_like(x), of_b, dim)


def _jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor:
    x, b, dim, *rest = inputs
    result: Tensor = torch.ops.glad.bias_act_grad(bias_tangent(x, tangents[0], tangents[1], dim), x, b, dim, *rest, 1)
    return result


def _derivative_jvp(inputs: Sequence[Any], tangents: Sequence[Any]) -> Tensor | None:
    g, x, b, dim, *rest, order = inputs
    result: Tensor | None = None
    if tangents[0] is not None:
        result = torch.ops.glad.bias_act_grad(tangents[0], x, b, dim, *rest, order)
    if all(t is None for t in tangents[1:3]) or ACTIVATIONS[rest[0]].second is _zero:
        return result
    v = bias_tangent(x, tangents[1], tangents[2], dim)
    if order == 1:
        rise: Tensor = torch.ops.glad.bias_act_grad(g * v, x, b, dim, *rest, 2)
    else:
        rise = tangent(lambda at: _derivative(g, at, *inputs[2:]), forward_ad.make_dual(x, v, level=0))
    return rise if result is None else result + rise


def _vmap(images: int, name: str) -> Callable[..., tuple[Tensor, int]]:
    """The rule for vmap of an operator that has ``images`` tensors like x before the bias."""

    def rule(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Tensor, int]:
        (*xs, b, dim), rest, count = arguments[: images + 2], arguments[images + 2 :], info.batch_size
        call, placed = getattr(torch.ops.glad, name), list(zip(xs, in_dims[:images], strict=True))
        if b is None or in_dims[images] is None:  # an axis more in front
            front = (x.expand(count, *x.shape) if d is None else x.movedim(d, 0) for x, d in placed)
            return call(*front, b, dim + 1, *rest), 0
        if not count:
            return one_by_one(call, count, in_dims, arguments)
        beside = (side_by_side(x, d, dim, count) for x, d in placed)
        return apart(call(*beside, side_by_side(b, in_dims[images], 0, count), dim, *rest), dim, count), dim

    return rule


_library.register(Operator("bias_act", _forward, _fake, _backward, _setup, _jvp, vmap=_vmap(1, "bias_act")))
_library.register(
    Operator(
        "bias_act_grad",
        *(_derivative_like_x, _derivative_fake, _derivative_backward, _derivative_setup, _derivative_jvp),
        vmap=_vmap(2, "bias_act_grad"),
    )
)
