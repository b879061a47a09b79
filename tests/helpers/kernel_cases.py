"""What the tests of the CUDA kernels have in common: inputs, tolerances, and one check per operator."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emulation
import pytest
import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from cuda_ops._build import OLDEST_TORCH
from cuda_ops.bias_act import bias_act_ref
from cuda_ops.upfirdn2d import upfirdn2d_ref

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
TOO_OLD = TorchVersion(torch.__version__) < OLDEST_TORCH
NEEDS_COMPILER = pytest.mark.skipif(
    emulation.compiler() is None or TOO_OLD,
    reason=f"torch is older than {OLDEST_TORCH}" if TOO_OLD else "no C++ compiler: set CXX or install g++",
)


def random(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def assert_close(y: Tensor, exact: Tensor, terms: Tensor) -> None:
    """Within rounding of a sum whose terms' absolute values add up to ``terms``; NaN is never close."""
    accumulate = torch.float64 if y.dtype == torch.float64 else torch.float32
    tolerance = 8 * torch.finfo(accumulate).eps + torch.finfo(y.dtype).eps
    assert y.shape == exact.shape
    assert not y.isnan().any(), "an output element was never written, or met a sample outside the input"
    error = (y.double() - exact).abs() - tolerance * terms
    assert (error <= 0).all(), f"off by {error.max():.3g} beyond {tolerance:.3g} of the terms"


@dataclass(frozen=True)
class Resampling:
    """One call of upfirdn2d; ``taps`` is an int (separable), a pair (fh, fw), or ``None``."""

    shape: tuple[int, int, int, int]
    up: tuple[int, int]
    down: tuple[int, int]
    taps: int | tuple[int, int] | None
    padding: tuple[int, int, int, int]
    flip: bool = False
    gain: float = 1.0

    def filter(self, dtype: torch.dtype = torch.float32) -> Tensor | None:
        if self.taps is None:
            return None
        return random((self.taps,) if isinstance(self.taps, int) else self.taps, dtype, seed=1)


def check_upfirdn2d(kernels: Any, x: Tensor, f: Tensor | None, case: Resampling) -> Tensor:
    arguments = (case.up, case.down, case.padding, case.flip, case.gain)
    y = kernels.upfirdn2d(x, f, *map(list, arguments[:3]), case.flip, case.gain)
    taps = None if f is None else f.double()
    exact = upfirdn2d_ref(x.double(), taps, *arguments)
    terms = upfirdn2d_ref(x.double().abs(), None if taps is None else taps.abs(), *arguments[:4], abs(case.gain))
    assert_close(y, exact, terms)
    return y


def act_reference(
    g: Tensor, x: Tensor, b: Tensor | None, dim: int, act: str, scalars: tuple[float, float, float | None], order: int
) -> Tensor:
    """The derivative of the given order times ``g``, by autograd in float64; ``scalars``: alpha, gain, clamp."""
    x = x.double().requires_grad_()
    y = bias_act_ref(x, None if b is None else b.double(), dim, act, *scalars)
    for _ in range(order):
        if not y.requires_grad:
            return torch.zeros_like(x)
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return (y * g.double() if order else y).detach()


def check_bias_act(
    kernels: Any, x: Tensor, b: Tensor | None, dim: int, act: str, scalars: tuple[float, float, float | None]
) -> None:
    g = torch.empty_like(x).copy_(random(tuple(x.shape), x.dtype, seed=5))
    bias = 0 if b is None else b.double().reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    terms = abs(scalars[1]) * (2 + x.double().abs() + abs(bias))  # each activation is a few terms of this size
    for order in range(3):
        call = (x, b, dim, act, *scalars)
        y = kernels.bias_act_grad(g, *call, order) if order else kernels.bias_act(*call)
        exact = act_reference(g, x, b, dim, act, scalars, order)
        assert_close(y, exact, 2 * terms * (g.double().abs() if order else 1))
        assert y.stride() == x.stride()


def sanitized(sanitizers: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the emulator's executable, built under ``-fsanitize=sanitizers``, with OPERATOR SCHEDULE BUG."""
    if not emulation.sanitizer_works(sanitizers, folder):
        pytest.skip(f"no program runs under -fsanitize={sanitizers} here")
    executable = emulation.build_sanitized(sanitizers, folder)
    environment = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1"}
    return subprocess.run([executable, *arguments], env=environment, capture_output=True, text=True, check=False)
