"""Instance norm, ReLU and pooling in one: values and both derivatives against plain torch, and where it is not used."""

import pytest
import torch

from cuda_ops import _library
from cuda_ops.norm_relu_pool import (
    _grad_grad_reference,
    _grad_reference,
    norm_relu_pool,
    norm_relu_pool_ref,
)
from glad.networks import make_network
from glad.rng import rng_for

SHAPES = [(2, 3, 4, 4), (1, 1, 2, 2), (3, 5, 6, 10), (2, 4, 32, 32), (1, 2, 34, 18), (2, 2, 2, 30)]


def inputs(shape, dtype=torch.float64, seed=0):
    def normal(name, *size):
        return torch.randn(*size, generator=rng_for("norm", name, seed), dtype=torch.float64).to(dtype)

    c = shape[1]
    return [t.requires_grad_() for t in (2 * normal("x", *shape) + 3, 1 + normal("weight", c), 0.3 * normal("bias", c))]


def derivatives(function, tensors):
    """Output, first and second derivatives under cotangents that are drawn."""
    y = function(*tensors)
    g = torch.randn(y.shape, generator=rng_for("g"), dtype=torch.float64).to(y.dtype).requires_grad_()
    first = torch.autograd.grad(y, tensors, g, create_graph=True)
    cotangents = [
        torch.randn(d.shape, generator=rng_for("u", i), dtype=torch.float64).to(d.dtype) for i, d in enumerate(first)
    ]
    second = torch.autograd.grad(first, [g, *tensors[:2]], cotangents)
    return [y, *first, *second]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_values_and_two_derivatives_are_those_of_plain_torch(shape, dtype, rtol):
    expected = derivatives(norm_relu_pool_ref, inputs(shape))
    found = derivatives(norm_relu_pool, inputs(shape, dtype))
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value.double(), other, rtol=rtol, atol=rtol * float(other.detach().abs().max()))


def test_differences_agree_twice():
    tensors = inputs((2, 2, 4, 6))
    assert torch.autograd.gradcheck(norm_relu_pool, tensors)
    assert torch.autograd.gradgradcheck(norm_relu_pool, tensors)


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "sliced"])
def test_every_layout_gives_the_same(layout):
    x, weight, bias = inputs((2, 4, 6, 8))
    kept = x.detach()
    other = {
        "channels_last": kept.to(memory_format=torch.channels_last),
        "transposed": kept.transpose(2, 3).contiguous().transpose(2, 3),
        "sliced": torch.cat([kept, kept], 1)[:, :4],
    }[layout].requires_grad_()
    for found, expected in zip(
        derivatives(norm_relu_pool, [other, weight, bias]), derivatives(norm_relu_pool, [x, weight, bias]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_references_are_the_kernels():
    x, weight, bias = (t.detach() for t in inputs((2, 3, 6, 4)))
    g, u = torch.randn(2, 3, 3, 2, dtype=torch.float64), torch.randn(2, 3, 6, 4, dtype=torch.float64)
    p, q = torch.randn(2, 2, 3, dtype=torch.float64)
    _library.load("cpu")
    pairs = [
        (torch.ops.glad.norm_relu_pool_grad, _grad_reference, (g, x, weight, bias, 1e-5)),
        (torch.ops.glad.norm_relu_pool_grad_grad, _grad_grad_reference, (u, p, q, g, x, weight, bias, 1e-5)),
    ]
    for kernel, reference, arguments in pairs:
        for found, expected in zip(kernel(*arguments), reference(*arguments), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_differences_agree_a_third_time():
    def second(x, weight, bias):
        first = torch.autograd.grad(norm_relu_pool(x, weight, bias).pow(2).sum(), [x, weight], create_graph=True)
        return torch.autograd.grad(first[0].pow(2).sum() + first[1].pow(2).sum(), [x, weight, bias], create_graph=True)

    assert torch.autograd.gradcheck(second, inputs((1, 2, 4, 4)))


def test_what_overflows_is_not_a_number():
    x, weight, bias = (t.detach() for t in inputs((2, 2, 4, 4), torch.float32))
    y = norm_relu_pool(torch.cat([x[:1] * 1e25, x[1:]]), weight, bias)
    assert y[0].isnan().all() and y[1].isfinite().all()


def test_nan_stays_and_odd_sides_and_halves_take_the_plain_way():
    x, weight, bias = (t.detach() for t in inputs((2, 2, 4, 4)))
    x[0, 0, 0, 0] = float("nan")
    y = norm_relu_pool(x, weight, bias)
    assert y[0, 0].isnan().all() and y[1].isfinite().all() and y[0, 1].isfinite().all()
    odd, weight, bias = (t.detach() for t in inputs((2, 2, 5, 7)))
    assert torch.equal(norm_relu_pool(odd, weight, bias), norm_relu_pool_ref(odd, weight, bias))
    half = [t.bfloat16() for t in (odd, weight, bias)]
    assert norm_relu_pool(*half).dtype == torch.bfloat16


def test_weights_may_be_views_of_any_stride():
    x, weight, bias = (t.detach() for t in inputs((2, 3, 4, 4)))
    views = [(torch.stack([weight, bias], 1)[:, 0], bias), (weight, bias[:1].expand(3)), (weight[1].expand(3), bias)]
    for w, b in views:
        torch.testing.assert_close(norm_relu_pool(x, w, b), norm_relu_pool_ref(x, w.contiguous(), b.contiguous()))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # within opcheck
def test_operators_are_well_formed():
    x, weight, bias = inputs((2, 3, 4, 4))
    torch.library.opcheck(torch.ops.glad.norm_relu_pool.default, (x, weight, bias, 1e-5))


def test_convnet_is_what_its_modules_say():
    network = make_network("convnet", channels=1, classes=3, resolution=28, rng=rng_for("net"), width=6).double()
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    assert [name for name in parameters if ".1." in name][:2] == ["blocks.0.1.weight", "blocks.0.1.bias"]
    x = torch.randn(3, 1, 28, 28, generator=rng_for("images"), dtype=torch.float64)

    def plain(x):
        for i, block in enumerate(network.blocks):
            x = block[0](x)
            x = norm_relu_pool_ref(x, parameters[f"blocks.{i}.1.weight"], parameters[f"blocks.{i}.1.bias"])
        return network.classifier(x.flatten(1))

    torch.testing.assert_close(network(x), plain(x), rtol=1e-10, atol=1e-12)
