"""The StyleGAN-XL generator: another implementation's numbers, derivatives, feature space, averages, errors."""

import json
from dataclasses import replace

import pytest
import torch
from errors import naming
from fixtures import (
    GOLDEN,
    GRADIENT,
    MISSING,
    NETWORKS,
    ROOT,
    arrays,
    check,
    codes,
    leaf,
    operator_cases,
    tiny_generator,
    tiny_specs,
)
from torch.autograd import grad, gradcheck, gradgradcheck

from generators import geometry, weights
from generators.mapping import Mapping
from generators.stylegan_xl import FourierInput, Generator, Synthesis, modulated_conv

KINKS = 1e-3  # of a gradient's norm, for activations that a rounding error turns
STEM_BETA = 0.5 ** (64 / 20_000)  # the fixtures were trained, for one pass, with a batch of 64


@pytest.fixture(params=[pytest.param(name, marks=MISSING) for name in NETWORKS])
def fixture(request):
    """A network of the fixtures with its numbers."""
    generator, _ = weights.load(ROOT / f"{request.param}.safetensors")
    return generator, arrays(ROOT / f"{request.param}.npz")


def test_mapping_agrees_with_the_fixture(fixture):
    generator, numbers = fixture
    z, labels = numbers["z"], numbers["c"].argmax(1)
    check(generator.mapping(z, labels)[:, 0], numbers["w"])
    check(generator.mapping(z, labels), numbers["ws_psi1"])
    check(generator.mapping(z, labels, 0.7), numbers["ws_psi07"])
    check(generator.mapping(z, labels, 0.7, 3), numbers["ws_psi07_cut3"])
    check(generator.mapping(z, labels, 0.0), numbers["ws_psi0"])
    check(generator(z, labels, 0.7), numbers["img_zc_psi07"])


def test_images_features_and_gradients_agree_with_the_fixture(fixture):
    generator, numbers = fixture
    synthesis, ws = generator.synthesis, leaf(numbers["ws"])
    for layer in range(len(synthesis.layers) + 1):
        check(synthesis.features(ws.detach(), layer), numbers[f"f_{layer:02d}"])
    image = synthesis.synthesize(ws)
    check(image, numbers["img"])
    check(grad((image * numbers["V"]).sum(), ws)[0], numbers["grad_ws"], GRADIENT)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rendering_from_features_agrees_with_the_fixture(fixture, dtype):
    """Element by element in float64; in float32 a processor's rounding turns single activations at their kink."""
    generator, numbers = fixture
    generator.to(dtype)
    layers = [int(name[3:5]) for name in numbers if name.endswith("_grad_f")]
    assert len(layers) == 5
    for layer in layers:
        f, ws = leaf(numbers[f"ff_{layer:02d}_f"].to(dtype)), leaf(numbers["ws"].to(dtype))
        image = generator.synthesis.synthesize(ws, f, layer)
        check(image, numbers[f"ff_{layer:02d}_img"])
        by_f, by_ws = grad((image * numbers["V"].to(dtype)).sum(), [f, ws])
        for found, name in ((by_f, "grad_f"), (by_ws, "grad_ws")):
            expected = numbers[f"ff_{layer:02d}_{name}"]
            if dtype == torch.float64:
                check(found, expected, GRADIENT)
            assert (found - expected).norm() <= KINKS * expected.norm()
        assert not by_ws[:, : layer + 1].any()


def test_gradients_of_the_parameters_agree_with_the_fixture(fixture):
    generator, numbers = fixture
    parameters = dict(generator.synthesis.requires_grad_(True).named_parameters())
    (generator.synthesis.synthesize(numbers["ws"]) * numbers["V"]).sum().backward()
    whole = {name[3:]: value for name, value in numbers.items() if name.startswith("gp/")}
    summed = {name[6:]: value for name, value in numbers.items() if name.startswith("gpsum/")}
    assert whole.keys() | summed.keys() == parameters.keys()
    for name, expected in whole.items():
        check(parameters[name].grad, expected, GRADIENT)
    for name, (total, norm) in summed.items():
        gradient = parameters[name].grad.double()
        assert gradient.norm().item() == pytest.approx(norm.item(), rel=GRADIENT)
        assert gradient.sum().item() == pytest.approx(total.item(), abs=GRADIENT * norm.item())


def test_second_derivative_agrees_with_the_fixture(fixture):
    generator, numbers = fixture
    ws, cotangent = leaf(numbers["ws"][:1]), numbers["V"][:1]
    gradient = grad((generator.synthesis.synthesize(ws) * cotangent).sum(), ws, create_graph=True)[0]
    length = gradient.square().sum(2).mean(1).sqrt()
    check(length, numbers["pl"], GRADIENT)
    check(grad(length.sum(), ws)[0], numbers["pl_grad_ws"], GRADIENT)


@pytest.mark.parametrize("kind", ["rot", "zoom"])
def test_a_transform_of_the_input_agrees_with_the_fixture(fixture, kind):
    generator, numbers = fixture
    generator.synthesis.input.transform.copy_(numbers[f"transform_{kind}"])
    check(generator.synthesis.features(numbers["ws"], 0), numbers[f"transform_{kind}_f_00"])
    check(generator.synthesis.synthesize(numbers["ws"]), numbers[f"transform_{kind}_img"])


@pytest.mark.parametrize("network", [pytest.param(name, marks=MISSING) for name in NETWORKS])
def test_averages_after_one_training_pass_agree_with_the_fixture(network):
    generator, _ = weights.load(ROOT / f"{network}.safetensors")
    numbers, listed = arrays(ROOT / f"{network}.npz"), json.loads((ROOT / f"{network}.json").read_text())
    heads = 5 if network.startswith("B1") else 0
    layers = generator.synthesis.layers
    for position, layer in enumerate(layers):
        beta = geometry.HEAD_EMA_BETA if position >= len(layers) - heads else STEM_BETA
        assert beta == pytest.approx(listed["layers"][layer.spec.name]["magnitude_ema_beta"], rel=1e-12)
        layer.spec = replace(layer.spec, ema_beta=beta)
    check(generator(numbers["z"], numbers["c"].argmax(1), update_emas=True), numbers["ema_img"])
    check(generator.mapping.w_avg, numbers["ema_w_avg"])
    check(torch.stack([layer.magnitude_ema for layer in layers]), numbers["ema_magnitude"])


@pytest.mark.parametrize("case", operator_cases("modulated_conv2d"))
def test_modulated_convolution_agrees_with_the_other_implementation(case):
    arguments = {**case.arguments, "gain": case.tensors.get("gain", 1.0)}
    tensors = x, weight, style = [leaf(case[name]) for name in ("x", "e0", "e1")]
    y = modulated_conv(x, weight, style, **arguments)
    check(y, case["y"])
    for found, name in zip(grad(y, tensors, case["v"]), ("gx", "ge0", "ge1"), strict=True):
        check(found, case[name], GRADIENT)


def test_modulated_convolution_worked_numbers():
    x, weight = torch.linspace(-1, 1, 18).reshape(1, 2, 3, 3), torch.linspace(-1, 1, 24).reshape(3, 2, 2, 2)
    style = torch.tensor([[1.5, -0.5]])
    rows = [[0.4078, 0.8156, 0.7239, 0.3562], [0.2395, 0.6089, 0.4790, 0.2801], [-0.4350, -0.7799, -0.7349, -0.3308]]
    check(modulated_conv(x, weight, style, gain=0.5, padding=1)[0, :, 1], torch.tensor(rows), 1e-4)
    plain = modulated_conv(x, weight, style, demodulate=False, padding=1)
    check(plain[0, 0, 0], torch.tensor([1.1202, 2.2660, 2.0409, 1.0179]), 1e-4)


def test_fourier_input_worked_numbers():
    layer = FourierInput(3, 4, 36).requires_grad_(False)
    layer.freqs.copy_(torch.tensor([[1, 0.5], [-0.75, 1.5], [2.5, -4]]))
    layer.phases.copy_(torch.tensor([0.1, -0.2, 0.3]))
    layer.weight.copy_(torch.tensor([[1, 0.5, 0], [0, 2, -1], [0.25, 0, 1]]))
    layer.affine.weight.copy_(torch.linspace(-1, 1, 16).reshape(4, 4))
    layer.affine.bias.copy_(torch.tensor([1, 0.2, 0.3, -0.1]))
    out = layer(torch.tensor([[0.5, -1, 0.25, 2]]))[0]
    check(out[:, 0, 0], torch.tensor([-0.2129, 0.4302, 0.0429]), 2e-4)
    check(out[:, 17, 3], torch.tensor([0.2879, -0.8032, -0.1654]), 2e-4)
    check(out[:, 35, 10], torch.tensor([-0.2420, -0.5971, 0.2138]), 2e-4)


def test_input_and_first_layer_agree_with_the_golden_numbers():
    numbers = arrays(GOLDEN / "first_layer.npz")
    synthesis = Synthesis(geometry.stem(16, 7, 512, 40)[:1], w_dim=1)
    synthesis.load_state_dict({name: value for name, value in numbers.items() if not name.startswith("expected")})
    for layer in (0, 1):
        check(synthesis.features(torch.ones(1, 2, 1), layer)[:, ::7, ::3, ::3], numbers[f"expected_{layer}"])


def test_the_tiny_generator_gives_its_golden_numbers():
    generator, _ = weights.load(GOLDEN / "tiny.safetensors")
    numbers, synthesis = arrays(GOLDEN / "tiny.npz"), generator.synthesis
    check(generator.mapping(numbers["z"], numbers["labels"], 0.7, 3), numbers["mapped"])
    ws = leaf(numbers["ws"])
    image, f = synthesis.synthesize(ws), leaf(synthesis.features(ws, 4))
    assert synthesis.features(ws, 7).abs().max() == 256  # the clamp acts
    check(image, numbers["image"])
    check(f[:, :, ::3, ::3], numbers["f"])
    check(grad((image * numbers["cotangent"]).sum(), ws)[0], numbers["grad_ws"], GRADIENT)
    by_f = grad((synthesis.synthesize(ws, f, 4) * numbers["cotangent"]).sum(), f)[0]
    check(by_f[:, :, ::3, ::3], numbers["grad_f"], GRADIENT)


@pytest.mark.parametrize("radial", [False, True])
def test_derivatives_of_both_orders(radial):
    generator = tiny_generator(specs=tiny_specs(radial), w_dim=2).double()
    synthesis, ws = generator.synthesis, leaf(codes(generator, 1, dtype=torch.float64))
    assert synthesis.synthesize(ws).dtype == torch.float64
    assert gradcheck(synthesis.synthesize, ws, fast_mode=True)
    assert gradgradcheck(synthesis.synthesize, ws, fast_mode=True)
    layer = len(synthesis.layers) - 3
    f = leaf(synthesis.features(ws, layer))
    assert gradcheck(lambda *t: synthesis.synthesize(*t, layer), (ws, f), fast_mode=True)
    assert gradgradcheck(lambda *t: synthesis.synthesize(*t, layer), (ws, f), fast_mode=True)


def test_features_split_the_synthesis_exactly():
    generator = tiny_generator()
    synthesis, ws = generator.synthesis, codes(generator)
    image = synthesis.synthesize(ws)
    for layer in range(len(synthesis.layers) + 1):
        f = synthesis.features(ws, layer)
        assert f.shape == (2, *synthesis.feature_shape(layer))
        other = codes(generator, seed=9)
        other[:, layer + 1 :] = ws[:, layer + 1 :]
        assert torch.equal(synthesis.synthesize(other, f, layer), image)  # earlier codes have no say
    assert torch.equal(f * 0.25, image)


def test_an_image_does_not_depend_on_its_neighbors():
    generator = tiny_generator()
    ws = codes(generator, 3)
    alone = torch.cat([generator.synthesis.synthesize(row) for row in ws.split(1)])
    check(generator.synthesis.synthesize(ws), alone, 1e-6)
    assert generator.synthesis.synthesize(ws[:0]).shape == (0, 3, 16, 16)
    assert generator(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)).shape == (0, 3, 16, 16)


def test_double_and_single_precision_agree():
    generator = tiny_generator()
    z, labels = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2])
    single = generator(z, labels, 0.7)
    check(single.double(), generator.double()(z, labels, 0.7), 1e-5)


def test_magnitudes_move_before_they_are_used_and_only_on_request():
    generator = tiny_generator()
    layer, ws = generator.synthesis.layers[0], codes(generator)
    before, x = layer.magnitude_ema.clone(), generator.synthesis.input(ws[:, 0])
    generator.synthesis.synthesize(ws)
    assert torch.equal(layer.magnitude_ema, before)
    updated = layer(x, ws[:, 1], update_emas=True)
    check(layer.magnitude_ema, x.square().mean() + layer.spec.ema_beta * (before - x.square().mean()), 1e-6)
    assert torch.equal(layer(x, ws[:, 1]), updated)


def test_fresh_weights_are_a_function_of_the_seed():
    def fresh(seed):
        specs = tiny_specs()
        mapping = Mapping(len(specs) + 1, 4, 3, 5, embedding=(3, 7))
        return Generator(mapping, Synthesis(specs, 5)).initialize(torch.Generator().manual_seed(seed)).state_dict()

    first, again, other = fresh(0), fresh(0), fresh(1)
    assert all(value.isfinite().all() for value in first.values())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["synthesis.L0_28_6.weight"], other["synthesis.L0_28_6.weight"])
    assert first["synthesis.input.affine.bias"].tolist() == [1, 0, 0, 0]
    assert not first["synthesis.input.affine.weight"].any()
    assert first["synthesis.L0_28_6.affine.bias"].tolist() == [1] * 6
    assert first["mapping.fc0.weight"].std() > 50  # stored a hundred times too large
    assert (first["synthesis.input.freqs"].norm(dim=1) <= 2).all()
    assert (first["synthesis.input.phases"].abs() <= 0.5).all()


GENERATOR = tiny_generator()
CODES, Z = codes(GENERATOR), torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: GENERATOR.synthesis.synthesize(CODES[:, 1:]), "ws [N 8 5] [2 7 5]"),
        (lambda: GENERATOR.synthesis.features(CODES[..., :4], 1), "ws [N 8 5] [2 8 4]"),
        (
            lambda: GENERATOR.synthesis.features(CODES, 8),
            "layer 8 0 L0_28_6 6 L7_16_3",
        ),
        (lambda: GENERATOR.synthesis.features(CODES, -1), "layer -1 0 L0_28_6"),
        (lambda: GENERATOR.synthesis.synthesize(CODES, layer=3), "layer 3 f"),
        (
            lambda: GENERATOR.synthesis.synthesize(CODES, torch.zeros(2, 6, 27, 27), 1),
            "f [2 6 28 28] layer 1 [2 6 27 27]",
        ),
        (lambda: GENERATOR.synthesis.synthesize(CODES, torch.zeros(1, 6, 28, 28), 1), "f [2 6 28 28]"),
        (lambda: GENERATOR(torch.zeros(2, 5), torch.tensor([0, 1])), "z [N 4] (2 5)"),
        (lambda: GENERATOR(Z), "2 None"),
        (lambda: GENERATOR(Z, torch.tensor([0])), "2 labels"),
        (lambda: GENERATOR(Z, torch.tensor([0, 3])), "labels [0, 3] 3"),
        (lambda: GENERATOR(Z, torch.tensor([-1, 0])), "labels [-1 0]"),
        (lambda: Generator(Mapping(7, w_dim=5), GENERATOR.synthesis), "(7, 5) (8, 5)"),
    ],
)
def test_errors_name_what_is_wrong(function, message):
    with pytest.raises(ValueError, match=naming(message)):
        function()
