"""IDC, FreD and DDiF against their formulas written out, and W against W+."""

import math

import pytest
import torch
from errors import naming
from fixtures import tiny_generator
from scipy import fft
from torch.nn import functional as F

from generators.prior import StyleGANPrior
from glad.priors import IDC, DDiF, FreD
from glad.priors.fred import cosine_basis
from glad.priors.stylegan import published_rates
from glad.rng import rng_for

CPU = torch.device("cpu")
CLASSES = torch.tensor([1, 0, 1])


def normalize(pixels):
    return (pixels - 0.4) / torch.tensor([0.2, 0.5]).view(1, 2, 1, 1)[:, : pixels.shape[1]]


def pictures(side, channels=2, count=40):
    """Real images by class, smooth so that frequencies differ."""
    drawn = torch.randn(2, count, channels, 4, 4, generator=rng_for("pictures"))
    return [F.interpolate(of, size=[side, side], mode="bicubic") + 0.1 * of.mean() for of in drawn]


def real_of(images):
    def real(c, n, rng):
        return images[c][torch.randperm(len(images[c]), generator=rng)[:n]]

    return real


@pytest.mark.parametrize(("side", "factor"), [(8, 2), (10, 3), (9, 4)])
def test_idc_cuts_tiles_and_enlarges_them(side, factor):
    prior = IDC(real_of(pictures(side)), normalize, side, 2, factor)
    stored = prior.init(CLASSES, rng_for("idc"))["pixels"]
    small, found = math.ceil(side / factor), prior(stored)
    gray = normalize(torch.full([1, 2, 1, 1], 0.5)).flatten()
    for row in range(len(stored)):
        for number in range(factor**2):
            tile = torch.empty(2, small, small)
            for c in range(2):
                for y in range(small):
                    for x in range(small):
                        down, right = number // factor * small + y, number % factor * small + x
                        inside = down < side and right < side
                        tile[c, y, x] = stored[row, c, down, right] if inside else gray[c]
            whole = F.interpolate(tile[None], size=[side, side], mode="bilinear", align_corners=False)[0]
            torch.testing.assert_close(found[row * factor**2 + number], whole)


def test_idc_starts_from_distinct_real_images_made_small():
    images = pictures(8)
    prior = IDC(real_of(images), normalize, 8, 2)
    stored = prior.init(CLASSES, rng_for("idc"))["pixels"]
    tiles = stored.unflatten(3, (2, 4)).unflatten(2, (2, 4)).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    taken = []
    for tile, c in zip(tiles, CLASSES.repeat_interleave(4).tolist(), strict=True):
        small = F.interpolate(images[c], size=[4, 4], mode="bilinear", antialias=True)
        (match,) = (small - tile).abs().amax((1, 2, 3)).lt(1e-6).nonzero().flatten().tolist()
        taken.append((c, match))
    assert len({*taken}) == 12


def test_idc_keeps_to_the_range_of_images():
    prior = IDC(real_of(pictures(8)), normalize, 8, 2)
    (low, high), inside = (
        normalize(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 2, 8, 8)),
        torch.zeros(1, 2, 8, 8),
    )
    assert torch.equal(prior.project(inside)["pixels"], inside)
    assert torch.equal(prior.project(inside + 9)["pixels"][0], high) and torch.equal(
        prior.project(inside - 9)["pixels"][0], low
    )
    skewed = torch.linspace(0.5, 1, 64).view(8, 8)
    whitened = IDC(real_of(pictures(8)), lambda pixels: pixels * skewed + skewed, 8, 2)
    assert torch.equal(whitened.project(inside + 9)["pixels"], inside + 9)


def test_the_published_factor_and_what_cannot_be():
    factors = {side: IDC(None, lambda x: x, side, 3).factor for side in (32, 128, 224)}
    assert factors == {32: 2, 128: 2, 224: 3}
    with pytest.raises(ValueError, match=naming("idc 8 tiles 9")):
        IDC(None, normalize, 8, 2, factor=9)


def test_freds_transform_is_the_orthonormal_cosine_transform():
    image = torch.randn(12, 12, generator=rng_for("image"), dtype=torch.float64)
    basis = cosine_basis(12).double()
    expected = torch.from_numpy(fft.dctn(image.numpy(), norm="ortho"))
    torch.testing.assert_close(basis @ image @ basis.T, expected, rtol=0, atol=1e-6)


def test_fred_keeps_the_frequencies_at_which_a_class_varies_most():
    images = pictures(8)
    prior = FreD(real_of(images), 8, 2, (40, 40), CPU, frequencies=10)
    latents = prior.init(CLASSES, rng_for("fred"))
    for c in (0, 1):
        spectra = fft.dctn(images[c].mean(1).double().numpy(), axes=(1, 2), norm="ortho").reshape(40, -1)
        assert {*prior.positions[c].tolist()} == {*spectra.var(0, ddof=1).argsort()[-10:].tolist()}
    found = prior(**latents)
    for row, c in enumerate(CLASSES.tolist()):
        spectrum = torch.from_numpy(fft.dctn(images[c].numpy(), axes=(2, 3), norm="ortho")).flatten(2)
        kept = torch.zeros_like(spectrum)
        where = prior.positions[c].long()
        kept[:, :, where] = spectrum[:, :, where]
        low = torch.from_numpy(fft.idctn(kept.unflatten(2, (8, 8)).numpy(), axes=(2, 3), norm="ortho"))
        assert float((low - found[row]).abs().amax((1, 2, 3)).min()) < 1e-5  # of one of the real images


def test_fred_with_all_frequencies_is_the_image():
    images = pictures(8)
    prior = FreD(real_of(images), 8, 2, (40, 40), CPU, frequencies=64)
    found = prior(**prior.init(CLASSES, rng_for("fred")))
    distances = [
        float((images[c] - image).abs().amax((1, 2, 3)).min()) for c, image in zip(CLASSES, found, strict=True)
    ]
    assert max(distances) < 1e-5 and not torch.equal(found[0], found[2])
    with pytest.raises(ValueError, match=naming("fred 64 8 65")):
        FreD(real_of(images), 8, 2, (40, 40), CPU, frequencies=65)
    with pytest.raises(ValueError, match=naming("fred class 0 40 41")):
        prior.init(torch.zeros(41, dtype=torch.int64), rng_for("fred"))


def test_freds_published_rates_are_those_of_the_orthonormal_transform():
    def rates(side):
        found = FreD(None, side, 3, (1,), CPU).learning_rates
        return [found[name]["coefficients"] for name in ("dc", "mtt", "dm", "cf")]

    assert rates(32) == pytest.approx([0.244, 2.44e4, 10, 10], rel=1e-2)  # DM's published 244 is for long runs
    assert rates(128) == pytest.approx([1.53, 1.53e4, 15.3, 15.3], rel=1e-2)


@pytest.mark.parametrize(
    ("side", "channels", "sizes", "floats", "rows"),
    [
        (32, 3, {}, 81, 37),
        (32, 3, {"width": 20}, 543, None),
        (28, 1, {"width": 4}, 37, 21),
        (28, 1, {}, 67, 11),
        (28, 1, {"width": 8}, 105, 7),
        (128, 3, {}, 963, 51),
    ],
)
def test_ddifs_numbers_are_those_of_the_paper(side, channels, sizes, floats, rows):
    prior = DDiF(side, channels, CPU, **sizes)
    assert prior.init(CLASSES, rng_for("ddif"))["field"].shape == (3, floats) and prior.floats_per_row == floats
    assert rows is None or channels * side**2 // floats == rows


@pytest.mark.parametrize(("side", "frequency"), [(10, 10.0), (40, 40.0)])
def test_ddif_is_a_sine_network_at_each_place(side, frequency):
    prior = DDiF(side, 2, CPU, width=5, layers=3)
    field = prior.init(CLASSES, rng_for("ddif"))["field"].double()
    found = prior(field)
    for row, numbers in enumerate(field):
        layers, start = [], 0
        for into, out in ((2, 5), (5, 5), (5, 5), (5, 2)):
            weight = numbers[start : start + into * out].view(out, into)
            layers.append((weight, numbers[start + into * out : start + (into + 1) * out]))
            start += (into + 1) * out
        assert start == len(numbers)
        for y, x in ((0, 0), (3, side - 1), (side - 1, 2)):
            h = torch.tensor([2 * y / (side - 1) - 1, 2 * x / (side - 1) - 1], dtype=torch.float64)
            for w, (weight, bias) in zip((30.0, frequency, frequency), layers[:-1], strict=True):
                h = torch.sin(w * (weight @ h + bias))
            torch.testing.assert_close(found[row, :, y, x], layers[-1][0] @ h + layers[-1][1], rtol=1e-5, atol=1e-5)


def test_ddifs_first_weights_lie_within_the_published_bounds():
    field = DDiF(32, 3, CPU).init(torch.zeros(4000, dtype=torch.int64), rng_for("ddif"))["field"]
    first, others = field[:, :18].abs().max(), field[:, 18:].abs().max()
    assert 0.499 < float(first) <= 0.5 and 0.0999 < float(others) <= 0.1  # sqrt(6 / 6) / 10
    with pytest.raises(ValueError, match=naming("ddif 1 layer 0")):
        DDiF(32, 3, CPU, width=0)
    with pytest.raises(ValueError, match=naming("ddif 1 layer 0 6")):
        DDiF(32, 3, CPU, layers=0)


@pytest.mark.parametrize("layer", [None, 2])
def test_a_code_of_w_is_one_for_all_layers(layer):
    def make(space):
        return StyleGANPrior(tiny_generator(), lambda x: x, 16, 3, (0, 1, 2), layer=layer, space=space)

    one, each = make("w"), make("w+")
    latents = one.init(CLASSES, rng_for("w"))
    layers = each.generator.mapping.num_ws
    assert latents["w"].shape == (3, 5) and one.floats_per_row == each.floats_per_row - 5 * (layers - 1)
    drawn = each.init(CLASSES, rng_for("w"))
    assert all(torch.equal(drawn["w"][:, i], latents["w"]) for i in range(layers))
    w, spread = latents["w"].clone().requires_grad_(), drawn["w"].clone().requires_grad_()
    images = [one(**{**latents, "w": w}), each(**{**drawn, "w": spread})]
    # Matrices of other strides have other last bits on some processors.
    torch.testing.assert_close(*images, rtol=1e-5, atol=1e-6)
    pulls = [
        torch.autograd.grad(found.square().sum(), leaf)[0] for found, leaf in zip(images, (w, spread), strict=True)
    ]
    torch.testing.assert_close(pulls[0], pulls[1].sum(1), rtol=1e-4, atol=1e-5)


def test_a_code_that_layers_share_has_the_rate_of_one_over_the_root_of_their_number():
    assert published_rates(False, {"dm": {"w": 0.03}}, 9)["dm"]["w"] == pytest.approx(0.01)
    assert published_rates(True, {}, 4)["dm"] == {"w": 5e-3, "f": 10.0, "g": 1e-4}
    with pytest.raises(ValueError, match=naming("w w+ 'f'")):
        StyleGANPrior(tiny_generator(), lambda x: x, 16, 3, (0, 1, 2), space="f")
