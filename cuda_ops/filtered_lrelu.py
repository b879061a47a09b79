"""Leaky ReLU between an up-sampling and a down-sampling filter: StyleGAN3's alias-free nonlinearity."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cuda_ops.bias_act import bias_act
from cuda_ops.upfirdn2d import upfirdn2d, upfirdn2d_ref

_SQRT2 = 2.0**0.5

# Bytes of the up-sampled map beyond which the backward pass computes it again instead of finding it in memory.
_RECOMPUTE_ABOVE = 256 * 2**20


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
    """:func:`filtered_lrelu` as published, from the reference operators: the oracle of the tests."""
    x = bias_act(x, b)
    x = upfirdn2d_ref(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    x = bias_act(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp)
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
    as in :func:`cuda_ops.upfirdn2d`; ``padding`` counts samples of the up-sampled grid and is not biased. The
    up-sampling keeps the mean (gain ``up**2``). Returns ``[N, C, H', W']`` with
    ``W' = (W * up + x0 + x1 - (fu_w - 1) - (fd_w - 1) + down - 1) // down``; differentiable in ``x`` and ``b`` to any
    order. ``slope=1, gain=1`` is resampling with a clamp. Raises ``ValueError`` as its parts do.
    """
    inputs = (x, fu, fd, b, up, down, padding, gain, slope, clamp, flip_filter)
    if torch.is_grad_enabled() and x.numel() * x.element_size() * up**2 > _RECOMPUTE_ABOVE:
        result: Tensor = checkpoint(_composed, *inputs, use_reentrant=False, preserve_rng_state=False)
        return result
    return _composed(*inputs)


def _composed(
    x: Tensor,
    fu: Tensor | None,
    fd: Tensor | None,
    b: Tensor | None,
    up: int,
    down: int,
    padding: int | Sequence[int],
    gain: float,
    slope: float,
    clamp: float | None,
    flip_filter: bool,
) -> Tensor:
    # A leaky ReLU commutes with a positive gain, which in the filter costs no pass over the up-sampled map.
    folded = gain if gain > 0 else 1.0
    x = bias_act(x, b)
    x = upfirdn2d(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2 * folded)
    x = bias_act(x, act="lrelu", alpha=slope, gain=gain / folded, clamp=clamp)
    return upfirdn2d(x, fd, down=down, flip_filter=flip_filter)
