"""filtered_lrelu: another implementation's numbers, derivatives, and the fused path against the reference."""

import pytest
import torch
from errors import naming
from fixtures import GRADIENT, check, leaf, operator_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from cuda_ops import filtered_lrelu, upfirdn2d
from cuda_ops.filtered_lrelu import filtered_lrelu_ref

both = pytest.mark.parametrize("function", [filtered_lrelu, filtered_lrelu_ref])
TAPS = torch.tensor([1.0, 3, 3, 1]) / 8


@both
@pytest.mark.parametrize("case", operator_cases("filtered_lrelu"))
def test_agrees_with_the_other_implementation(case, function):
    x, b = leaf(case["x"]), leaf(case["e0"])
    y = function(x, b=b, **case.arguments)
    check(y, case["y"])
    gx, gb = torch.autograd.grad(y, [x, b], case["v"], create_graph=True)
    check(gx, case["gx"], GRADIENT)
    check(gb, case["ge0"], GRADIENT)
    check(torch.autograd.grad((gx * case["u"]).sum(), x)[0], case["ggx"], GRADIENT)


@both
def test_worked_numbers(function):
    x = torch.arange(6.0).reshape(1, 1, 2, 3) - 2.5
    fu, fd = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, -1])
    y = function(x, fu, fd, torch.tensor([0.5]), up=2, down=2, padding=[2, 1, 1, 2], clamp=20)
    check(y, torch.tensor([[[[-1.1314, 4.5255, 13.2118], [-5.6569, 0, 0]]]]), 1e-5)


@st.composite
def calls(draw):
    """A tensor, a bias and arguments that fit them."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    filters = st.sampled_from([None, (4,), (6,), (3, 2)])
    fu, fd = (None if s is None else torch.randn(s, generator=rng) for s in (draw(filters), draw(filters)))
    n, c, h, w = (draw(st.integers(low, high)) for low, high in [(0, 2), (1, 3), (1, 5), (1, 5)])
    padding = draw(st.lists(st.integers(5, 9), min_size=4, max_size=4))
    if draw(st.booleans()):
        padding = [padding[0] + 6, padding[1] - 7, padding[2] - 6, padding[3] + 6]  # crops on some sides
    x = torch.randn(n, h, w, c, generator=rng, dtype=torch.float64).permute(0, 3, 1, 2)
    b = draw(st.sampled_from([None, torch.randn(c, generator=rng, dtype=torch.float64)]))
    arguments = {"up": draw(st.integers(1, 3)), "down": draw(st.integers(1, 3)), "padding": padding}
    arguments |= {
        "gain": draw(st.sampled_from([1.0, 2**0.5, 0.0, -1.5])),
        "slope": draw(st.sampled_from([0.2, 1.0, 0.0])),
    }
    clamp = draw(st.sampled_from([None, 0.7]))
    return x, {"fu": fu, "fd": fd, "b": b, "clamp": clamp, "flip_filter": draw(st.booleans()), **arguments}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(calls())
def test_equals_the_reference(call):
    x, arguments = leaf(call[0]), call[1]
    y, expected = filtered_lrelu(x, **arguments), filtered_lrelu_ref(x, **arguments)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    v = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
    grads = (torch.autograd.grad(out, x, v)[0] for out in (y, expected))
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-10)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(calls(), st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_keeps_the_type_and_its_precision(call, dtype):
    x, arguments = call[0].to(dtype), call[1]
    y, exact = filtered_lrelu(x, **arguments), filtered_lrelu_ref(x.double(), **arguments)
    assert y.dtype == dtype
    bare = {name: None if arguments[name] is None else arguments[name].abs() for name in ("fu", "fd", "b")}
    whole = {**arguments, **bare, "gain": abs(arguments["gain"]), "clamp": None, "slope": 1.0}
    scale = filtered_lrelu_ref(x.double().abs(), **whole)  # what the sums add up, without signs
    assert ((y.double() - exact).abs() <= 8 * torch.finfo(dtype).eps * scale).all()


def test_the_bias_is_filtered_but_not_the_padding():
    x, b = torch.zeros(1, 1, 4, 4), torch.tensor([1.0])
    y = filtered_lrelu(x, TAPS, None, b, up=2, padding=[2, 1, 2, 1], gain=1)
    assert (y[0, 0, 0] < 1).all()
    check(y[0, 0, 3:-3, 3:-3], torch.ones(2, 2))  # a constant passes in the middle


def test_slope_and_gain_one_only_resample_and_clamp():
    x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = upfirdn2d(upfirdn2d(x, TAPS, up=2, padding=3, gain=4).clamp(-0.3, 0.3), TAPS, down=2)
    check(filtered_lrelu(x, TAPS, TAPS, up=2, down=2, padding=3, gain=1, slope=1, clamp=0.3), expected)


@pytest.mark.parametrize("fu", [TAPS, TAPS.outer(TAPS), None])
@pytest.mark.parametrize("fd", [TAPS, TAPS.outer(TAPS), None])
def test_derivatives_of_both_orders(fu, fd):
    rng = torch.Generator().manual_seed(0)
    x, b = (leaf(torch.randn(shape, generator=rng, dtype=torch.float64)) for shape in ((1, 2, 3, 3), (2,)))

    def function(x, b):
        return filtered_lrelu(x, fu, fd, b, up=2, down=2, padding=[3, 2, 4, 3], clamp=0.5)

    assert gradcheck(function, (x, b))
    # Piecewise linear: the second derivative in x is zero, the mixed one with the cotangent is not.
    assert gradgradcheck(function, (x, b))


@both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"up": 0}, "up 1"),
        ({"down": [1, 0]}, "down"),
        ({"padding": [1]}, "integers 1"),
        ({"fu": torch.ones(9)}, "5x5 9x9"),
        ({"fd": torch.ones(9)}, "9x9"),
        ({"b": torch.zeros(3)}, "bias (3,) x 2 dim 1"),
        ({"clamp": -2.0}, "clamp 0"),
    ],
)
def test_errors_name_what_is_wrong(function, arguments, message):
    with pytest.raises(ValueError, match=naming(message)):
        function(torch.zeros(1, 2, 5, 5), **arguments)
