"""Layer geometry and low-pass filters: worked tables, the fixtures, an independent filter design."""

import json
from dataclasses import replace

import pytest
import torch
from errors import naming
from fixtures import MISSING, NETWORKS, ROOT, check, tiny_specs
from safetensors.torch import load_file
from scipy import signal, special

from generators import geometry
from generators.filters import _bessel_j1, kaiser_beta, lowpass
from generators.mapping import Mapping
from generators.stylegan_xl import Generator, Synthesis


def imagenet(resolution):
    """The published ImageNet chain: a 16-pixel stem of 1x1 kernels, then stages of 3x3 kernels, each twice as large."""
    specs = geometry.stem(16, 10, kernel=1, radial=True)
    while specs[-1].out_size < resolution:
        specs = geometry.superres(specs, 7)
    return specs


def small_chain():
    """Three stages, 16 to 64 pixels, of few channels."""
    stem = geometry.stem(16, 7, 512, 40)
    return geometry.superres(geometry.superres(stem, 4, 2, 512, 40), 5, 2, 512, 40)


STEM = [f"L{i}_36_1024" for i in range(8)]
# name: sizes, rates (in, between, out), out cutoff, out half width, taps (up, down), padding; "Example geometry"
TABLE_256 = {
    "L0_36_1024": ((36, 36), (16, 32, 16), 2, 6, (12, 12), (11, 10)),
    "L7_36_1024": ((36, 36), (16, 32, 16), 6.72717, 2.14938, (12, 12), (11, 10)),
    "L9_36_1024": ((36, 36), (16, 32, 16), 6.72717, 2.14938, (12, 12), (9, 8)),
    "L10_52_1024": ((36, 52), (16, 64, 32), 8, 8, (24, 12), (-6, -9)),
    "L13_52_1024": ((52, 52), (32, 64, 32), 13.45434, 3.34112, (12, 12), (9, 8)),
    "L14_52_1024": ((52, 52), (32, 64, 32), 13.45434, 3.34112, (12, 12), (9, 8)),
    "L15_84_1024": ((52, 84), (32, 128, 64), 16, 16, (24, 12), (-6, -9)),
    "L20_148_1024": ((84, 148), (64, 256, 128), 32, 32, (24, 12), (-6, -9)),
    "L21_148_861": ((148, 148), (128, 256, 128), 38.05463, 25.94537, (12, 12), (9, 8)),
    "L22_148_724": ((148, 148), (128, 256, 128), 45.25483, 18.74517, (12, 12), (9, 8)),
    "L23_148_609": ((148, 148), (128, 256, 128), 53.81737, 12.47634, (12, 12), (9, 8)),
    "L24_148_609": ((148, 148), (128, 256, 128), 53.81737, 12.47634, (12, 12), (9, 8)),
    "L25_276_512": ((148, 276), (128, 512, 256), 64, 64, (24, 12), (-6, -9)),
    "L26_276_431": ((276, 276), (256, 512, 256), 76.10926, 51.89074, (12, 12), (9, 8)),
    "L27_276_362": ((276, 276), (256, 512, 256), 90.50967, 37.49033, (12, 12), (9, 8)),
    "L28_276_304": ((276, 276), (256, 512, 256), 107.63474, 24.89387, (12, 12), (9, 8)),
    "L29_276_256": ((276, 276), (256, 512, 256), 128, 29.58648, (12, 12), (9, 8)),
    "L30_256_256": ((276, 256), (256, 512, 256), 128, 29.58648, (12, 12), (-11, -12)),
    "L31_256_3": ((256, 256), (256, 256, 256), 128, 29.58648, (1, 1), (0, 0)),
}


@pytest.mark.parametrize("name", TABLE_256)
def test_geometry_of_the_256_pixel_model(name):
    spec = next(spec for spec in imagenet(256) if spec.name == name)
    sizes, rates, cutoff, half_width, taps, padding = TABLE_256[name]
    source, target = spec.signals
    assert (spec.in_size, spec.out_size) == sizes
    assert (source.rate, source.rate * spec.up, target.rate) == rates
    assert source.rate * spec.up == target.rate * spec.down
    assert target.cutoff == pytest.approx(cutoff, abs=1e-5)
    assert target.half_width == pytest.approx(half_width, abs=1e-5)
    assert (spec.up_taps, spec.down_taps) == taps
    assert spec.padding == (*padding, *padding)


def test_names_and_kernels_of_the_imagenet_chain():
    specs = imagenet(128)
    heads = ["L9_36_1024", *(f"L{i}_52_1024" for i in range(10, 15)), *(f"L{i}_84_1024" for i in range(15, 20))]
    last = ["L20_148_1024", "L21_148_861", "L22_148_724", "L23_148_609", "L24_148_512", "L25_128_512", "L26_128_3"]
    assert [spec.name for spec in specs] == [*STEM, *heads, *last]
    assert [spec.kernel for spec in specs] == [1] * 8 + [3] * 17 + [1]
    assert [spec.radial for spec in specs] == [True] * 8 + [False] * 18
    assert [spec.critical for spec in specs] == [False] * 23 + [True] * 3
    assert [spec.to_rgb for spec in specs] == [False] * 25 + [True]


@pytest.mark.parametrize(
    ("resolution", "codes", "millions"),
    [(16, 12, 18.0), (32, 17, 84.6), (64, 22, 134.4), (128, 27, 158.7), (256, 32, 166.3), (512, 37, 168.4)],
)
def test_parameters_of_the_imagenet_models(resolution, codes, millions):
    with torch.device("meta"):
        synthesis = Synthesis(imagenet(resolution))
        generator = Generator(Mapping(synthesis.num_ws, 64, 1000, 512), synthesis)
    assert synthesis.num_ws == codes
    assert round(sum(p.numel() for p in generator.parameters()) / 1e6, 1) == millions
    if resolution == 256:
        shapes = {n: synthesis.feature_shape(n) for n in (12, 16, 20)}
        assert shapes == {12: (1024, 52, 52), 16: (1024, 84, 84), 20: (1024, 148, 148)}
        assert [synthesis.layer_names[n - 1].split("_")[0] for n in (8, 9, 12, 20)] == ["L7", "L9", "L12", "L20"]


def test_names_and_tensors_of_a_three_stage_chain():
    specs = small_chain()
    with torch.device("meta"):
        state = Generator(Mapping(len(specs) + 1, 64, 10, 512), Synthesis(specs)).state_dict()
    fixed = {
        "mapping.w_avg": [10, 512],
        "mapping.embed.weight": [1000, 320],
        "mapping.embed_proj.weight": [64, 320],
        "mapping.embed_proj.bias": [64],
        "mapping.fc0.weight": [512, 128],
        "mapping.fc0.bias": [512],
        "mapping.fc1.weight": [512, 512],
        "mapping.fc1.bias": [512],
        "synthesis.input.weight": [40, 40],
        "synthesis.input.transform": [3, 3],
        "synthesis.input.freqs": [40, 2],
        "synthesis.input.phases": [40],
        "synthesis.input.affine.weight": [4, 512],
        "synthesis.input.affine.bias": [4],
    }
    layers = {f"L{i}_36_40": (40, 40, 3, 12, 12) for i in (0, 1, 2, 3, 4, 6)}
    layers |= {"L7_52_26": (26, 40, 3, 24, 12), "L8_52_26": (26, 26, 3, 12, 12), "L9_84_18": (18, 26, 3, 24, 12)}
    layers |= {"L10_84_12": (12, 18, 3, 12, 12), "L11_84_8": (8, 12, 3, 12, 12), "L12_64_8": (8, 8, 3, 12, 12)}
    layers |= {"L13_64_3": (3, 8, 1, None, None)}
    for name, (out, into, kernel, up, down) in layers.items():
        tensors = {"weight": [out, into, kernel, kernel], "bias": [out], "magnitude_ema": []}
        tensors |= {"affine.weight": [into, 512], "affine.bias": [into]}
        tensors |= {} if up is None else {"up_filter": [up], "down_filter": [down]}
        fixed |= {f"synthesis.{name}.{key}": shape for key, shape in tensors.items()}
    assert [spec.name for spec in specs] == list(layers)
    assert {name: list(tensor.shape) for name, tensor in state.items()} == fixed
    assert len(state) == 103


@MISSING
@pytest.mark.parametrize("network", NETWORKS)
def test_layers_equal_the_fixtures(network):
    listed = json.loads((ROOT / f"{network}.json").read_text())
    state = load_file(ROOT / f"{network}.safetensors")
    built = geometry.stem(32, 7, 1024, 64)
    if network.startswith("B1"):
        built = geometry.superres(geometry.stem(16, 7, 512, 40), 4, 2, 512, 40)
    recovered = geometry.from_state_dict(state)
    assert [spec.name for spec in built] == [spec.name for spec in recovered] == listed["layer_names"]
    for spec in [*built, *recovered]:
        layer = listed["layers"][spec.name]
        assert [spec.in_channels, spec.out_channels] == [layer["in_channels"], layer["out_channels"]]
        assert [spec.in_size] * 2 == layer["in_size"]
        assert [spec.out_size] * 2 == layer["out_size"]
        assert list(spec.padding) == layer["padding"]
        for ours, theirs in [("kernel", "conv_kernel"), ("up", "up_factor"), ("down", "down_factor")]:
            assert getattr(spec, ours) == layer[theirs]
        for ours, theirs in [("radial", "down_radial"), ("to_rgb", "is_torgb"), ("clamp", "conv_clamp")]:
            assert getattr(spec, ours) == layer[theirs]
        assert (spec.up_taps, spec.down_taps) == (layer["up_taps"], layer["down_taps"])
    for spec in built:
        layer = listed["layers"][spec.name]
        assert spec.critical == layer["is_critically_sampled"]
        for signal_, side in zip(spec.signals, ("in", "out"), strict=True):
            assert signal_.rate == layer[f"{side}_sampling_rate"]
            assert signal_.cutoff == pytest.approx(layer[f"{side}_cutoff"], rel=1e-12)
            assert signal_.half_width == pytest.approx(layer[f"{side}_half_width"], rel=1e-12)
        for kind, designed in zip(("up", "down"), spec.filters(), strict=True):
            stored = state.get(f"synthesis.{spec.name}.{kind}_filter")
            assert (designed is None) == (stored is None)
            assert designed is None or torch.equal(designed, stored)


@pytest.mark.parametrize("radial", [False, True])
def test_layers_are_recovered_from_a_state_dict(radial):
    specs = tiny_specs(radial)
    recovered = geometry.from_state_dict(Generator(Mapping(len(specs) + 1), Synthesis(specs)).state_dict())
    for found, built in zip(recovered, specs, strict=True):
        for attribute in ("name", "in_channels", "out_channels", "in_size", "out_size", "kernel", "up", "down"):
            assert getattr(found, attribute) == getattr(built, attribute)
        for attribute in ("up_taps", "down_taps", "radial", "to_rgb", "padding"):
            assert getattr(found, attribute) == getattr(built, attribute)
        assert found.signals is None


def test_a_head_learns_with_its_own_averaging_rate():
    assert [spec.ema_beta for spec in tiny_specs()] == [0.5 ** (32 / 20_000)] * 2 + [0.999] * 5


TAPS_24 = [0.010778, 0.0088754, -0.00016994, -0.014863, -0.029389, -0.034939]
TAPS_24 += [-0.022987, 0.010699, 0.0631, 0.12363, 0.177, 0.20826]


@pytest.mark.parametrize(
    ("arguments", "half", "tolerance"),
    [
        ((12, 2, 12, 32), [0.0008, 0.0100, 0.0389, 0.0924, 0.1565, 0.2013], 5e-5),
        ((24, 6.72717, 4.29876, 64), TAPS_24, 6e-6),
        ((6, 1, 1.5, 4), [-0.0219, 0.0971, 0.4249], 5e-5),
    ],
)
def test_worked_filters(arguments, half, tolerance):
    assert lowpass(*arguments).tolist() == pytest.approx([*half, *half[::-1]], abs=tolerance)


def test_worked_radial_filters():
    quadrant = torch.tensor([[0.0116, 0.0497], [0.0497, 0.1391]])
    small, first = lowpass(4, 1, 1.5, 4, radial=True), lowpass(12, 2, 12, 32, radial=True)
    check(small[:2, :2], quadrant, 5e-4)
    assert torch.equal(small, small.flip(0))
    assert torch.equal(small, small.t())
    assert first[0, 0].item() == pytest.approx(8.41e-7, rel=1e-3)
    assert [first[0, 5].item(), first[2, 5].item(), first[5, 5].item()] == pytest.approx(
        [0.0002, 0.0082, 0.0388], abs=5e-5
    )
    assert first.sum().item() == pytest.approx(1)


def test_kaiser_beta_in_its_three_ranges():
    assert kaiser_beta(12, 12, 32) == pytest.approx(6.443719, abs=1e-6)
    for width in (0.1, 1.0, 8.0):
        attenuation = signal.kaiser_atten(12, width / 16)
        assert kaiser_beta(12, width, 32) == pytest.approx(signal.kaiser_beta(attenuation))


@pytest.mark.parametrize("arguments", [(12, 2, 12, 32), (24, 6.7, 4.3, 64), (6, 1, 1.5, 4), (48, 30, 9, 256)])
def test_separable_filters_equal_an_independent_design(arguments):
    taps, cutoff, width, rate = arguments
    expected = signal.firwin(taps, cutoff, width=width, fs=rate)
    check(lowpass(*arguments), torch.from_numpy(expected).float(), 1e-6)


def test_bessel_function():
    x = torch.linspace(0, 60, 301).double().numpy()
    assert _bessel_j1(x) == pytest.approx(special.j1(x), abs=1e-13)


def test_one_tap_is_no_filter_and_odd_numbers_are_refused():
    assert lowpass(1, 2, 12, 32) is None
    with pytest.raises(ValueError, match=naming("1 5")):
        lowpass(5, 2, 12, 32)


def weights(**shapes):
    return {f"synthesis.{name}.weight": torch.zeros(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: geometry.stem(24, 7), "power 8 24"),
        (lambda: geometry.stem(4, 7), "power 8 4"),
        (lambda: geometry.stem(16, 3), "4 layers 3"),
        (lambda: geometry.stem(16, 7, channel_base=8), "channel_base 8 16 8"),
        (lambda: geometry.superres(geometry.stem(16, 7), 3), "4 head 3"),
        (lambda: geometry.superres([], 7), "previous"),
        (lambda: geometry.from_state_dict({"fc.weight": torch.zeros(1)}), "synthesis layers"),
        (
            lambda: geometry.from_state_dict(weights(L0_36_8=(8, 8, 3, 3), L1_36_4=(4, 6, 3, 3))),
            "layer L1_36_4 (4 6 3 3) 8",
        ),
        (lambda: geometry.from_state_dict(weights(L0_36_8=(8, 8))), "layer L0_36_8 (8 8)"),
        (
            lambda: geometry.from_state_dict(
                {**weights(L0_36_8=(8, 8, 3, 3)), "synthesis.L0_36_8.up_filter": torch.zeros(7)}
            ),
            "layer L0_36_8 filter 7",
        ),
    ],
)
def test_errors_name_what_is_wrong(function, message):
    with pytest.raises(ValueError, match=naming(message)):
        function()


def test_a_bare_checkpoint_has_neither_filters_to_design_nor_a_further_stage():
    bare = geometry.from_state_dict(weights(L0_36_8=(8, 8, 3, 3), L1_16_3=(3, 8, 1, 1)))
    with pytest.raises(ValueError, match=naming("configuration")):
        geometry.superres(bare, 4)
    with pytest.raises(ValueError, match=naming("layer L0_36_8 checkpoint")):
        bare[0].filters()


def test_factors_are_told_where_filters_have_another_number_of_taps():
    state = {
        **weights(L0_36_8=(8, 8, 3, 3), L1_16_3=(3, 8, 1, 1)),
        "synthesis.L0_36_8.up_filter": torch.zeros(8),
        "synthesis.L0_36_8.down_filter": torch.zeros(12),
    }
    with pytest.raises(ValueError, match=naming("layer L0_36_8 filter 8")):
        geometry.from_state_dict(state)
    with pytest.raises(ValueError, match=naming("layer L0_36_8 filter 8")):
        geometry.from_state_dict(state, {"L0_36_8": (3, None)})
    spec = geometry.from_state_dict(state, {"L0_36_8": (2, 7)})[0]
    assert (spec.up, spec.up_taps, spec.down, spec.down_taps) == (2, 8, 2, 12)  # what the taps tell comes first


def test_padding_of_a_file_comes_before_the_usual_one():
    spec = tiny_specs()[0]
    assert replace(spec, pads=(1, 2, 3, 4)).padding == (1, 2, 3, 4)
    assert spec.pads is None
