"""Every operator on this machine against its reference in plain torch: results, derivatives, and the gain in time."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cuda_ops.bias_act import bias_act, bias_act_ref
from cuda_ops.filtered_lrelu import filtered_lrelu, filtered_lrelu_ref
from cuda_ops.norm_relu_pool import norm_relu_pool, norm_relu_pool_ref
from cuda_ops.upfirdn2d import setup_filter, upfirdn2d, upfirdn2d_ref

TOLERANCE = 1e-4  # of the largest entry of the reference: float32 sums in another order
BINOMIAL = tuple(float(math.comb(11, k)) for k in range(12))  # twelve taps, as StyleGAN-XL's layers have
BATCH, CHANNELS, SIDE = 4, 32, 64
Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Checked:
    """One operator: its error relative to the reference's largest entry, and the seconds of both, there and back."""

    name: str
    error: float
    seconds: float
    reference: float

    @property
    def right(self) -> bool:
        """Whether results and derivatives agree."""
        return self.error <= TOLERANCE


def check_operators(device: torch.device | str = "cpu", seconds: float = 0.5) -> Iterator[Checked]:
    """Run each operator and its reference on the same input.

    Args:
        device: Where the operators run.
        seconds: Wall time for each operator, its reference included.

    Yields:
        What was found of each operator, float32.
    """
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=rng).to(device)
    scale, shift = (torch.randn(CHANNELS, generator=rng).to(device) for _ in range(2))
    f = setup_filter(BINOMIAL, device)
    sizes: dict[str, Any] = {"up": 2, "down": 2, "padding": [10, 10, 10, 10]}
    pairs: dict[str, tuple[Operator, Operator]] = {
        "upfirdn2d": _pair(upfirdn2d, upfirdn2d_ref, f, up=2, padding=[6, 5, 6, 5], gain=4.0),
        "bias_act": _pair(bias_act, bias_act_ref, shift, act="lrelu", clamp=256.0),
        "filtered_lrelu": _pair(filtered_lrelu, filtered_lrelu_ref, f, f, shift, **sizes),
        "norm_relu_pool": _pair(norm_relu_pool, norm_relu_pool_ref, scale, shift),
    }
    for name, (ours, reference) in pairs.items():
        with torch.no_grad():
            cotangent = torch.randn(reference(x).shape, generator=rng).to(device)
        error = max(_error(a, b) for a, b in zip(*(_vjp(one, x, cotangent) for one in (ours, reference)), strict=True))
        times = [_time(partial(_vjp, one, x, cotangent), x.device, seconds / 2) for one in (ours, reference)]
        yield Checked(name, error, *times)


def _pair(ours: Callable[..., Tensor], reference: Callable[..., Tensor], *rest: Any, **named: Any) -> Any:
    """Both as functions of the image alone."""
    return (lambda x: ours(x, *rest, **named)), (lambda x: reference(x, *rest, **named))


def _vjp(operator: Operator, x: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """The result, and ``cotangent`` pulled back to ``x``."""
    leaf = x.detach().requires_grad_()
    result = operator(leaf)
    return result.detach(), torch.autograd.grad(result, leaf, cotangent)[0]


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _time(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """The median seconds of ``call``, repeated for ``seconds`` and three times at least."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
