"""Modulated convolutions: few multiplications, frozen and learned weights, types, layouts, compilation."""

import pytest
import torch
import torch.nn.functional as F
from fixtures import check, codes, leaf, tiny_generator
from torch.autograd import grad

from generators import winograd
from generators.modulated_conv import modulated_conv

CLOSE = 1e-5


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def everywhere(monkeypatch):
    """Few multiplications for small convolutions too."""
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "LEAST_PIXELS", 1)


@pytest.fixture
def calls(monkeypatch):
    """The shapes with which the convolution of few multiplications was asked for."""
    seen, original = [], winograd.conv3x3
    monkeypatch.setattr(winograd, "conv3x3", lambda x, w, p: seen.append(tuple(x.shape)) or original(x, w, p))
    return seen


SHAPES = [(1, 1, 3, 3), (2, 3, 4, 7), (3, 2, 9, 6), (0, 2, 5, 5), (2, 2, 1, 2), (1, 2, 40, 5)]


@pytest.mark.parametrize(
    ("shape", "padding"), [(s, p) for s in SHAPES for p in (0, 1, 2) if min(s[2:]) + 2 * p >= 3], ids=str
)
def test_few_multiplications_give_the_convolution_and_its_derivative(shape, padding):
    x, weight = leaf(normal(*shape)), normal(5, shape[1], 3, 3, seed=1)
    expected_x = leaf(x.double())
    expected = F.conv2d(expected_x, weight.double(), padding=padding)
    y, v = winograd.conv3x3(x, weight, padding), normal(*expected.shape, seed=2)
    assert y.shape == expected.shape
    if y.numel():
        check(y.double(), expected.detach(), CLOSE)
        check(grad(y, x, v)[0].double(), grad(expected, expected_x, v.double())[0], CLOSE)


def test_samples_are_taken_together_as_far_as_the_cache_reaches(monkeypatch):
    x, weight = normal(7, 3, 9, 9), normal(4, 3, 3, 3, seed=1)
    whole = winograd.conv3x3(x, weight, 1)
    for tiles in (1, 27, 40):
        monkeypatch.setattr(winograd, "BATCH", tiles)
        check(winograd.conv3x3(x, weight, 1), whole, CLOSE)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_every_layout_is_read_and_channels_last_returned(layout):
    x, weight = normal(2, 3, 8, 12).contiguous(memory_format=layout), normal(4, 3, 3, 3, seed=1)
    y = winograd.conv3x3(x, weight, 2)
    assert y.is_contiguous(memory_format=torch.channels_last)
    check(
        winograd.conv3x3(x[:, :, ::2, 1::2], weight.transpose(2, 3), 2),
        F.conv2d(x[:, :, ::2, 1::2], weight.mT, None, 1, 2),
    )
    check(y, F.conv2d(x, weight, padding=2), CLOSE)


def test_second_derivatives_are_those_of_the_convolution():
    weight, v = normal(4, 3, 3, 3, seed=1), normal(1, 3, 6, 6, seed=2)

    def second(conv):
        x = leaf(normal(1, 3, 6, 6))
        first = grad(conv(x).pow(3).sum(), x, create_graph=True)[0]
        return grad((first * v).sum(), x)[0]

    found = second(lambda x: winograd.conv3x3(x, weight, 2))
    check(found, second(lambda x: F.conv2d(x, weight, padding=2)), 1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # within opcheck
def test_the_operator_keeps_the_rules_of_a_library_operator():
    torch.library.opcheck(torch.ops.generators.conv3x3, (leaf(normal(2, 3, 8, 8)), normal(4, 3, 3, 3, seed=1), 2))


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_differences_agree_in_the_weight_too(padding):
    x, weight = leaf(normal(1, 2, 4, 3).double()), leaf(normal(2, 2, 3, 3, seed=1).double())
    assert torch.autograd.gradcheck(lambda x, w: winograd.conv3x3(x, w, padding), (x, weight), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x, w: winograd.conv3x3(x, w, padding), (x, weight))


def test_it_is_compiled_whole(everywhere):
    x, weight, style = leaf(normal(1, 4, 8, 8)), normal(4, 4, 3, 3, seed=1), normal(1, 4, seed=2)
    compiled = torch.compile(modulated_conv, backend="aot_eager", fullgraph=True)
    y, expected = (function(x, weight, style, padding=2) for function in (compiled, modulated_conv))
    check(y, expected.detach(), 1e-6)
    check(*(grad(t.square().sum(), x)[0] for t in (y, expected)), 1e-6)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "dtype", "learned", "expected"),
    [
        (256, 36, 3, torch.float32, False, True),
        (256, 36, 3, torch.float32, True, False),  # whose derivative is not made of few multiplications
        (256, 36, 3, torch.float64, False, False),
        (256, 36, 3, torch.bfloat16, False, False),
        (256, 36, 1, torch.float32, False, False),
        (128, 36, 3, torch.float32, False, False),
        (256, 16, 3, torch.float32, False, False),
    ],
)
def test_where_few_multiplications_pay(channels, size, kernel, dtype, learned, expected):
    x = torch.empty(2, channels, size, size, dtype=dtype)
    weight = torch.empty(256, channels, kernel, kernel, dtype=dtype, requires_grad=learned)
    assert winograd.pays(x, weight) == expected


def test_a_wide_frozen_layer_gives_what_a_learnt_one_gives(calls):
    x, weight, style = normal(2, 256, 36, 36), normal(256, 256, 3, 3, seed=1), 1 + 0.5 * normal(2, 256, seed=2)
    v = normal(2, 256, 38, 38, seed=3)
    results = []
    for learned in (False, True):
        tensors = leaf(x), leaf(style)
        y = modulated_conv(tensors[0], weight.clone().requires_grad_(learned), tensors[1], padding=2)
        results.append((y, *grad(y, tensors, v)))
    assert calls == [(2, 256, 36, 36), (2, 256, 38, 38)]  # and its derivative; the learned one took neither
    for found, expected in zip(*results, strict=True):
        check(found, expected.detach(), CLOSE)


def test_a_network_of_few_multiplications_agrees(everywhere, calls, monkeypatch):
    synthesis, results = tiny_generator().synthesis, []
    for pays in (winograd.pays, lambda x, weight: False):
        monkeypatch.setattr(winograd, "pays", pays)
        ws = leaf(codes(tiny_generator()))
        image = synthesis.synthesize(ws)
        results.append((image, grad(image.sum(), ws)[0]))
    assert len(calls) == 2 * (len(synthesis.layers) - 1)  # forwards and backwards; toRGB is 1x1
    check(results[0][0], results[1][0].detach(), CLOSE)
    check(results[0][1], results[1][1], 1e-4)


def test_convolutions_in_bfloat16_leave_the_rest_in_float32():
    synthesis = tiny_generator().synthesis
    ws = leaf(codes(tiny_generator()))
    images, gradients = [], []
    for dtype in (None, torch.float32, torch.bfloat16):
        synthesis.conv_dtype = dtype
        images.append(synthesis.synthesize(ws))
        gradients.append(grad(images[-1].square().sum(), ws)[0])
        assert synthesis.features(ws, 3).dtype == torch.float32
    assert torch.equal(images[0], images[1])
    for single, half in ((images[0], images[2]), (gradients[0], gradients[2])):
        error = ((half - single).norm() / single.norm()).item()
        assert half.dtype == torch.float32
        assert 1e-4 < error < 5e-2


def test_weights_of_any_size_give_the_same():
    x, weight, style = normal(2, 4, 6, 6), normal(5, 4, 3, 3, seed=1), normal(2, 4, seed=2)
    expected = modulated_conv(x, weight, style, padding=2)
    for scale in (1e-6, 1e6):
        check(modulated_conv(x, weight * scale, style, padding=2), expected, CLOSE)
        check(modulated_conv(x, weight, style * scale, padding=2), expected, CLOSE)


def test_the_graph_holds_no_copy_of_the_weights():
    weight, held = normal(8, 8, 3, 3, seed=1), []
    x, style = leaf(normal(1, 8, 6, 6)), leaf(normal(1, 8, seed=2))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t) or t, lambda t: t):
        modulated_conv(x, weight, style, padding=2)
    assert {t.data_ptr() for t in held if t.shape == weight.shape} == {weight.data_ptr()}


@pytest.mark.parametrize("fast", [True, False])
def test_a_tangent_goes_through_the_whole_synthesis(monkeypatch, fast):
    """Against differences, and against the gradient, in float64."""
    monkeypatch.setattr(winograd, "pays", lambda x, weight: fast and weight.shape[2:] == (3, 3))
    synthesis = tiny_generator().double().synthesis
    w = codes(tiny_generator(), dtype=torch.float64)
    v = normal(*w.shape, seed=3).double()
    image, tangent = torch.func.jvp(synthesis.synthesize, (w,), (v,))
    step = 1e-5
    differences = (synthesis.synthesize(w + step * v) - synthesis.synthesize(w - step * v)) / (2 * step)
    assert tangent.norm() > 0.1
    check(tangent, differences, 1e-4)
    u, at = normal(*image.shape, seed=4).double(), leaf(w)
    gradient = grad((synthesis.synthesize(at) * u).sum(), at)[0]
    check((gradient * v).sum(), (tangent * u).sum(), 1e-10)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # within torch.func.jvp
def test_generators_are_differentiated_under_vmap():
    """Every image's gradient as one call, and the Hessian, against one gradient at a time."""
    generator = tiny_generator().double()
    rows = codes(generator, 3, dtype=torch.float64)

    def loss(ws):
        return generator.synthesis.synthesize(ws[None]).pow(3).sum()

    at_once = torch.func.vmap(torch.func.grad(loss), in_dims=1)(rows.transpose(0, 1))
    leaves = rows.clone().requires_grad_()
    one_by_one = torch.stack([grad(loss(row), row)[0] for row in leaves.unbind()])
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-9, atol=1e-12)
    line = torch.stack([rows[1], rows[2]])
    point = torch.zeros(2, dtype=torch.float64)
    hessian = torch.func.hessian(lambda t: loss(rows[0] + torch.tensordot(t, line, 1)))(point)
    expected = torch.autograd.functional.hessian(lambda t: loss(rows[0] + torch.tensordot(t, line, 1)), point)
    torch.testing.assert_close(hessian, expected, rtol=1e-9, atol=1e-12)
