"""filtered_lrelu's CUDA kernels and both directions of their Jacobian: emulated on the host, and on a device."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import emulation
import pytest
import torch
from emulated_filtered_lrelu import EDGES, GENERIC, MODES, SMALL, SMALL4, STREAMED, Case, Emulator, check, random
from errors import naming
from kernel_cases import FLOATS, NEEDS_COMPILER, sanitized

from cuda_ops.filtered_lrelu import filtered_lrelu_ref


@pytest.fixture
def emulator(library: Path) -> Iterator[Emulator]:
    emulator = Emulator(library)
    yield emulator
    emulator.schedule("forward")
    emulator.plant(0)


# ---- values


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("case", STREAMED, ids=str)
def test_specialized(kernels, case, dtype):
    check(kernels, case, dtype)
    if isinstance(kernels, Emulator):
        assert kernels.streamed == (dtype != torch.float64)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("case", GENERIC, ids=str)
def test_generic(kernels, case, dtype):
    check(kernels, case, dtype)
    if isinstance(kernels, Emulator):
        assert not kernels.streamed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", list(EDGES.values()), ids=list(EDGES))
def test_edges(kernels, case, dtype):
    check(kernels, case, dtype)


@pytest.mark.parametrize("up", [2, 4])
@pytest.mark.parametrize("x0", range(4))
def test_every_phase(kernels, x0, up):
    for y0 in range(4):
        case = Case((1, 1, 6, 9), up, 2, 6 * up, 12, (x0 + 10, 13, y0 + 9, 12))
        check(kernels, case, torch.float32)
        assert not isinstance(kernels, Emulator) or kernels.streamed


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "sliced", "one channel of many", "expanded"])
@pytest.mark.parametrize("case", [SMALL, SMALL4, replace(GENERIC[4], shape=(2, 3, 12, 8))], ids=["u2", "u4", "generic"])
def test_strides(kernels, case, layout):
    x = random((2, 3, 32, 48), torch.float32)
    x = {
        "channels_last": lambda: x.to(memory_format=torch.channels_last),
        "transposed": lambda: x.transpose(2, 3),
        "sliced": lambda: x[:, :, ::2, 1::3],
        "one channel of many": lambda: x[:, 1:2],
        "expanded": lambda: x[:, :, :1].expand(-1, -1, 13, -1),
    }[layout]()
    if isinstance(kernels, Emulator):
        kernels.in_place = layout == "expanded"
    check(kernels, replace(case, shape=tuple(x.shape)), torch.float32, x)


def test_double_filters(kernels):
    for case in (SMALL, GENERIC[4]):
        x, fu, fd = random(case.shape, torch.float32), random((case.nu,), torch.float64), random((12,), torch.float64)
        numbers = (case.up, case.down, list(case.padding), case.gain, case.slope, case.clamp, case.flip)
        y = kernels.filtered_lrelu(x, fu, fd, None, *numbers)
        torch.testing.assert_close(y, kernels.filtered_lrelu(x, fu.float(), fd.float(), None, *numbers))


@pytest.mark.parametrize(
    "case", [SMALL, SMALL4, replace(GENERIC[3], shape=(2, 3, 20, 20))], ids=["u2", "u4", "generic"]
)
def test_nan_stays_and_stays_near(kernels, case):
    x = random((1, 1, 24, 60), torch.float32)
    x[0, 0, 3, 5] = torch.nan
    fu, fd = random((case.nu,), torch.float32, 1), random((case.nd,), torch.float32, 2)
    numbers = (case.up, case.down, list(case.padding), case.gain, case.slope, case.clamp, case.flip)
    y, expected = kernels.filtered_lrelu(x, fu, fd, None, *numbers), filtered_lrelu_ref(x, fu, fd, None, *numbers)
    assert y[expected.isnan()].isnan().all()
    assert expected.isnan().any()
    assert not y[..., 30 * case.up // case.down :].isnan().any()


@pytest.mark.parametrize("seed", range(60))
def test_random(kernels, seed):
    draw = torch.Generator().manual_seed(seed)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    up, down = [(2, 2), (4, 2), (2, 2), (4, 2), (1, 2), (3, 1), (2, 4)][integer(0, 6)]
    nu, nd = integer(1, 6 * up), integer(1, 12)
    h, w = integer(1, 40), integer(1, 80)
    pads = [integer(-6, nu + 3) for _ in range(4)]
    pads[1] = max(pads[1], nu + nd - w * up - pads[0])
    pads[3] = max(pads[3], nu + nd - h * up - pads[2])
    shape = (integer(1, 2), integer(1, 2), h, w)
    gain, clamp, flip = [2**0.5, 1.0, -1.0][integer(0, 2)], [None, 0.5, 256.0][integer(0, 2)], bool(integer(0, 1))
    case = Case(shape, up, down, nu, nd, tuple(pads), gain, 0.2, clamp, flip)
    check(kernels, case, [torch.float32, torch.float16, torch.bfloat16][seed % 3])


@NEEDS_COMPILER
@pytest.mark.parametrize("schedule", ["reversed", "shuffled"])
@pytest.mark.parametrize("case", [*STREAMED, *GENERIC[3:6]], ids=str)
def test_in_any_order(emulator, case, schedule):
    emulator.schedule(schedule, seed=3)
    check(emulator, case, torch.float32)


@NEEDS_COMPILER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("case", [SMALL, SMALL4, GENERIC[3]], ids=str)
def test_unaligned_buffers(emulator, case, dtype):
    emulator.offset = 1
    check(emulator, case, dtype)


@NEEDS_COMPILER
def test_beyond_32_bits(emulator):
    """The second image lies 2**31 + 5 elements after the first; the storage between is never touched."""
    x = torch.empty(2**31 + 200, dtype=torch.float16).as_strided((2, 1, 8, 12), (2**31 + 5, 96, 12, 1))
    x.copy_(random((2, 1, 8, 12), torch.float16))
    emulator.in_place = True
    for case in (SMALL, GENERIC[4]):
        check(emulator, replace(case, shape=tuple(x.shape)), torch.float16, x)


# ---- limits


@NEEDS_COMPILER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("factors", [(1, 1), (8, 1), (1, 8)], ids=str)
def test_48_taps_always_fit(emulator, factors, dtype):
    check(emulator, Case((1, 1, 3, 2), *factors, 48, 48, (47, 50, 48, 47)), dtype)


@NEEDS_COMPILER
def test_longer_filters_are_refused(emulator):
    x, f = random((1, 1, 4, 4), torch.float32), random((99,), torch.float32)
    with pytest.raises(RuntimeError, match=naming("99 99 65536")):
        emulator.filtered_lrelu(x, f, f, None, 1, 1, [100] * 4, 1.0, 0.2, None, False)


X, F = random((2, 3, 8, 12), torch.float32), random((12,), torch.float32)
GOOD = {"x": X, "fu": F, "fd": F, "b": None, "up": 2, "down": 2, "padding": [9, 8, 9, 8]}
BAD = {
    "not of 3 dimensions": {"x": X[0]},
    "not Long": {"x": X.long()},
    "fu is float32 or float64, not Half": {"fu": F.half()},
    "not of 2 dimensions and 12 taps": {"fd": F[None]},
    "fd must be contiguous": {"fd": F[::2]},
    "b has 4 entries, x has 3": {"b": X.new_zeros(4)},
    "b is Half, x is Float": {"b": X.new_zeros(3).half()},
    "up 0 and down 2": {"up": 0},
    "padding has 4 values, not 3": {"padding": [1, 2, 3]},
    "padded image of 0 samples": {"padding": [-20, -4, 9, 8]},
    "2.30": {"padding": [2**30, 0, 9, 8]},
}


@pytest.mark.parametrize(("message", "change"), list(BAD.items()), ids=list(BAD))
def test_bad_arguments(operators, message, change):
    arguments = [*{**GOOD, **change}.values(), 1.0, 0.2, None, False]
    with pytest.raises((RuntimeError, ValueError), match=message):
        operators.filtered_lrelu(*arguments)


def test_bad_cotangents(operators):
    arguments = [*GOOD.values(), 1.0, 0.2, None, False]
    with pytest.raises(RuntimeError, match=naming("v 8 dim 2 6")):
        operators.filtered_lrelu_jacobian(X, *arguments, True)
    with pytest.raises(RuntimeError, match=naming("v Double x Float")):
        operators.filtered_lrelu_jacobian(X.double(), *arguments, False)


# ---- does the checking bite? Bugs: 1 a missing barrier, 2 an off-by-one store, 3 a misaligned vector store


@NEEDS_COMPILER
@pytest.mark.parametrize("schedule", emulation.SCHEDULES)
@pytest.mark.parametrize(
    ("case", "bug"),
    [(replace(STREAMED[2], shape=(1, 1, 20, 10)), bug) for bug in (1, 2)]
    + [(replace(SMALL4, shape=(1, 1, 20, 15)), bug) for bug in (1, 2)]
    + [(replace(STREAMED[2], shape=(1, 1, 8, 12)), 3), (SMALL4, 3), (GENERIC[5], 1), (GENERIC[5], 2)],
    ids=str,
)
def test_planted_bugs_are_noticed(emulator, case, bug, schedule):
    emulator.schedule(schedule)
    check(emulator, case, torch.float32)
    emulator.plant(bug)
    for mode in MODES:
        with pytest.raises((AssertionError, RuntimeError)):
            check(emulator, case, torch.float32, modes=[mode])


REPORTS = {1: "ThreadSanitizer: data race", 2: "heap-buffer-overflow", 3: "misaligned address"}


@pytest.mark.sanitizers
@NEEDS_COMPILER
@pytest.mark.parametrize("bug", REPORTS)
def test_the_sanitizers_name_planted_bugs(build_folder, bug):
    sanitizers, schedule = ("thread", "threads") if bug == 1 else ("address,undefined", "forward")
    done = sanitized(sanitizers, build_folder, "filtered_lrelu", schedule, str(bug))
    assert done.returncode != 0
    assert REPORTS[bug] in done.stderr
