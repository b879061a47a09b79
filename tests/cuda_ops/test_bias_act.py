"""bias_act: another implementation's numbers, derivatives, clamping and errors."""

import pytest
import torch
from errors import naming
from fixtures import GRADIENT, check, leaf, operator_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from cuda_ops import bias_act
from cuda_ops.bias_act import ACTIVATIONS


@pytest.mark.parametrize("case", operator_cases("bias_act"))
def test_agrees_with_the_other_implementation(case):
    x, b = leaf(case["x"]), leaf(case["e0"])
    y = bias_act(x, b, **case.arguments)
    check(y, case["y"])
    gx, gb = torch.autograd.grad(y, [x, b], case["v"], create_graph=True)
    check(gx, case["gx"], GRADIENT)
    check(gb, case["ge0"], GRADIENT)
    if "ggx" in case:
        check(torch.autograd.grad((gx * case["u"]).sum(), x)[0], case["ggx"], GRADIENT)


def test_worked_numbers():
    y = bias_act(torch.tensor([[-1, 0.5], [2, -3]]), torch.tensor([0.25, -0.25]), act="lrelu", clamp=1)
    check(y, torch.tensor([[-0.2121, 0.3536], [1.0, -0.9192]]), 1e-4)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("clamp", [None, 0.5])
def test_derivatives_of_both_orders(act, clamp):
    rng = torch.Generator().manual_seed(0)
    x, b = (leaf(torch.randn(shape, generator=rng, dtype=torch.float64)) for shape in ((2, 3, 2), (3,)))
    assert gradcheck(lambda *t: bias_act(*t, act=act, gain=1.3, clamp=clamp), (x, b))
    assert gradgradcheck(lambda *t: bias_act(*t, act=act, gain=1.3, clamp=clamp), (x, b))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
    st.integers(-4, 3),
    st.sampled_from(list(ACTIVATIONS)),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_any_shape_dimension_and_type(shape, dim, act, dtype):
    dim %= len(shape)
    rng = torch.Generator().manual_seed(len(shape))
    x, b = torch.randn(shape, generator=rng).to(dtype), torch.randn(shape[dim], generator=rng)
    y = bias_act(x, b, dim, act)
    assert y.shape == x.shape
    assert y.dtype == dtype
    rows = [
        bias_act(row, act=act) for row in (part + bias for part, bias in zip(x.unbind(dim), b.to(dtype), strict=True))
    ]
    if rows:
        torch.testing.assert_close(y, torch.stack(rows, dim), rtol=4 * torch.finfo(dtype).eps, atol=1e-6)
    torch.testing.assert_close(bias_act(x, b, dim - len(shape), act), y, rtol=0, atol=0)  # counted from the end
    turned = x.movedim(0, -1)  # another layout
    torch.testing.assert_close(bias_act(turned, act=act), bias_act(x, act=act).movedim(0, -1))


def test_the_gain_comes_before_the_clamp_and_the_gradient_is_zero_beyond_it():
    x = leaf(torch.tensor([0.4, 0.6, -0.4, -0.7]))
    y = bias_act(x, gain=2, clamp=1)
    check(y, torch.tensor([0.8, 1, -0.8, -1]))
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [2, 0, 2, 0]


def test_alpha_is_the_slope_of_lrelu_alone():
    x = torch.tensor([-1.0, 2.0])
    check(bias_act(x, act="lrelu", alpha=0.5, gain=1), torch.tensor([-0.5, 2]))
    assert torch.equal(bias_act(x, act="elu", alpha=0.5), bias_act(x, act="elu"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"act": "gelu"}, "'gelu' linear relu lrelu"),
        ({"clamp": -1.0}, "clamp 0 -1.0"),
        ({"b": torch.zeros(2)}, "bias (2,) x 3 dim 1"),
        ({"b": torch.zeros(3, 1)}, "bias (3 1)"),
        ({"b": torch.zeros(3), "dim": 2}, "dim 2 2"),
    ],
)
def test_errors_name_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=naming(message)):
        bias_act(torch.zeros(2, 3), **arguments)
