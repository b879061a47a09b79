"""The registered operators: every kernel against the reference, torch's own checks, the compiler, threads, layouts."""

import os
from functools import partial
from pathlib import Path

import forked
import pytest
import torch
from fixtures import codes, leaf, tiny_generator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from cuda_ops import _library, bias_act, filtered_lrelu, upfirdn2d
from cuda_ops.bias_act import ACTIVATIONS, bias_act_ref
from cuda_ops.filtered_lrelu import filtered_lrelu_ref
from cuda_ops.upfirdn2d import upfirdn2d_ref

HERE = Path(__file__).resolve().parent
EXAMPLES = int(os.environ.get("GLAD_EXAMPLES", "120"))  # of each sweep
PRECISION = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "cut": lambda x: torch.nn.functional.pad(x, [1, 2, 3, 1])[:, :, 3:-1, 1:-2],
    "strided": lambda x: torch.stack([x, -x], -1)[..., 0],
    "turned": lambda x: x.mT.contiguous().mT,
}


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def smooth(taps):
    """A low-pass filter without symmetry, as a reversed one would go unnoticed otherwise."""
    t = torch.arange(taps, dtype=torch.float64)
    f = torch.sin((t + 1) / (taps + 1) * torch.pi) * (1 + t / taps)
    return (f / f.sum()).float()


def close(actual, expected, dtype):
    """Hold the largest error to the type's precision of the largest value."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if expected.numel():
        scale = max(expected.abs().max().item(), 1e-3)
        assert (actual.double() - expected).abs().max().item() <= PRECISION[dtype] * scale


def with_gradients(function, reference, x, dtype, tolerance=1.0):
    """Value, gradient and second derivative (along the cotangent) of both, on the same numbers."""
    x = x.to(dtype)
    v = None
    results = []
    for f, at in ((function, leaf(x)), (reference, leaf(x.double()))):
        y = f(at)
        v = randn(*y.shape, seed=7).to(dtype) if v is None else v
        cotangent = leaf(v.to(y.dtype))
        (gx,) = torch.autograd.grad(y, at, cotangent, create_graph=True)
        (gv,) = torch.autograd.grad(gx, cotangent, x.to(y.dtype) * 0.7)
        results.append((y.detach(), gx.detach(), gv))
    for actual, expected in zip(*results, strict=True):
        close(actual, expected, dtype)


@st.composite
def shapes(draw):
    """Few and many planes against a vector's width, odd and even sizes, one pixel."""
    n, c = draw(st.sampled_from([(1, 1), (2, 3), (3, 7), (1, 16), (2, 19), (1, 35)]))
    size = st.integers(1, 9) | st.sampled_from([15, 16, 17, 23, 34])
    return n, c, draw(size), draw(size)


types = st.sampled_from(list(PRECISION))
layouts = st.sampled_from(list(LAYOUTS))
UP_DOWN_TAPS = [
    (2, 1, 12),
    (4, 1, 24),
    (1, 2, 12),
    (1, 4, 24),
    (1, 1, 12),
    (2, 1, 6),
    (3, 2, 12),
    (2, 2, 8),
    (2, 1, 11),
]


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(shapes(), types, layouts, st.sampled_from(UP_DOWN_TAPS), st.lists(st.integers(-3, 9), min_size=4, max_size=4))
def test_upfirdn2d(shape, dtype, layout, factors, cuts):
    (up, down, taps), (_, _, h, w) = factors, shape
    padding = [cuts[0], max(cuts[1], taps - w * up - cuts[0]), cuts[2], max(cuts[3], taps - h * up - cuts[2])]
    arguments = {"f": smooth(taps), "up": up, "down": down, "padding": padding, "gain": float(up**2)}
    x = LAYOUTS[layout](randn(*shape))
    with_gradients(partial(upfirdn2d, **arguments), partial(upfirdn2d_ref, **arguments), x, dtype)


@settings(max_examples=EXAMPLES // 4, deadline=None, derandomize=True)
@given(shapes(), types, layouts, st.integers(1, 3), st.integers(1, 3))
def test_upfirdn2d_with_a_filter_in_two_dimensions(shape, dtype, layout, up, down):
    arguments = {"f": smooth(3)[:, None] * smooth(5), "up": [up, 2], "down": [2, down], "padding": [4, 3, 1, 2]}
    x = LAYOUTS[layout](randn(*shape))
    with_gradients(partial(upfirdn2d, **arguments), partial(upfirdn2d_ref, **arguments), x, dtype)


LRELU = [(2, 2, 12, 12), (4, 2, 24, 12), (2, 2, 12, 6), (1, 2, None, 12), (2, 1, 12, None), (3, 2, 9, 7)]
LRELU += [(2, 4, 12, 24)]


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(
    shapes(),
    types,
    layouts,
    st.sampled_from(LRELU),
    st.lists(st.integers(-4, 9), min_size=4, max_size=4),
    st.sampled_from([(2**0.5, 0.2, None), (2**0.5, 0.2, 0.4), (1.0, 1.0, 0.5), (-1.5, 0.1, 0.6), (0.0, 0.2, 1.0)]),
)
def test_filtered_lrelu(shape, dtype, layout, factors, cuts, curve):
    (up, down, u, d), (_, c, h, w), (gain, slope, clamp) = factors, shape, curve
    least = (u or 1) + (d or 1) - 1
    padding = [cuts[0], max(cuts[1], least - w * up - cuts[0]), cuts[2], max(cuts[3], least - h * up - cuts[2])]
    fu, fd = (None if taps is None else smooth(taps) for taps in (u, d))
    arguments = {"fu": fu, "fd": fd, "up": up, "down": down, "padding": padding}
    arguments |= {"gain": gain, "slope": slope, "clamp": clamp}
    x, b = LAYOUTS[layout](randn(*shape)), randn(c, seed=1, dtype=dtype)
    # The curve has kinks, where rounding of half types decides: their slope is that of float64 elsewhere only.
    if dtype in (torch.float16, torch.bfloat16):
        y = filtered_lrelu(x.to(dtype), b=b, **arguments)
        close(y, filtered_lrelu_ref(x.to(dtype).double(), b=b.double(), **arguments), dtype)
        return
    function = partial(filtered_lrelu, b=b, **arguments)
    with_gradients(function, lambda x: filtered_lrelu_ref(x, b=b.double(), **arguments), x, dtype)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(shapes(), types, layouts, st.sampled_from(list(ACTIVATIONS)), st.sampled_from([None, 0.9]), st.integers(0, 3))
def test_bias_act(shape, dtype, layout, act, clamp, dim):
    x, b = LAYOUTS[layout](randn(*shape) * 2).to(dtype), randn(shape[dim], seed=1, dtype=dtype)
    arguments = {"dim": dim, "act": act, "gain": 1.3, "clamp": clamp}
    close(bias_act(x, b, **arguments), bias_act_ref(x.double(), b.double(), **arguments), dtype)
    if dtype in (torch.float32, torch.float64):
        function = partial(bias_act, b=b, **arguments)
        with_gradients(function, lambda x: bias_act_ref(x, b.double(), **arguments), x, dtype)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activations_far_out_and_at_zero(act):
    x = torch.tensor([-1e4, -100, -89, -40, -20, -1e-3, -1e-20, 0, 1e-20, 1e-6, 0.3, 20, 60, 89, 100, 1e4, 1e30])
    for order, function in enumerate((bias_act, bias_act_ref)):
        at = leaf(x.double() if order else x)
        y = function(at, act=act)
        g = torch.autograd.grad(y.sum(), at)[0]
        if not order:
            values, slopes = y.detach(), g
    plain = _library.status()["cpu"].by == _library.REFERENCE  # where elu is torch's own, and that of 2.6 is rougher
    torch.testing.assert_close(
        values.double(), y.detach(), rtol=2e-5 if plain else 2e-6, atol=1e-33
    )  # e^x ends at 1e-38
    assert bias_act(torch.full((1,), float("nan")), act=act).isnan().all()
    away = x != 0
    torch.testing.assert_close(slopes.double()[away], g[away], rtol=4e-6, atol=1e-7)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_third_derivatives(act):
    x = leaf(randn(5))

    def second(x):
        (g,) = torch.autograd.grad(bias_act(x, act=act, gain=1.3).sum(), x, create_graph=True)
        return torch.autograd.grad(g.sum(), x, create_graph=True)[0]

    assert gradcheck(second, leaf(x))


@pytest.mark.parametrize("name", ["bias_act", "filtered_lrelu", "upfirdn2d"])
def test_what_is_not_a_number_stays_one(name):
    x = torch.zeros(1, 20, 30, 30)
    x[0, 3, 15, 15] = float("nan")
    f = smooth(12)
    y = {
        "bias_act": lambda: bias_act(x, act="lrelu", clamp=1.0),
        "filtered_lrelu": lambda: filtered_lrelu(x, f, f, up=2, down=2, padding=9, clamp=1.0),
        "upfirdn2d": lambda: upfirdn2d(x, f, up=2, padding=6),
    }[name]()
    planes = y.isnan().flatten(2).any(2)[0]
    assert planes.nonzero().flatten().tolist() == [3]  # nor does it reach its neighbors in a vector


CALLS = {
    "upfirdn2d": lambda x: (x, smooth(12), [2, 2], [1, 1], [6, 5, 6, 5], False, 4.0),
    "bias_act": lambda x: (x, randn(3, dtype=x.dtype).requires_grad_(), 1, "swish", 0.0, 1.4, 0.9),
    "bias_act_grad": lambda x: (leaf(x), x, randn(3, dtype=x.dtype).requires_grad_(), 1, "tanh", 0.0, 1.4, None, 1),
    "filtered_lrelu": lambda x: (
        *(x, smooth(12), smooth(12), randn(3, dtype=x.dtype).requires_grad_()),
        *(2, 2, [9, 8, 9, 8], 1.4, 0.2, 256.0, False),
    ),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", [*CALLS, "filtered_lrelu_jacobian"])
def test_torch_finds_nothing_wrong(name, layout):
    x = leaf(LAYOUTS[layout](randn(2, 3, 7, 6, dtype=torch.float32)))
    _library.load("cpu")
    for transpose in (False, True) if name == "filtered_lrelu_jacobian" else (None,):
        if transpose is None:
            arguments = CALLS[name](x)
        else:
            rest = CALLS["filtered_lrelu"](x)
            v = torch.ops.glad.filtered_lrelu(*rest).detach() if transpose else x.detach()
            arguments = (leaf(v), *rest, transpose)
        torch.library.opcheck(getattr(torch.ops.glad, name), arguments)


@pytest.mark.parametrize("size", [3, 5])
def test_derivatives_of_both_orders_of_the_specialized_kernels(size):
    x, b = leaf(randn(1, 2, size, size)), leaf(randn(2, seed=1))
    for up, u in ((2, 12), (4, 24)):
        padding = [u // 2 + 3, u // 2 + 2, u // 2 + 1, u // 2 + 4]
        function = partial(filtered_lrelu, fu=smooth(u), fd=smooth(12), up=up, down=2, padding=padding, clamp=0.5)
        assert gradcheck(lambda x, b, f=function: f(x, b=b), (x, b))
        assert gradgradcheck(lambda x, b, f=function: f(x, b=b), (x, b))


def test_thread_counts_and_stripes_give_the_same_bits():
    f, threads, results = smooth(12), torch.get_num_threads(), []
    x = leaf(randn(1, 5, 70, 40, dtype=torch.float32))  # one block of planes: cut into stripes for several threads
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y = filtered_lrelu(x, f, f, up=2, down=2, padding=[9, 8, 9, 8], clamp=1.0)
            z = upfirdn2d(bias_act(x, act="swish"), f, up=2, padding=[6, 5, 6, 5])
            w = upfirdn2d(x, f, down=2, padding=5)
            results.append([y, z, w, *torch.autograd.grad(y.sum() + z.sum() + w.sum(), x)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # of torch under Python 3.13.0
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_synthesis_layer_is_one_graph_with_the_same_derivatives(dynamic):
    generator = tiny_generator()
    layer, spec = generator.synthesis.layers[2], generator.synthesis.layers[2].spec
    x, w = leaf(randn(2, spec.in_channels, spec.in_size, spec.in_size, dtype=torch.float32)), codes(generator)[:, 0]
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    y, expected = compiled(x, w), layer(x, w)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(*(torch.autograd.grad(out.square().sum(), x)[0] for out in (y, expected)))


@pytest.mark.skipif(os.environ.get("GLAD_OPS") == "reference", reason="no kernels: GLAD_OPS=reference")
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set(isa):
    """The sweeps above, shorter, in a process that is told to use ``isa``."""
    _library.load("cpu")
    if _library.status()["cpu"].by == _library.REFERENCE:
        pytest.skip("no kernels: the operators run in plain torch")
    script = """
import sys; sys.path.insert(0, sys.argv[1])
import torch
import test_operators as t
for name in ("upfirdn2d", "upfirdn2d_with_a_filter_in_two_dimensions", "filtered_lrelu", "bias_act"):
    getattr(t, "test_" + name)()
import test_conv3x3
for shape in test_conv3x3.SHAPES:
    test_conv3x3.test_the_kernels_compute_the_convolution_and_its_gradients(shape)
print(t._library.status()["cpu"].isa)
"""
    result = forked.run(script, HERE, GLAD_ISA=isa, GLAD_EXAMPLES="25", PYTHONWARNINGS="default")
    assert result.returncode == 0, result.stderr[-2000:]
    if result.stdout.split()[-1] != isa:
        pytest.skip(f"this processor has no {isa}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: torch.ops.glad.upfirdn2d(x, torch.ones(9), [1, 1], [1, 1], [0, 0, 0, 0], False, 1.0),
            "padded image",
        ),
        (lambda x: torch.ops.glad.upfirdn2d(x, None, [0, 1], [1, 1], [0, 0, 0, 0], False, 1.0), "at least 1, not 0"),
        (lambda x: torch.ops.glad.bias_act(x, torch.ones(2), 1, "relu", 0.0, 1.0, None), "b has 2 entries"),
        (lambda x: torch.ops.glad.bias_act(x, None, 1, "gelu", 0.0, 1.0, None), "gelu"),
    ],
)
@pytest.mark.skipif(os.environ.get("GLAD_OPS") == "reference", reason="no kernels: GLAD_OPS=reference")
def test_the_kernels_check_what_would_be_unsafe(call, message):
    bias_act(torch.zeros(1))
    if _library.status()["cpu"].by == _library.REFERENCE:
        pytest.skip("no kernels: the operators run in plain torch")
    with pytest.raises(RuntimeError, match=message):
        call(torch.zeros(1, 3, 4, 4))
