"""filtered_lrelu's kernels on the host, how far from exact a call may be, and the calls."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import emulation
import torch
from emulation import DTYPES, NO_CLAMP, Output, dense_strides, fenced
from torch import Tensor

from cuda_ops.filtered_lrelu import filtered_lrelu_ref
from cuda_ops.upfirdn2d import upfirdn2d_ref

MODES = FORWARD, JACOBIAN, TRANSPOSED = range(3)


# ---- the emulated operators


class _Strides(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64) for name in "nchw")


class _Params(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "v", "b", "fu", "fd", "y")),
        *((name, _Strides) for name in ("xs", "vs", "ys")),
        *((name, ctypes.c_int64) for name in ("planes", "channels", "xh", "xw", "vh", "vw", "yh", "yw")),
        *((name, ctypes.c_int) for name in ("up", "down", "nu", "nd")),
        *((name, ctypes.c_int64) for name in ("pad_x", "pad_y")),
        *((name, ctypes.c_int) for name in ("fu_double", "fd_double", "flip")),
        *((name, ctypes.c_double) for name in ("gain", "slope", "clamp")),
    )


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _filter(f: Tensor | None) -> tuple[Tensor | None, int, bool]:
    return (None, 1, False) if f is None else (fenced(f), f.shape[0], f.dtype == torch.float64)


class Emulator(emulation.Emulator):
    """With the signatures of ``torch.ops.glad``; ``streamed`` tells which kernel the last call took."""

    streamed = False
    in_place = False  # True: read x where it lies, without margins

    def filtered_lrelu(self, x: Tensor, *arguments: Any) -> Tensor:
        return self._run(FORWARD, None, x, *arguments)

    def filtered_lrelu_jacobian(self, v: Tensor, x: Tensor, *arguments: Any) -> Tensor:
        return self._run(TRANSPOSED if arguments[-1] else JACOBIAN, v, x, *arguments[:-1])

    def _run(
        self,
        mode: int,
        v: Tensor | None,
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
        flip: bool,
    ) -> Tensor:
        n, c, h, w = x.shape
        x = x if self.in_place else fenced(x, self.offset)
        v = None if v is None else fenced(v, self.offset)
        b = None if b is None else fenced(b)
        (fu, nu, fu_double), (fd, nd, fd_double) = _filter(fu), _filter(fd)
        height = (h * up + sum(padding[2:]) - (nu - 1) - (nd - 1) + down - 1) // down
        width = (w * up + sum(padding[:2]) - (nu - 1) - (nd - 1) + down - 1) // down
        shape = (n, c, h, w) if mode == TRANSPOSED else (n, c, height, width)
        y = Output.of(shape, dense_strides(shape, _is_channels_last(x)), x.dtype, self.offset)
        pointers = (None if t is None else t.data_ptr() for t in (x, v, b, fu, fd, y.view))
        strides = (_Strides() if t is None else _Strides(*t.stride()) for t in (x, v, y.view))
        sizes = (n * c, c, h, w, *((0, 0) if v is None else v.shape[2:]), *shape[2:])
        numbers = (up, down, nu, nd, padding[0], padding[2], fu_double, fd_double, flip, gain, slope)
        params = _Params(*pointers, *strides, *sizes, *numbers, NO_CLAMP if clamp is None else clamp)
        self.streamed = bool(self.library.glad_emu_filtered_lrelu_streams(ctypes.byref(params), DTYPES[x.dtype]))
        self.call("filtered_lrelu", ctypes.byref(params), DTYPES[x.dtype], mode)
        return y.result()


# ---- one call, and how far from exact it may be


@dataclass(frozen=True)
class Case:
    """One call; ``nu`` and ``nd`` are the filters' lengths, 0 for none."""

    shape: tuple[int, int, int, int]
    up: int
    down: int
    nu: int
    nd: int
    padding: tuple[int, int, int, int]
    gain: float = 2**0.5
    slope: float = 0.2
    clamp: float | None = 0.8
    flip: bool = False
    bias: bool = True

    def __str__(self) -> str:
        pads = "_".join(map(str, self.padding))
        return f"{'x'.join(map(str, self.shape))}-u{self.up}d{self.down}-{self.nu}-{self.nd}-{pads}"


def random(shape: Sequence[int], dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def magnitude(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.double().abs()


def transposed(function: Callable[[Tensor], Tensor], shape: Sequence[int], v: Tensor) -> Tensor:
    """The transpose of a linear function of tensors of ``shape``, applied to ``v``."""
    x = torch.zeros(tuple(shape), dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(function(x), x, v)[0]


class Exact:
    """A case in float64: results by the reference and its autograd, and the size of what is summed up."""

    def __init__(self, case: Case, x: Tensor, fu: Tensor | None, fd: Tensor | None, b: Tensor | None) -> None:
        self.case = case
        self.x = x.double().requires_grad_()
        self.linear = (None if fu is None else fu.double(), None if fd is None else fd.double())
        self.b = None if b is None else b.double()
        c = case
        self.y = filtered_lrelu_ref(
            self.x, *self.linear, self.b, c.up, c.down, c.padding, c.gain, c.slope, c.clamp, c.flip
        )

    def up(self, t: Tensor, fu: Tensor | None) -> Tensor:
        return upfirdn2d_ref(t, fu, self.case.up, 1, self.case.padding, self.case.flip, self.case.up**2)

    def down(self, t: Tensor, fd: Tensor | None) -> Tensor:
        return upfirdn2d_ref(t, fd, 1, self.case.down, 0, self.case.flip)

    def apply(self, mode: int, v: Tensor | None) -> Tensor:
        if mode == FORWARD or v is None:
            return self.y.detach()
        if v.numel() == 0:
            return torch.zeros_like(self.x if mode == TRANSPOSED else self.y).detach()
        if mode == TRANSPOSED:
            return torch.autograd.grad(self.y, self.x, v.double(), retain_graph=True)[0]
        cotangent = torch.zeros_like(self.y, requires_grad=True)
        (pulled,) = torch.autograd.grad(self.y, self.x, cotangent, create_graph=True)
        return torch.autograd.grad(pulled, cotangent, v.double())[0]

    def terms(self, mode: int, v: Tensor | None, tolerance: float) -> tuple[Tensor, Tensor]:
        """The sum of absolute values, and that of what hangs on mids so near to a kink that rounding decides."""
        fu, fd = (magnitude(f) for f in self.linear)
        bias = 0 if self.b is None else self.b[:, None, None]
        mid = self.up(self.x.detach() + bias, self.linear[0])
        size = self.up(self.x.detach().abs() + abs(bias), fu)
        gain = abs(self.case.gain)
        if mode == FORWARD or v is None:
            whole = self.down(gain * size, fd)
            return whole, torch.zeros_like(whole)
        near = mid.abs() <= tolerance * size
        if self.case.clamp is not None:
            value = gain * mid.abs() * torch.where(mid > 0, 1.0, self.case.slope)
            near |= (value - self.case.clamp).abs() <= tolerance * gain * size

        def through(weight: Tensor) -> Tensor:
            if mode == JACOBIAN:
                return self.down(weight * self.up(v.double().abs(), fu), fd)
            return transposed(lambda t: self.down(weight * self.up(t, fu), fd), self.x.shape, v.double().abs())

        return through(torch.full_like(mid, gain)), through(gain * near)


def check(kernels: Any, case: Case, dtype: torch.dtype, x: Tensor | None = None, modes: Sequence[int] = MODES) -> None:
    """All modes of a case within rounding of the exact result; NaN is never close."""
    x = random(case.shape, dtype) if x is None else x
    fu, fd = (random((n,), torch.float32, seed) if n else None for n, seed in ((case.nu, 1), (case.nd, 2)))
    b = random(case.shape[1:2], dtype, 3) if case.bias else None
    arguments = (fu, fd, b, case.up, case.down, list(case.padding), case.gain, case.slope, case.clamp, case.flip)
    exact = Exact(case, x, fu, fd, b)
    accumulate = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps
    for mode in modes:
        if mode == FORWARD:
            v, y = None, kernels.filtered_lrelu(x, *arguments)
        else:
            v = random(exact.y.shape if mode == TRANSPOSED else x.shape, dtype, 4)
            y = kernels.filtered_lrelu_jacobian(v, x, *arguments, mode == TRANSPOSED)
        expected, (whole, doubtful) = exact.apply(mode, v), exact.terms(mode, v, 8 * accumulate)
        assert y.dtype == dtype
        assert y.shape == expected.shape
        assert not y.isnan().any(), "an output element was never written, or met a sample outside the input"
        error = (y.double() - expected).abs() - (8 * accumulate + torch.finfo(dtype).eps) * whole - doubtful
        assert (error <= 0).all(), f"mode {mode}: off by {error.max():.3g} beyond rounding"
        last = torch.channels_last if _is_channels_last(x) else torch.contiguous_format
        assert y.is_contiguous(memory_format=last)


# ---- cases

# Layers of StyleGAN-XL and their neighbors, one specialized kernel each; several tiles and strips, ragged ends.
STREAMED = [
    Case((1, 2, 36, 36), 2, 2, 12, 12, (9, 8, 9, 8), clamp=256),
    Case((1, 1, 70, 153), 2, 2, 12, 12, (9, 8, 9, 8)),
    Case((1, 2, 41, 30), 2, 2, 12, 12, (11, 10, 11, 10), flip=True),
    Case((1, 2, 37, 44), 2, 2, 12, 12, (-11, -12, -11, -12)),
    Case((1, 1, 35, 131), 2, 2, 12, 12, (8, 9, 8, 9)),
    Case((1, 2, 17, 22), 2, 2, 11, 9, (8, 5, 9, 3)),
    Case((1, 2, 36, 36), 4, 2, 24, 12, (-6, -9, -6, -9), clamp=256),
    Case((1, 1, 40, 71), 4, 2, 24, 12, (-6, -9, -6, -9)),
    Case((1, 2, 9, 14), 4, 2, 24, 12, (14, 12, 15, 9), flip=True),
    Case((1, 2, 10, 9), 4, 2, 21, 7, (13, 12, 16, 9)),
    Case((1, 1, 6, 5), 2, 2, 0, 4, (2, 3, 1, 3)),
]
GENERIC = [
    Case((2, 3, 9, 11), 1, 1, 0, 0, (0, 0, 0, 0), gain=1, slope=1),
    Case((1, 2, 9, 11), 2, 1, 12, 0, (6, 5, 6, 5)),
    Case((1, 2, 21, 18), 1, 2, 0, 12, (5, 6, 5, 6)),
    Case((1, 1, 40, 38), 1, 1, 5, 4, (4, 3, 4, 3)),
    Case((1, 2, 7, 8), 3, 2, 6, 5, (4, 7, -1, 9), flip=True),
    Case((1, 2, 8, 7), 2, 3, 7, 9, (8, 6, 7, 9)),
    Case((1, 1, 6, 7), 4, 4, 24, 24, (20, 19, 20, 22)),
    Case((1, 1, 5, 4), 8, 8, 30, 25, (24, 25, 26, 27)),
    Case((1, 1, 6, 9), 2, 2, 13, 12, (10, 9, 10, 9)),
    Case((1, 1, 9, 9), 2, 5, 3, 2, (2, 2, 2, 2)),
]
BASE, BASE4 = STREAMED[0], STREAMED[6]
SMALL, SMALL4 = replace(BASE, shape=(2, 3, 8, 12), clamp=0.8), replace(BASE4, shape=(2, 3, 14, 20), clamp=0.8)
EDGES = {
    "no clamp": replace(SMALL, clamp=None),
    "clamp 0": replace(SMALL, clamp=0.0),
    "no bias": replace(SMALL4, bias=False),
    "toRGB": replace(SMALL, gain=1.0, slope=1.0, clamp=1.0),
    "gain 0": replace(SMALL, gain=0.0),
    "negative gain": replace(SMALL4, gain=-1.5),
    "slope 0": replace(SMALL, slope=0.0),
    "negative slope": replace(SMALL4, slope=-0.5),
    "batch 0": replace(SMALL, shape=(0, 3, 8, 8)),
    "batch 0, generic": replace(GENERIC[3], shape=(0, 3, 8, 8)),
    "one pixel": replace(SMALL, shape=(2, 1, 1, 1), padding=(11, 11, 11, 11)),
    "one pixel, u4": replace(SMALL4, shape=(1, 2, 1, 1), padding=(17, 16, 17, 16)),
    "one pixel out": Case((1, 1, 5, 5), 2, 2, 12, 12, (7, 7, 7, 7)),
    "one row": replace(SMALL, shape=(1, 1, 1, 50), padding=(9, 8, 15, 12)),
    "one column": replace(SMALL, shape=(1, 1, 50, 1), padding=(15, 12, 9, 8)),
    "cropped to a corner": replace(SMALL, shape=(1, 1, 30, 30), padding=(-21, 0, 3, -13)),
    "far outside": replace(SMALL, shape=(1, 1, 4, 4), padding=(101, 30, 33, 90)),
    "far outside, u4": replace(SMALL4, shape=(1, 1, 4, 4), padding=(61, 30, 33, 70)),
    "cropped, generic": replace(GENERIC[3], padding=(-3, 4, 6, -5)),
    "wide": replace(SMALL, shape=(1, 1, 3, 1800), padding=(9, 8, 12, 11)),
    "wide, u4": replace(SMALL4, shape=(1, 1, 3, 1000), padding=(-6, -9, 12, 11)),
    "tall": replace(SMALL, shape=(1, 1, 700, 3), padding=(12, 11, 9, 8)),
    "many planes": replace(SMALL, shape=(5, 7, 6, 6)),
}
