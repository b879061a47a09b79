"""The CUDA kernels on the host: builds ``cuda_ops/csrc/emu`` with g++ and calls it on torch tensors.

:class:`Emulator` reaches the launchers through ctypes; the same library registers the whole operators, from their
``.cu`` files, for CPU tensors and under another name.

Every buffer lies between margins. Around an input they are NaN, so that a stray read shows in the result; around an
output they hold a mark that must survive, and the output itself starts as NaN, so that a missing store shows.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TORCH = Path(torch.__file__).parent
CSRC = Path(__file__).resolve().parents[2] / "cuda_ops" / "csrc"
COMMON = ("entry", "misuse", "runtime")
OPERATORS = tuple(sorted({path.stem for path in (CSRC / "emu").glob("*.cpp")} - {*COMMON}))
DTYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
SCHEDULES = ("forward", "reversed", "shuffled")
ACTIVATIONS = ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish")
NO_CLAMP = -1.0

_FLAGS = ("-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-g1", "-pthread")
_MARGIN = 64
_MARK = 1234.0


# ---- building


def compiler() -> str | None:
    """The host compiler: ``$CXX`` or g++; ``None`` where there is neither."""
    return shutil.which(os.environ.get("CXX", "g++"))


def _dependencies(sources: Iterable[Path], stem: str) -> list[Path]:
    """The sources, the emulator's headers, what all kernels share, and the kernels of the name ``stem``."""
    shared = [CSRC / "cuda" / "launch.cuh", CSRC / "cuda" / "tensors.cuh", *(CSRC / "emu").glob("*.h")]
    return sorted([*sources, *shared, *(CSRC / "cuda").glob(f"{stem}*.cuh")])


def _compile(name: str, flags: Sequence[str], folder: Path, with_it: Sequence[str] = ()) -> Path:
    """Compile the source ``name`` of ``csrc``, and those of ``with_it`` into the same object: headers are read once."""
    source, others = CSRC / name, [CSRC / other for other in with_it]
    command = [str(compiler()), *_FLAGS, *flags, "-isystem", str(TORCH / "include")]
    command += [word for other in others for word in ("-include", str(other))]
    digest = hashlib.sha256("\0".join([*command, torch.__version__]).encode())
    for path in _dependencies([source, *others], source.stem):
        digest.update(path.read_bytes())
    target = folder / f"{source.name}-{digest.hexdigest()[:16]}.o"
    if not target.exists():
        scratch = target.with_suffix(f".{os.getpid()}")
        subprocess.run([*command, "-x", "c++", "-c", str(source), "-o", str(scratch)], check=True)
        scratch.replace(target)
    return target


def _compile_common(flags: Sequence[str], folder: Path) -> Path:
    return _compile("emu/entry.cpp", flags, folder, ("emu/misuse.cpp", "emu/runtime.cpp"))


def _link(objects: Iterable[Path], flags: Sequence[str], name: str, folder: Path) -> Path:
    objects = [str(path) for path in objects]
    target = folder / f"{name}-{hashlib.sha256(' '.join(objects).encode()).hexdigest()[:16]}"
    if not target.exists():
        scratch = target.with_suffix(f".{os.getpid()}")
        subprocess.run([str(compiler()), *objects, *flags, "-pthread", "-o", str(scratch)], check=True)
        scratch.replace(target)
    return target


def build_library(folder: Path) -> Path:
    """Build one shared library in ``folder`` (kept from run to run) and return its path.

    It offers the launchers to :class:`Emulator`, and registers the operators as ``torch.ops.glad_emulated`` for CPU
    tensors when torch loads it, from the ``.cu`` files themselves: each kernel is compiled once for both.
    """
    stable = ("-DTORCH_TARGET_VERSION=0x020a000000000000", "-DTORCH_STABLE_ONLY", "-Dglad=glad_emulated")
    flags = ("-Og", "-fPIC", *stable)
    objects = [_compile("ops.cpp", flags, folder), _compile_common(flags, folder)]
    objects += [_compile(f"emu/{name}.cpp", flags, folder, [f"cuda/{name}.cu"]) for name in OPERATORS]
    return _link(objects, ("-shared", f"-L{TORCH / 'lib'}", "-ltorch_cpu"), "emulated", folder)


def build_sanitized(sanitizers: str, folder: Path) -> Path:
    """Build the executable of small launches under ``-fsanitize=sanitizers`` and return its path."""
    flags = ("-O0", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all")
    objects = [_compile_common(flags, folder), *(_compile(f"emu/{name}.cpp", flags, folder) for name in OPERATORS)]
    return _link(objects, flags, f"sanitized-{sanitizers.replace(',', '-')}", folder)


def sanitizer_works(sanitizers: str, folder: Path) -> bool:
    """Whether an empty program builds under ``-fsanitize=sanitizers`` and runs; its runtime may be missing."""
    source, program = folder / "empty.cpp", folder / f"empty-{sanitizers}"
    source.write_text("int main() {}\n")
    flags = (f"-fsanitize={sanitizers}", str(source), "-o", str(program))
    built = subprocess.run([str(compiler()), *flags], capture_output=True, check=False)
    return built.returncode == 0 and subprocess.run([program], capture_output=True, check=False).returncode == 0


# ---- buffers


def _span(shape: Sequence[int], stride: Sequence[int]) -> int:
    """Elements of storage from the first to the last of such a tensor."""
    return 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))


def fenced(x: Tensor, offset: int = 0) -> Tensor:
    """A copy of ``x`` with its strides, between NaN, ``offset`` elements away from 16-byte alignment."""
    base = torch.full((_span(x.shape, x.stride()) + 2 * _MARGIN + offset,), torch.nan, dtype=x.dtype)
    return base.as_strided(x.shape, x.stride(), _MARGIN + offset).copy_(x)


@dataclass(frozen=True)
class Output:
    """An output of NaN between margins that hold a mark; ``view`` is what a kernel fills."""

    base: Tensor
    view: Tensor

    @staticmethod
    def of(shape: Sequence[int], stride: Sequence[int], dtype: torch.dtype, offset: int = 0) -> "Output":
        span = _span(shape, stride)
        base = torch.full((span + 2 * _MARGIN + offset,), _MARK, dtype=dtype)
        base[_MARGIN + offset : _MARGIN + offset + span] = torch.nan
        return Output(base, base.as_strided(tuple(shape), tuple(stride), _MARGIN + offset))

    def result(self) -> Tensor:
        """The view, once the margins are seen to be whole; ``AssertionError`` where a store went astray."""
        start, span = self.view.storage_offset(), _span(self.view.shape, self.view.stride())
        margins = torch.cat([self.base[:start], self.base[start + span :]])
        assert (margins == torch.tensor(_MARK, dtype=margins.dtype)).all(), "a store outside the output"
        return self.view


def dense_strides(shape: Sequence[int], channels_last: bool) -> tuple[int, ...]:
    memory = torch.channels_last if channels_last else torch.contiguous_format
    n, c, h, w = (max(size, 1) for size in shape)
    return torch.empty(n, c, h, w, device="meta").to(memory_format=memory).stride()


# ---- parameters, field by field as in the kernels' headers


class _BiasActParams(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "g", "b", "y")),
        *((name, ctypes.c_int64) for name in ("count", "bias_count", "bias_step")),
        ("act", ctypes.c_int),
        *((name, ctypes.c_double) for name in ("alpha", "gain", "clamp")),
    )


class _Axis(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_int64),
        ("out", ctypes.c_int64),
        *((name, ctypes.c_int) for name in ("up", "down", "taps", "pad")),
    )


class _Upfirdn2dParams(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "f", "y")),
        ("batch", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("stride", ctypes.c_int64 * 4),
        ("across", _Axis),
        ("along", _Axis),
        ("gain", ctypes.c_double),
        ("max_blocks", ctypes.c_int64),
        *((name, ctypes.c_bool) for name in ("f_is_double", "separable", "flip", "channels_last")),
    )


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


# ---- calling


class Emulator:
    """The operators with the signatures of ``torch.ops.glad``, run on the host by the CUDA kernels' own source.

    ``offset`` moves every buffer that many elements away from 16-byte alignment; ``max_blocks`` bounds the grid.
    """

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.glad_emu_error.restype = ctypes.c_char_p
        self.offset = 0
        self.max_blocks = 1 << 20
        self.was_tiled = False  # whether the last upfirdn2d had a tiled kernel

    def schedule(self, name: str, seed: int = 0) -> None:
        """Advance the threads of a block, and the blocks, ``forward``, ``reversed`` or ``shuffled``."""
        self.library.glad_emu_schedule(SCHEDULES.index(name), seed)

    def plant(self, bug: int) -> None:
        """Plant one of the bugs of ``launch.cuh``; 0 takes it out."""
        self.library.glad_emu_plant(bug)

    def call(self, name: str, *arguments: Any) -> None:
        """Run ``glad_emu_{name}``; ``RuntimeError`` with the emulator's message where the launch was wrong."""
        if getattr(self.library, f"glad_emu_{name}")(*arguments):
            raise RuntimeError(self.library.glad_emu_error().decode())

    def upfirdn2d(
        self,
        x: Tensor,
        f: Tensor | None,
        up: Sequence[int],
        down: Sequence[int],
        padding: Sequence[int],
        flip_filter: bool,
        gain: float,
    ) -> Tensor:
        f = None if f is None else fenced(f)
        return self.upfirdn2d_in_place(fenced(x, self.offset), f, up, down, padding, flip_filter, gain)

    def upfirdn2d_in_place(
        self,
        x: Tensor,
        f: Tensor | None,
        up: Sequence[int],
        down: Sequence[int],
        padding: Sequence[int],
        flip_filter: bool,
        gain: float,
    ) -> Tensor:
        """:meth:`upfirdn2d` on the very storage of ``x`` and ``f``, with no copy between margins."""
        (n, c, h, w), (fh, fw) = x.shape, (1, 1) if f is None else (f.shape[0], f.shape[-1])
        across = _Axis(w, (w * up[0] + padding[0] + padding[1] - fw) // down[0] + 1, up[0], down[0], fw, padding[0])
        along = _Axis(h, (h * up[1] + padding[2] + padding[3] - fh) // down[1] + 1, up[1], down[1], fh, padding[2])
        channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        shape = (n, c, along.out, across.out)
        y = Output.of(shape, dense_strides(shape, channels_last), x.dtype, self.offset)
        pointers = (x.data_ptr(), _pointer(f), y.view.data_ptr())
        flags = (f is not None and f.dtype == torch.float64, f is not None and f.ndim == 1, flip_filter, channels_last)
        strides = (ctypes.c_int64 * 4)(*x.stride())
        params = _Upfirdn2dParams(*pointers, n, c, strides, across, along, gain, self.max_blocks, *flags)
        self.was_tiled = bool(self.library.glad_emu_upfirdn2d_is_tiled(ctypes.byref(params), DTYPES[x.dtype]))
        self.call("upfirdn2d", ctypes.byref(params), DTYPES[x.dtype])
        return y.result()

    def _bias_act(
        self,
        g: Tensor | None,
        x: Tensor,
        b: Tensor | None,
        dim: int,
        act: str,
        scalars: tuple[float, float, float | None],
        order: int,
    ) -> Tensor:
        x, b = fenced(x, self.offset), None if b is None else fenced(b)
        g = None if g is None else fenced(g, self.offset)
        y = Output.of(x.shape, x.stride(), x.dtype, self.offset)
        alpha, gain, clamp = scalars
        bias = (1, 1) if b is None else (b.shape[0], max(x.stride(dim), 1))
        pointers = (x.data_ptr(), _pointer(g), _pointer(b), y.view.data_ptr())
        clamp = NO_CLAMP if clamp is None else clamp
        params = _BiasActParams(*pointers, x.numel(), *bias, ACTIVATIONS.index(act), alpha, gain, clamp)
        self.call("bias_act", ctypes.byref(params), DTYPES[x.dtype], order)
        return y.result()

    def bias_act(
        self, x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float | None
    ) -> Tensor:
        return self._bias_act(None, x, b, dim, act, (alpha, gain, clamp), 0)

    def bias_act_grad(
        self,
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
        return self._bias_act(g, x, b, dim, act, (alpha, gain, clamp), order)
