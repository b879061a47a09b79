"""upfirdn2d: another implementation's numbers, derivatives, and every path against the reference."""

import pytest
import torch
from errors import naming
from fixtures import GRADIENT, check, leaf, operator_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from cuda_ops import setup_filter, upfirdn2d
from cuda_ops.upfirdn2d import filter_plain, upfirdn2d_ref

both = pytest.mark.parametrize("function", [upfirdn2d, upfirdn2d_ref])
X = torch.tensor([[[[0.0, 1, 2], [3, 4, 5]]]])
F = torch.tensor([1.0, 2, 3])


@both
@pytest.mark.parametrize("case", operator_cases("upfirdn2d"))
def test_agrees_with_the_other_implementation(case, function):
    x = leaf(case["x"])
    y = function(x, **case.arguments)
    check(y, case["y"])
    check(torch.autograd.grad(y, x, case["v"])[0], case["gx"], GRADIENT)


@both
@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (
            {"up": 2, "padding": [2, 1, 1, 2], "gain": 4},
            [
                [0, 0, 8, 16, 40, 32, 48],
                [12, 24, 64, 56, 128, 88, 132],
                [24, 48, 104, 64, 136, 80, 120],
                [36, 72, 156, 96, 204, 120, 180],
                [0, 0, 0, 0, 0, 0, 0],
            ],
        ),
        ({"up": 2, "down": 2, "padding": [-1, 2, 2, -1]}, [[2, 4, 0], [14, 22, 0]]),
        ({"padding": 1}, [[12, 30, 36], [23, 56, 65]]),
        ({"padding": 1, "flip_filter": True}, [[60, 94, 52], [39, 60, 33]]),
    ],
)
def test_worked_numbers(function, arguments, rows):
    check(function(X, F, **arguments), torch.tensor([[rows]], dtype=torch.float32))


@st.composite
def calls(draw):
    """A tensor, a filter and arguments that fit them."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    taps = draw(st.sampled_from([None, (1,), (3,), (6,), (1, 4), (3, 2)]))
    f = None if taps is None else torch.randn(taps, generator=rng)
    fw, fh = (1, 1) if f is None else (f.shape[-1], f.shape[0])
    n, c, h, w = (draw(st.integers(low, high)) for low, high in [(0, 2), (1, 3), (1, 6), (1, 6)])
    factors = st.integers(1, 4) | st.lists(st.integers(1, 3), min_size=2, max_size=2)
    up, down = draw(factors), draw(factors)
    ux, uy = (up, up) if isinstance(up, int) else up
    padding = []
    for size, length in ((w * ux, fw), (h * uy, fh)):
        before = draw(st.integers(-4, 6))
        padding += [before, draw(st.integers(0, 4)) + max(length - size - before, -3)]
    x = torch.randn(n, c, h, w, generator=rng, dtype=torch.float64)
    layout = draw(st.sampled_from(["contiguous", "transposed", "strided"]))
    if layout == "transposed":
        x = x.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0)
    if layout == "strided":
        x = torch.stack([x, x * 2], -1)[..., 1]
    arguments = {"up": up, "down": down, "padding": padding, "flip_filter": draw(st.booleans())}
    return x, f, {**arguments, "gain": draw(st.sampled_from([1, 0.5, 4.0]))}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(calls())
def test_equals_the_reference(call):
    x, f, arguments = call
    x = x.requires_grad_()
    y, expected = upfirdn2d(x, f, **arguments), upfirdn2d_ref(x, f, **arguments)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    if y.numel():
        v = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
        grads = (torch.autograd.grad(out, x, v)[0] for out in (y, expected))
        torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(calls())
def test_output_size_is_as_documented(call):
    x, f, arguments = call
    up, down = ([v, v] if isinstance(v, int) else v for v in (arguments["up"], arguments["down"]))
    (x0, x1, y0, y1), (fw, fh) = arguments["padding"], (1, 1) if f is None else (f.shape[-1], f.shape[0])
    width = (x.shape[3] * up[0] + x0 + x1 - fw) // down[0] + 1
    height = (x.shape[2] * up[1] + y0 + y1 - fh) // down[1] + 1
    assert upfirdn2d(x, f, **arguments).shape == (*x.shape[:2], height, width)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(calls(), st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_keeps_the_type_and_its_precision(call, dtype):
    x, f, arguments = call
    y = upfirdn2d(x.to(dtype), f, **arguments)
    assert y.dtype == dtype
    exact = upfirdn2d_ref(x, f, **arguments)
    scale = upfirdn2d_ref(x.abs(), None if f is None else f.abs(), **arguments)  # what each sum adds up, without signs
    assert ((y.double() - exact).abs() <= 4 * torch.finfo(dtype).eps * scale).all()


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (4, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("size", [90, 97, 131, 200])
def test_plain_torch_in_blocks_equals_the_reference(size, up, down):
    x = torch.randn(1, 2, size, size + 3, generator=torch.Generator().manual_seed(0))
    f = torch.randn(12, generator=torch.Generator().manual_seed(1))
    arguments = (f, (up, up), (down, down), (7, 4, -3, 6), False, 2.0)
    check(filter_plain(x, *arguments), upfirdn2d_ref(x, *arguments), 2e-6)


@pytest.mark.parametrize("f", [F / 6, F.outer(F) / 36, F[None] / 6, None])
@pytest.mark.parametrize(
    "arguments", [{"up": 2, "padding": [2, 1, 0, 3]}, {"up": [1, 2], "down": 2, "padding": [3, -1, 2, 1]}]
)
def test_derivatives_of_both_orders(f, arguments):
    x = leaf(torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    assert gradcheck(lambda t: upfirdn2d(t, f, **arguments), x)
    assert gradgradcheck(lambda t: upfirdn2d(t, f, **arguments), x)


def test_the_gradient_is_upfirdn2d_with_the_factors_exchanged():
    x, f = leaf(torch.ones(1, 1, 5, 5)), torch.tensor([1.0, 2, 3, 4])
    y = upfirdn2d(x, f, up=2, down=3, padding=2, gain=3)
    v = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    low, high = 4 - 1 - 2, 5 * 2 - y.shape[3] * 3 + 2 - 2 + 1
    expected = upfirdn2d(v, f, up=3, down=2, padding=[low, high] * 2, flip_filter=True, gain=3)
    check(torch.autograd.grad(y, x, v)[0], expected)


def test_a_crop_beyond_the_image_leaves_zeros():
    for function in (upfirdn2d, upfirdn2d_ref):
        assert torch.equal(function(torch.ones(1, 1, 4, 4), None, padding=[-6, 8, 0, 0]), torch.zeros(1, 1, 4, 6))


@both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"up": 0}, "up 1"),
        ({"up": [2]}, "up two"),
        ({"down": [2, -1]}, "down [2 -1]"),
        ({"padding": [1, 2, 3]}, "integers 3 [1, 2, 3]"),
        ({"padding": [-1, -1, 0, 0]}, "2x1 3x3"),
        ({"gain": -1.0, "padding": 2}, "root gain"),
        ({"f": F.half()}, "f float32 float64 torch.float16"),
        ({"f": F.reshape(1, 1, 3)}, "(1 1 3)"),
        ({"f": F[:0]}, "(0,)"),
        ({"f": leaf(F), "padding": 2}, "gradient filter"),
        ({"x": X[0]}, "x (1 2 3)"),
        ({"x": X.long()}, "x floating-point"),
    ],
)
def test_errors_name_what_is_wrong(function, arguments, message):
    with pytest.raises(ValueError, match=naming(message)):
        function(**{"x": X, "f": F, **arguments})


def test_setup_filter():
    assert setup_filter(None) is None
    check(setup_filter([1, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])) / 64)
    assert setup_filter(torch.ones(8)).shape == (8,)
    check(setup_filter([1, 3], separable=True, flip_filter=True, gain=4), torch.tensor([1.5, 0.5]))
    check(setup_filter([1, 3], separable=True, normalize=False), torch.tensor([1.0, 3]))
    assert setup_filter(2.0).shape == (1, 1)
    with pytest.raises(ValueError, match=naming("separable")):
        setup_filter(torch.ones(2, 2), separable=True)
    with pytest.raises(ValueError, match=naming("tap")):
        setup_filter([])
