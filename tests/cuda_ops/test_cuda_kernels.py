"""upfirdn2d's and bias_act's CUDA kernels against the reference: emulated on the host, and on a device."""

import itertools

import emulation
import pytest
import torch
from kernel_cases import FLOATS, NEEDS_COMPILER, Resampling, check_bias_act, check_upfirdn2d, random

from cuda_ops.bias_act import bias_act_ref

# One row per specialization (up, down, taps), on an image that needs more than one ragged tile in each direction.
SPECIALIZED = [
    Resampling((1, 2, 37, 70), (1, 1), (1, 1), 12, (5, 7, 6, 4)),
    Resampling((1, 1, 40, 70), (1, 1), (1, 1), 24, (11, 12, 13, 10), flip=True),
    Resampling((1, 2, 35, 37), (2, 2), (1, 1), 12, (6, 5, 7, 4), gain=4),
    Resampling((1, 1, 35, 37), (2, 2), (1, 1), 24, (11, 12, 10, 13), gain=4),
    Resampling((1, 2, 70, 71), (1, 1), (2, 2), 12, (5, 5, 6, 4)),
    Resampling((1, 1, 70, 71), (1, 1), (2, 2), 24, (11, 11, 12, 10)),
    Resampling((1, 2, 17, 19), (4, 4), (1, 1), 24, (13, 10, 14, 11), gain=16),
    Resampling((1, 1, 45, 141), (1, 1), (4, 4), 24, (10, 10, 9, 11), flip=True),
]
GENERIC = [
    Resampling((2, 3, 9, 10), (1, 1), (1, 1), (3, 5), (2, 1, 0, 3)),
    Resampling((1, 2, 9, 10), (2, 2), (1, 1), (4, 4), (2, 1, 1, 2), gain=4),
    Resampling((1, 2, 13, 12), (1, 1), (2, 2), (12, 12), (5, 6, 5, 6), flip=True),
    Resampling((1, 2, 6, 5), (3, 2), (2, 5), 7, (4, 3, 5, 6), gain=2.5),
    Resampling((1, 2, 6, 5), (2, 1), (1, 1), 12, (6, 5, 6, 5)),
    Resampling((1, 1, 9, 7), (2, 2), (2, 2), 12, (3, 9, 4, 8)),
    Resampling((1, 1, 20, 20), (1, 1), (1, 1), 30, (9, 9, 8, 8)),
    Resampling((2, 2, 5, 6), (2, 2), (3, 3), None, (1, 2, 0, -1), gain=-0.5),
    Resampling((1, 1, 8, 8), (1, 1), (1, 1), (1, 12), (6, 5, 0, 0), gain=-2),
]
EDGES = {
    "cropped": Resampling((1, 1, 30, 30), (2, 2), (1, 1), 12, (-3, -4, -8, 5)),
    "cropped down": Resampling((1, 1, 44, 44), (1, 1), (4, 4), 24, (-3, -5, 6, -1)),
    "batch 0": Resampling((0, 3, 8, 8), (2, 2), (1, 1), 12, (6, 5, 6, 5)),
    "batch 0, generic": Resampling((0, 3, 8, 8), (1, 1), (1, 1), (3, 3), (1, 1, 1, 1)),
    "one pixel": Resampling((2, 3, 1, 1), (1, 1), (1, 1), 12, (6, 5, 6, 5)),
    "one pixel up": Resampling((1, 1, 1, 1), (4, 4), (1, 1), 24, (13, 10, 13, 10)),
    "one pixel out": Resampling((1, 1, 12, 12), (1, 1), (2, 2), 12, (0, 0, 0, 0)),
    "one pixel, generic": Resampling((1, 1, 1, 1), (3, 3), (2, 2), (5, 5), (4, 3, 2, 3)),
    "one tap": Resampling((1, 1, 9, 5), (2, 2), (1, 1), 1, (0, 1, 1, 0)),
    "13 of 24 taps": Resampling((1, 1, 9, 9), (1, 1), (2, 2), 13, (6, 6, 6, 6)),
    "16-byte loads": Resampling((1, 2, 40, 72), (1, 1), (1, 1), 12, (4, 7, 4, 7)),
    "16-byte loads, down": Resampling((1, 1, 40, 72), (1, 1), (2, 2), 12, (4, 6, 5, 5)),
    "16-byte loads, up": Resampling((1, 1, 9, 40), (2, 2), (1, 1), 12, (8, 3, 6, 5)),
    "far outside": Resampling((1, 1, 5, 5), (1, 1), (1, 1), 12, (100, 3, 90, 2)),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("case", SPECIALIZED, ids=lambda c: f"{c.up[0]}-{c.down[0]}-{c.taps}")
def test_upfirdn2d_specialized(kernels, case, dtype):
    check_upfirdn2d(kernels, random(case.shape, dtype), case.filter(), case)
    if isinstance(kernels, emulation.Emulator):
        assert kernels.was_tiled == (dtype != torch.float64)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("case", GENERIC, ids=lambda c: f"{c.up}-{c.down}-{c.taps}")
def test_upfirdn2d_generic(kernels, case, dtype):
    check_upfirdn2d(kernels, random(case.shape, dtype), case.filter(), case)
    if isinstance(kernels, emulation.Emulator):
        assert not kernels.was_tiled


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", list(EDGES.values()), ids=list(EDGES))
def test_upfirdn2d_edges(kernels, case, dtype):
    check_upfirdn2d(kernels, random(case.shape, dtype), case.filter(), case)


@pytest.mark.parametrize(("x0", "y0"), list(itertools.product(range(4), repeat=2)))
def test_upfirdn2d_every_phase(kernels, x0, y0):
    for up in (2, 4):
        case = Resampling((1, 1, 6, 9), (up, up), (1, 1), 6 * up, (x0 - 1, 13, y0 - 1, 12), gain=up * up)
        check_upfirdn2d(kernels, random(case.shape, torch.float32), case.filter(), case)


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "sliced", "one channel of many"])
@pytest.mark.parametrize("case", [SPECIALIZED[2], GENERIC[1]], ids=["separable", "2-D"])
def test_upfirdn2d_strides(kernels, case, layout):
    x = random((2, 3, 12, 10), torch.float32)
    x = {
        "channels_last": lambda: x.to(memory_format=torch.channels_last),
        "transposed": lambda: x.transpose(2, 3),
        "sliced": lambda: x[:, :, ::2, 1::3],
        "one channel of many": lambda: x[:, 1:2],
    }[layout]()
    y = check_upfirdn2d(kernels, x, case.filter(), case)
    assert y.is_contiguous(memory_format=torch.channels_last if layout == "channels_last" else torch.contiguous_format)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_upfirdn2d_double_filter(kernels, dtype):
    for case in (SPECIALIZED[0], GENERIC[0]):
        check_upfirdn2d(kernels, random(case.shape, dtype), case.filter(torch.float64), case)


@pytest.mark.parametrize("seed", range(40))
def test_upfirdn2d_random(kernels, seed):
    draw = torch.Generator().manual_seed(seed)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    factors = [(1, 1), (2, 1), (1, 2), (4, 1), (1, 4), (3, 2)][integer(0, 5)]
    taps = integer(1, 24)
    shape = (integer(1, 2), integer(1, 2), integer(1, 40), integer(1, 40))
    pads = [integer(-2, taps) for _ in range(4)]
    pads[1], pads[3] = max(pads[1], taps - pads[0]), max(pads[3], taps - pads[2])
    case = Resampling(shape, factors[:1] * 2, factors[1:] * 2, taps, tuple(pads), bool(integer(0, 1)), 1.5)
    check_upfirdn2d(kernels, random(case.shape, torch.float32, seed), case.filter(), case)


@NEEDS_COMPILER
@pytest.mark.parametrize("schedule", ["reversed", "shuffled"])
@pytest.mark.parametrize("case", [*SPECIALIZED, GENERIC[0]], ids=lambda c: f"{c.up[0]}-{c.down[0]}-{c.taps}")
def test_upfirdn2d_in_any_order(emulator, case, schedule):
    emulator.schedule(schedule, seed=3)
    emulator.max_blocks = 2  # each block takes several tiles, which must not disturb each other
    check_upfirdn2d(emulator, random(case.shape, torch.float32), case.filter(), case)


@NEEDS_COMPILER
@pytest.mark.parametrize(
    "case", [*SPECIALIZED, EDGES["16-byte loads"]], ids=lambda c: f"{c.up[0]}-{c.taps}-{c.padding}"
)
def test_upfirdn2d_unaligned_buffers(emulator, case):
    emulator.offset = 1
    check_upfirdn2d(emulator, random(case.shape, torch.float16), case.filter(), case)


@NEEDS_COMPILER
def test_upfirdn2d_beyond_32_bits(emulator):
    """The second image lies 2**31 + 5 elements after the first; the storage between is never touched."""
    x = torch.empty(2**31 + 64, dtype=torch.float16).as_strided((2, 1, 3, 4), (2**31 + 5, 12, 4, 1))
    x.copy_(random((2, 1, 3, 4), torch.float16))
    arguments = ([1, 1], [1, 1], [0, 0, 0, 0], False, 1.0)
    y = emulator.upfirdn2d_in_place(x, torch.tensor([[2.0]]), *arguments)
    assert torch.equal(y, x.contiguous() * 2)


# ---- bias_act


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("act", emulation.ACTIVATIONS)
def test_bias_act(kernels, act, dtype):
    x, b = random((2, 3, 5, 7), dtype) * 3, random((3,), dtype, seed=1)
    check_bias_act(kernels, x, b, 1, act, (0.2, 1.4, None))
    check_bias_act(kernels, x, b, 1, act, (0.1, -0.7, 0.8))


SHAPES = {
    "rows": ((5, 9), 1),
    "first dimension": ((3, 4, 2), 0),
    "middle of three": ((3, 4, 6), 1),
    "one dimension": ((11,), 0),
    "one element": ((1, 1, 1, 1), 1),
    "batch 0": ((0, 3, 4, 4), 1),
    "whole vectors": ((2, 4, 8, 8), 1),
    "several blocks": ((1, 3, 60, 37), 1),
}


@pytest.mark.parametrize(("shape", "dim"), list(SHAPES.values()), ids=list(SHAPES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_bias_act_shapes(kernels, shape, dim, dtype):
    check_bias_act(kernels, random(shape, dtype), random((shape[dim],), dtype, seed=1), dim, "lrelu", (0.2, 1.4, 1.1))
    check_bias_act(kernels, random(shape, dtype), None, dim, "tanh", (0.0, 1.0, None))


def test_bias_act_channels_last(kernels):
    for c in (1, 3, 8):
        x = random((2, c, 5, 6), torch.float32).to(memory_format=torch.channels_last)
        check_bias_act(kernels, x, random((c,), torch.float32, seed=1), 1, "swish", (0.0, 1.4, 2.0))


@pytest.mark.parametrize("act", emulation.ACTIVATIONS)
def test_bias_act_extremes(kernels, act):
    x = torch.tensor([torch.nan, -1e4, -100.0, 100.0, 1e4])
    y = kernels.bias_act(x, None, 0, act, 0.2, 1.0, None)
    torch.testing.assert_close(y, bias_act_ref(x, None, 0, act, 0.2, 1.0), equal_nan=True)
    assert kernels.bias_act(x, None, 0, act, 0.2, 1.0, 50.0)[0].isnan()
    assert kernels.bias_act_grad(torch.ones(5), x, None, 0, act, 0.2, 1.0, 50.0, 1)[1:].isfinite().all()


@NEEDS_COMPILER
@pytest.mark.parametrize("schedule", ["reversed", "shuffled"])
@pytest.mark.parametrize("offset", [0, 1])
def test_bias_act_in_any_order(emulator, schedule, offset):
    emulator.schedule(schedule)
    emulator.offset = offset
    x = random((2, 5, 31, 17), torch.float16)
    check_bias_act(emulator, x, random((5,), torch.float16, seed=1), 1, "selu", (0.0, 1.0, 0.9))


# ---- arguments that would be unsafe

X = torch.zeros(1, 2, 4, 5)
REFUSED = {
    "2 and 4 values, not 2, 2 and 2": lambda ops: ops.upfirdn2d(X, None, [1, 1], [1, 1], [0, 0], False, 1.0),
    "not of 3 dim": lambda ops: ops.upfirdn2d(X[0], None, [1, 1], [1, 1], [0] * 4, False, 1.0),
    "up 0 and down 1": lambda ops: ops.upfirdn2d(X, None, [0, 1], [1, 1], [0] * 4, False, 1.0),
    "padded image of 5 samples is smaller than the filter of 6": lambda ops: ops.upfirdn2d(
        X, torch.ones(6), [1, 1], [1, 1], [0] * 4, False, 1.0
    ),
    "root of its gain, which is -1": lambda ops: ops.upfirdn2d(X, torch.ones(2), [1, 1], [1, 1], [0] * 4, False, -1.0),
    "f is float32 or float64, not": lambda ops: ops.upfirdn2d(
        X, torch.ones(2).half(), [1, 1], [1, 1], [0] * 4, False, 1.0
    ),
    "unknown activation gelu": lambda ops: ops.bias_act(X, None, 1, "gelu", 0.0, 1.0, None),
    "b has 3 entries, x has 2 along dim 1": lambda ops: ops.bias_act(X, torch.zeros(3), 1, "relu", 0.0, 1.0, None),
    "dim 4 is outside a tensor of 4": lambda ops: ops.bias_act(X, torch.zeros(2), 4, "relu", 0.0, 1.0, None),
    "b is .*, x is": lambda ops: ops.bias_act(X, torch.zeros(2).half(), 1, "relu", 0.0, 1.0, None),
    "g has 5 entries along dim 2, x has 4": lambda ops: ops.bias_act_grad(X.mT, X, None, 1, "relu", 0.0, 1.0, None, 1),
    "orders 0 to 2, not 3": lambda ops: ops.bias_act_grad(X, X, None, 1, "relu", 0.0, 1.0, None, 3),
}


@pytest.mark.parametrize(("message", "call"), list(REFUSED.items()), ids=list(REFUSED))
def test_unsafe_arguments_are_refused(operators, message, call):
    with pytest.raises(RuntimeError, match=message):
        call(operators)
