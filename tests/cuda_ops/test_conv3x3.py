"""3x3 convolutions: the kernels against float64, all derivatives, and where torch's own are taken."""

import os

import pytest
import torch
import torch.nn.functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from cuda_ops import _library, conv3x3
from cuda_ops.conv3x3 import convolutions, pays, use_convolutions, used_convolutions
from glad.networks import make_network
from glad.rng import rng_for

SHAPES = [  # images, channels of both sides, height and width
    *[(2, 3, 5, 7, 9), (3, 17, 20, 4, 4), (1, 16, 64, 16, 16), (2, 33, 130, 8, 8), (1, 5, 40, 33, 18), (1, 1, 1, 1, 1)],
    *[(3, 20, 24, 16, 5), (1, 2, 3, 2, 70), (9, 32, 16, 14, 14), (2, 4, 48, 3, 17)],
]
BOUND = 1.2e-6  # of the kernels' results, in the Euclidean norm


def normal(name, *size, dtype=torch.float32):
    return torch.randn(*size, generator=rng_for("conv", name, *size)).to(dtype)


def inputs(n, c, k, height, width, dtype=torch.float32):
    weight, bias = normal("weight", k, c, 3, 3, dtype=dtype), normal("bias", k, dtype=dtype)
    return normal("x", n, c, height, width, dtype=dtype), weight, bias, normal("g", n, k, height, width, dtype=dtype)


def by_kernels(x, weight, bias, g):
    _library.load("cpu")
    ops = torch.ops.glad
    return ops.winograd(x, weight, bias, False), ops.winograd(g, weight, None, True), ops.winograd_weight_grad(g, x)


def by_torch(x, weight, bias, g):
    y = F.conv2d(x, weight, bias, padding=1)
    return y, conv2d_input(x.shape, weight, g, padding=1), conv2d_weight(x, weight.shape, g, padding=1)


def error(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernels_compute_the_convolution_and_its_gradients(shape):
    given = inputs(*shape)
    expected = by_torch(*(t.double() for t in given))
    for found, right in zip(by_kernels(*given), expected, strict=True):
        assert found.shape == right.shape
        assert error(found, right) < BOUND
    assert error(torch.ops.glad.narrow_conv(*given[:3]), expected[0]) < BOUND / 2


@pytest.mark.parametrize(("c", "side"), [(128, 16), (64, 8)])
def test_the_rounding_error_is_a_few_times_a_direct_convolutions(c, side):
    x, weight, bias, g = inputs(4, c, c, side, side)
    given = x.relu(), weight / (9 * c) ** 0.5, bias, g * 1e-3
    expected = by_torch(*(t.double() for t in given))
    for found, direct, right in zip(by_kernels(*given), by_torch(*given), expected, strict=True):
        assert error(found, right) < 5 * error(direct, right)


def test_any_number_of_threads_gives_the_same_bits():
    given = inputs(5, 24, 40, 17, 13)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append([*by_kernels(*given), torch.ops.glad.narrow_conv(*given[:3])])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("layout", ["channels_last", "cut"])
def test_every_layout_gives_the_same(layout):
    given = inputs(2, 16, 20, 6, 7)
    change = {
        "channels_last": lambda t: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t,
        "cut": lambda t: torch.stack([t, t], -1)[..., 1],
    }[layout]
    for found, expected in zip(by_kernels(*map(change, given)), by_kernels(*given), strict=True):
        assert torch.equal(found, expected)


def test_an_empty_batch():
    x, weight, bias, g = inputs(1, 4, 5, 6, 7)
    y, dx, dw = by_kernels(x[:0], weight, bias, g[:0])
    assert (y.shape, dx.shape, dw.shape) == ((0, 5, 6, 7), (0, 4, 6, 7), weight.shape)
    assert not dw.any()


def test_what_does_not_fit_is_refused():
    x, weight, bias, g = inputs(1, 4, 5, 6, 7)
    _library.load("cpu")
    for wrong in ((x[:, :3], weight, bias, False), (x, weight, bias[:4], False), (x.double(), weight, None, False)):
        with pytest.raises(RuntimeError):
            torch.ops.glad.winograd(*wrong)
        with pytest.raises(RuntimeError):
            torch.ops.glad.narrow_conv(*wrong[:3])
    with pytest.raises(RuntimeError):
        torch.ops.glad.winograd_weight_grad(g[:, :, 1:], x)


def test_differences_agree_twice():
    tensors = [t.requires_grad_() for t in inputs(1, 2, 2, 3, 2, dtype=torch.float64)[:3]]
    _library.load("cpu")
    assert torch.autograd.gradcheck(torch.ops.glad.conv3x3, tensors, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(torch.ops.glad.conv3x3, tensors)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # within opcheck
def test_the_operator_is_well_formed():
    x, weight, bias, _ = (t.requires_grad_() for t in inputs(2, 16, 16, 8, 8))
    _library.load("cpu")
    torch.library.opcheck(torch.ops.glad.conv3x3.default, (x, weight, bias))


def second_derivatives(network, x):
    """A loss, its gradient in the weights, and the gradient of a product with that in the images and the weights."""
    weights = list(network.parameters())
    x = x.clone().requires_grad_()
    loss = network(x).square().mean()
    first = torch.autograd.grad(loss, weights, create_graph=True)
    product = sum((part * (part.detach().abs() + 1)).sum() for part in first)
    return [loss, *first, *torch.autograd.grad(product, [x, *weights])]


def test_a_convnet_has_the_derivatives_of_direct_convolutions():
    network = make_network("convnet", channels=3, classes=4, resolution=16, rng=rng_for("net"), width=16)
    x = normal("images", 8, 3, 16, 16)
    found = second_derivatives(network, x)
    with convolutions("direct"):
        direct = second_derivatives(network, x)
    expected = second_derivatives(network.double(), x.double())
    assert any(not torch.equal(a, b) for a, b in zip(found, direct, strict=True))
    scale = max(float(right.detach().abs().max()) for right in expected)  # that in a bias before a norm is zero
    for value, right in zip(found, expected, strict=True):
        torch.testing.assert_close(value.double(), right, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((16, 128, 16, 16, 128), True),
        ((16, 128, 8, 8, 128), True),
        ((1, 128, 8, 8, 128), False),  # too few pixels for the transform of the weight
        ((16, 3, 32, 32, 128), True),
        ((1, 3, 32, 32, 128), False),
        ((16, 3, 32, 32, 16), False),
        ((64, 64, 1, 1, 64), False),  # a pixel in a tile of 16
    ],
)
def test_where_it_pays(shape, expected):
    assert pays(*shape) == expected


def test_elsewhere_it_is_torchs_own():
    x, weight, bias, _ = inputs(4, 16, 16, 8, 8)
    fast, direct = conv3x3(x, weight, bias), F.conv2d(x, weight, bias, padding=1)
    if os.environ.get("GLAD_OPS") != "reference":
        assert not torch.equal(fast, direct)
    torch.testing.assert_close(fast, direct, rtol=1e-4, atol=1e-4)
    assert torch.equal(conv3x3(x[:1, :, :4], weight), F.conv2d(x[:1, :, :4], weight, padding=1))
    double = [t.double() for t in (x, weight, bias)]
    assert torch.equal(conv3x3(*double), F.conv2d(*double, padding=1))
    with convolutions("direct"):
        assert torch.equal(conv3x3(x, weight, bias), direct)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv3x3(x, weight, bias).dtype == torch.bfloat16


def test_the_choice_holds_until_it_is_given_back():
    assert used_convolutions() == "auto"
    with convolutions("direct"):
        assert used_convolutions() == "direct"
        use_convolutions("auto")
        assert used_convolutions() == "auto"
        use_convolutions("direct")
    assert used_convolutions() == "auto"


def test_a_weight_that_has_changed_in_place_is_transformed_anew():
    """Transformed weights are kept; what counts is their content, not where they lie."""
    _library.load("cpu")
    x, weight, *_ = inputs(8, 16, 16, 8, 8)
    for number in range(4):
        for turned in (False, True):
            w = weight.transpose(0, 1).flip(2, 3) if turned else weight
            expected = F.conv2d(x, w, padding=1)
            for _ in range(2):  # made, and kept
                torch.testing.assert_close(
                    torch.ops.glad.winograd(x, weight, None, turned), expected, atol=1e-4, rtol=0
                )
        weight.view(-1)[-1 - number] += 1
