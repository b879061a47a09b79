"""Bias, activation, gain and clamp in one call (StyleGAN2/3's pointwise operator)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """An activation ``function(x, alpha)`` with its default ``alpha`` and ``gain``."""

    function: Callable[[Tensor, float], Tensor]
    alpha: float = 0.0
    gain: float = 1.0


_SQRT2 = 2.0**0.5

ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, alpha: x),
    "relu": Activation(lambda x, alpha: torch.relu(x), gain=_SQRT2),
    "lrelu": Activation(lambda x, alpha: F.leaky_relu(x, alpha), alpha=0.2, gain=_SQRT2),
    "tanh": Activation(lambda x, alpha: torch.tanh(x)),
    "sigmoid": Activation(lambda x, alpha: torch.sigmoid(x)),
    "elu": Activation(lambda x, alpha: F.elu(x)),
    "selu": Activation(lambda x, alpha: F.selu(x)),
    "softplus": Activation(lambda x, alpha: F.softplus(x)),
    "swish": Activation(lambda x, alpha: torch.sigmoid(x) * x, gain=_SQRT2),
}


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
    switches the clamp off. The gain acts before the clamp; the gradient is zero where clamped (exactly at the clamp,
    releases of torch differ).
    Returns a tensor like ``x``, differentiable twice. Raises ``ValueError`` on an unknown activation, a bias of
    another length, or a negative clamp.
    """
    if act not in ACTIVATIONS:
        raise ValueError(f"unknown activation {act!r}: one of {', '.join(ACTIVATIONS)}")
    if clamp is not None and clamp < 0:
        raise ValueError(f"clamp must be at least 0 or None, not {clamp}")
    if b is not None:
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(f"dim {dim} is outside a tensor of {x.ndim} dimensions")
        if b.shape != (x.shape[dim],):
            raise ValueError(f"bias has shape {tuple(b.shape)}, x has {x.shape[dim]} entries along dim {dim}")
        x = x + b.to(x.dtype).reshape([-1 if i == dim % x.ndim else 1 for i in range(x.ndim)])
    spec = ACTIVATIONS[act]
    x = spec.function(x, spec.alpha if alpha is None else alpha)
    gain = spec.gain if gain is None else gain
    x = x * gain if gain != 1 else x
    return x if clamp is None else x.clamp(-clamp, clamp)
