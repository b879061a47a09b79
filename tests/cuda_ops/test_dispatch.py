"""What torch is told of an operator: derivatives without formulas, refusals, what is kept, compilation."""

import gc
import weakref

import pytest
import torch
from errors import naming
from torch.autograd import forward_ad
from torch.func import grad, hessian, jvp, vmap
from torch.utils.checkpoint import checkpoint

from cuda_ops import bias_act, filtered_lrelu, setup_filter, upfirdn2d
from cuda_ops.dispatch import Operator, register
from cuda_ops.filtered_lrelu import filtered_lrelu_ref

FILTER = setup_filter([1.0, 3.0, 2.0, 1.0], separable=True)
LRELU = {"fu": FILTER, "fd": FILTER, "up": 2, "down": 2, "padding": 3}


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def library():
    library = torch.library.Library("glad_dispatch", "FRAGMENT")
    yield library
    library._destroy()


# ---- an operator of which only the reference is known


def two_products(x, y, by):
    return x * y.square() * by, (x * y).sin()


def like_both(x, y, by):
    return torch.empty_like(x), torch.empty_like(x)


@pytest.fixture
def products(library):
    library.define("products(Tensor x, Tensor? y, float by) -> (Tensor, Tensor)")
    register(library, Operator("products", two_products, like_both, axes=("nc", "nc"), results=("nc", "nc")))
    return getattr(torch.ops, library.ns).products


@pytest.mark.parametrize("which", [0, 1])
def test_without_formulas_the_derivatives_are_the_references(products, which):
    """Of every order, and where one of the two results is not asked for."""
    tensors = randn(2, 3), randn(2, 3, seed=1)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        leaves = tuple(t.clone().requires_grad_() for t in tensors)
        assert check(lambda x, y: products(x, y, 0.7)[which], leaves)
    for transform in (
        lambda f: jvp(f, tensors, tensors),
        lambda f: jvp(lambda x: f(x, tensors[1]), tensors[:1], tensors[:1]),
        lambda f: hessian(lambda x, y: f(x, y)[which].pow(2).sum(), (0, 1))(*tensors),
        lambda f: vmap(grad(lambda x, y: f(x, y)[which].sum()), (0, None))(tensors[0].unsqueeze(1), tensors[1][:1]),
    ):
        found, expected = (transform(lambda x, y, f=f: f(x, y, 0.7)) for f in (products, two_products))
        torch.testing.assert_close(found, expected)


# ---- what an operator has no derivative in


def moving_filter(function):
    return lambda: jvp(lambda f: function(randn(1, 2, 8, 8), f), (FILTER,), (FILTER,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (moving_filter(upfirdn2d), "upfirdn2d f f.detach()"),
        (moving_filter(lambda x, f: filtered_lrelu(x, f, FILTER)), "filtered_lrelu fu"),
        (moving_filter(lambda x, f: filtered_lrelu(x, FILTER, f)), "filtered_lrelu fd"),
        (
            lambda: filtered_lrelu(randn(1, 2, 8, 8), FILTER.clone().requires_grad_(), FILTER).sum().backward(),
            "filtered_lrelu fu",
        ),
        (
            lambda: grad(lambda f: filtered_lrelu(randn(1, 2, 8, 8), None, f).sum())(FILTER),
            "filtered_lrelu fd",
        ),
    ],
)
def test_a_derivative_that_does_not_exist_is_an_error_in_every_mode(call, message):
    with pytest.raises(NotImplementedError, match=naming(message)):
        call()


def test_a_batch_of_filters_is_taken_one_by_one():
    x, filters = randn(1, 2, 8, 8), torch.stack([FILTER, FILTER.flip(0)])
    found = vmap(lambda f: upfirdn2d(x, f, up=2))(filters)
    torch.testing.assert_close(found, torch.stack([upfirdn2d(x, f, up=2) for f in filters]))
    assert vmap(lambda f: upfirdn2d(x, f, up=2))(filters[:0]).shape == (0, *found.shape[1:])


# ---- what is kept


@pytest.mark.parametrize("forward_mode", [False, True])
def test_an_input_that_no_derivative_needs_is_let_go(forward_mode):
    with forward_ad.dual_level():
        x = randn(1, 2, 8, 8).requires_grad_() * 1
        x = forward_ad.make_dual(x, randn(1, 2, 8, 8, seed=1)) if forward_mode else x
        seen = weakref.ref(x)
        y = upfirdn2d(x, FILTER)
        del x
        gc.collect()
        assert seen() is None
        y.sum().backward()  # and yet it has its derivative


def test_nothing_is_recorded_without_a_derivative_to_take():
    x = randn(1, 2, 8, 8).requires_grad_()
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert not upfirdn2d(x, FILTER).requires_grad
    assert upfirdn2d(x.detach(), FILTER).grad_fn is None


def test_a_checkpoint_makes_it_anew():
    x = randn(1, 2, 8, 8).requires_grad_()
    results = []
    for function in (lambda x: filtered_lrelu(x.sin(), **LRELU), lambda x: filtered_lrelu_ref(x.sin(), **LRELU)):
        y = checkpoint(function, x, use_reentrant=False)
        first = torch.autograd.grad(y.square().sum(), x, create_graph=True)[0]
        results.append((first.detach(), torch.autograd.grad(first.square().sum(), x)[0]))
    torch.testing.assert_close(*results)


# ---- transforms within a compiled function


COMPILED = {
    "jvp": lambda f, x: jvp(f, (x,), (x.cos(),))[1],
    "grad": lambda f, x: grad(f)(x),
    "calls as one": lambda f, x: vmap(grad(f))(torch.stack([x, -x])),
    "jvp of grad": lambda f, x: jvp(grad(f), (x,), (x.cos(),))[1],
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_transforms_are_compiled_with_what_they_transform(backend):
    """All in one graph: torch drops the forward formula of a torch.autograd.Function there (issue 192985)."""
    x = randn(1, 2, 4, 4)

    def loss(x):
        return bias_act(filtered_lrelu(x.sin(), **LRELU), act="swish").square().sum()

    def all_of_them(x):
        return tuple(transform(loss, x) for transform in COMPILED.values())

    found = torch.compile(all_of_them, backend=backend, fullgraph=True)(x)
    torch.testing.assert_close(found, all_of_them(x))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_dual_numbers_begin_within_a_compiled_function(backend):
    def tangent(x):
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(upfirdn2d(forward_ad.make_dual(x, x.cos()), FILTER)).tangent

    x = randn(1, 2, 8, 8)
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            found = torch.compile(tangent, backend=backend, fullgraph=True)(x)
            torch.testing.assert_close(found, upfirdn2d(x.cos(), FILTER))
