"""The generator as a prior: W+ and F_n, normalization, fitting to the data, starts, gradients, errors."""

import pytest
import torch
import torch.nn.functional as F
from errors import naming
from fixtures import check, codes, leaf, tiny_generator

from generators import geometry
from generators import prior as module
from generators.draws import normal
from generators.prior import StyleGANPrior

LAYERS = range(8)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def make(generator=None, resolution=16, channels=3, class_ids=(0, 1, 2), normalize=lambda x: x, **options):
    return StyleGANPrior(generator or tiny_generator(), normalize, resolution, channels, class_ids, **options)


def images(prior):
    """The generator's own images for the codes of the first two classes."""
    latents = prior.init(torch.tensor([0, 1]), rng())
    return latents, (prior.generator.synthesis.synthesize(latents["w"]) + 1) / 2


def test_codes_are_those_of_fresh_samples_of_the_classes():
    prior = make(class_ids=[2, 0])
    latents = prior.init(torch.tensor([1, 0, 0]), rng())
    z = normal([3, 4], rng())
    assert latents.keys() == {"w"}
    assert torch.equal(latents["w"], prior.generator.mapping(z, torch.tensor([0, 2, 2])))
    assert torch.equal(latents["w"], prior.init(torch.tensor([1, 0, 0]), rng())["w"])
    assert not torch.equal(latents["w"], prior.init(torch.tensor([1, 0, 0]), rng(1))["w"])
    assert not latents["w"].requires_grad


@pytest.mark.parametrize("layer", LAYERS)
def test_features_start_at_the_images_of_the_codes(layer):
    generator = tiny_generator()
    plain, prior = make(generator), make(generator, layer=layer)
    classes = torch.tensor([0, 2])
    latents = prior.init(classes, rng())
    assert latents["f"].shape == (2, *generator.synthesis.feature_shape(layer))
    assert latents["f"].abs().max() < module.LIMIT  # nothing was clipped
    check(prior(**latents), plain(**plain.init(classes, rng())), 1e-6)


def test_features_are_clipped_and_made_finite():
    generator = tiny_generator()
    layer = generator.synthesis.layers[0]
    layer.bias[:3] = torch.tensor([float("nan"), 1e9, -1e9])
    layer.down_filter.zero_()
    layer.down_filter[0] = 1
    f = make(generator, layer=1).init(torch.tensor([0]), rng())["f"]
    assert f.isfinite().all()
    assert not f[:, 0].any()
    assert (f[:, 1].max(), f[:, 2].min()) == (10, -10)


def test_infinite_features_count_as_five(monkeypatch):
    generator = tiny_generator()
    features = torch.zeros(1, 6, 28, 28)
    features[0, 0, 0, :3] = torch.tensor([float("inf"), float("-inf"), float("nan")])
    monkeypatch.setattr(generator.synthesis, "features", lambda ws, layer: features.half())
    f = make(generator, layer=1).init(torch.tensor([0]), rng())["f"]
    assert f.dtype == torch.float32
    assert f[0, 0, 0, :4].tolist() == [5, -5, 0, 0]


def test_random_features_have_the_mean_and_deviation_of_each_sample():
    generator, classes = tiny_generator(), torch.tensor([0, 1, 2])
    plain = make(generator, layer=2).init(classes, rng())
    noise = make(generator, layer=2, rand_f=1).init(classes, rng())
    assert torch.equal(plain["w"], noise["w"])
    std, mean = torch.std_mean(plain["f"], (1, 2, 3))
    found_std, found_mean = torch.std_mean(noise["f"], (1, 2, 3))
    count = plain["f"][0].numel()
    assert ((found_mean - mean).abs() < 5 * std / count**0.5).all()
    assert ((found_std / std - 1).abs() < 5 / (2 * count) ** 0.5).all()
    centered = [(t["f"] - t["f"].mean((1, 2, 3), keepdim=True)).flatten(1) for t in (plain, noise)]
    assert (F.cosine_similarity(*centered).abs() < 0.1).all()  # nothing of the features themselves remains


def test_average_codes_are_the_mean_of_the_class():
    prior = make(avg_w=1, class_ids=[2, 0, 1])
    ws = prior.init(torch.tensor([0, 1, 0]), rng())["w"]
    assert torch.equal(ws[0], ws[2])
    assert not torch.equal(ws[0], ws[1])
    z = torch.randn(20_000, 4, generator=rng(1))
    for row, label in ((0, 2), (1, 0)):
        sample = prior.generator.mapping(z, torch.full([20_000], label))[:, 0]
        deviation = sample.std(0) * (1 / module.AVERAGE_OVER + 1 / 20_000) ** 0.5
        assert ((ws[row, 0] - sample.mean(0)).abs() < 5 * deviation).all()


def test_images_reach_the_network_normalized():
    prior = make(normalize=lambda x: (x - 0.4) / 0.2)
    latents, pixels = images(prior)
    check(prior(**latents), (pixels - 0.4) / 0.2, 1e-6)


def test_the_frame_is_cut_before_the_images_are_resized():
    prior = make(frame=2, resolution=8)
    latents, pixels = images(prior)
    expected = F.interpolate(pixels[:, :, 2:-2, 2:-2], [8, 8], mode="bilinear", antialias=True)
    check(prior(**latents), expected, 1e-5)
    assert torch.equal(make(frame=2, resolution=12)(**latents), pixels[:, :, 2:-2, 2:-2])


@pytest.mark.parametrize("resolution", [5, 8, 16, 28])
def test_images_have_the_resolution_of_the_data(resolution):
    prior = make(resolution=resolution)
    latents, pixels = images(prior)
    found = prior(**latents)
    assert found.shape == (2, 3, resolution, resolution)
    check(found.mean((2, 3)), pixels.mean((2, 3)), 0.2)


def test_colors_become_grey_by_their_mean_and_grey_three_equal_channels():
    prior = make(channels=1)
    latents, pixels = images(prior)
    check(prior(**latents), pixels.mean(1, keepdim=True), 1e-6)
    gray = tiny_generator()
    last = gray.synthesis.layers[-1]
    last.weight.copy_(last.weight[:1].expand_as(last.weight))
    last.bias.zero_()
    wide = make(gray)(**latents)
    check(make(gray, channels=1)(**latents), wide[:, :1], 1e-6)


def test_a_grey_generator_gives_color_data_three_equal_channels():
    specs = geometry.superres(geometry.stem(8, 4, 48, 6, img_channels=1), 4, 2, 48, 6, img_channels=1)
    prior = make(tiny_generator(specs=specs))
    latents, pixels = images(prior)
    assert pixels.shape[1] == 1
    assert torch.equal(prior(**latents), pixels.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("layer", [None, 0, 3])
def test_codes_get_a_gradient_and_frozen_weights_none(layer):
    prior = make(layer=layer, resolution=8)
    latents = {name: leaf(tensor) for name, tensor in prior.init(torch.tensor([0, 1]), rng()).items()}
    rendered = prior(**latents)
    rendered.backward(torch.randn(rendered.shape, generator=rng(3)))
    assert all(latent.grad.abs().sum() > 0 for latent in latents.values())
    assert all(parameter.grad is None for parameter in prior.generator.parameters())
    assert leaves(rendered) == {id(latent) for latent in latents.values()}
    assert prior.tensors() == {}


def leaves(tensor):
    """The ids of the tensors to which the graph behind ``tensor`` leads gradients."""
    found, seen, todo = set(), set(), [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        todo += [parent for parent, _ in node.next_functions]
    return found


def test_learnt_weights_are_offered_by_name_and_get_gradients():
    generator = tiny_generator()
    generator.synthesis.layers[-1].requires_grad_(True)
    prior = make(generator)
    tensors = prior.tensors()
    name = generator.synthesis.layer_names[-1]
    assert tensors.keys() == {f"g/{name}.{part}" for part in ("weight", "bias", "affine.weight", "affine.bias")}
    prior(codes(generator)).square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in tensors.values())
    before = prior(codes(generator)).detach()
    with torch.no_grad():
        tensors[f"g/{name}.bias"].add_(1)
    assert not torch.equal(prior(codes(generator)), before)  # they are the generator's own, not copies


def test_convolutions_run_in_the_type_asked_for():
    generator = tiny_generator()
    latents = make(generator).init(torch.tensor([0, 1]), rng())
    single = make(generator)(**latents)
    half = make(generator, conv="bfloat16")(**latents)
    assert generator.synthesis.conv_dtype == torch.bfloat16
    assert half.dtype == torch.float32
    assert 1e-5 < (half - single).abs().max() < 0.05
    assert torch.equal(make(generator)(**latents), single)


def test_no_latents_give_no_images():
    prior = make(layer=2)
    latents = prior.init(torch.zeros(0, dtype=torch.long), rng())
    assert latents["w"].shape == (0, 8, 5)
    assert prior(**latents).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 8}, "8 0 6x28x28 L0_28_6 7 3x16x16"),
        ({"layer": -1}, "-1"),
        ({"conv": "float8"}, "float32 bfloat16 'float8'"),
        ({"class_ids": [0, 3]}, "3 3"),
        *(({switch: 2}, f"{switch} 0 1 2") for switch in ("rand_f", "avg_w", "learn_g")),
    ],
)
def test_errors_name_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=naming(message)):
        make(**options)


def test_codes_and_features_of_another_shape_are_refused():
    generator = tiny_generator()
    with pytest.raises(ValueError, match=naming("ws [N, 8, 5]")):
        make(generator)(codes(generator)[:, :4])
    with pytest.raises(ValueError, match=naming("f [2 6 28 28] layer 1 [2 6 8 8]")):
        make(generator, layer=1)(codes(generator), torch.zeros(2, 6, 8, 8))
    with pytest.raises(ValueError, match=naming("layer 1")):
        make(generator, layer=1)(codes(generator))


@pytest.mark.parametrize(("layer", "learned"), [(None, range(8)), (0, range(8)), (3, range(3, 8)), (6, [6])])
def test_learn_g_learns_the_layers_that_are_run(layer, learned):
    generator = tiny_generator().requires_grad_(False)
    prior = make(generator, layer=layer, learn_g=1)
    names = {name.split(".")[0] for name in prior.tensors()}
    wanted = {f"g/{generator.synthesis.layer_names[i]}" for i in learned if i < len(generator.synthesis.layer_names)}
    assert names == wanted | ({"g/input"} if layer is None else set())
    prior(**prior.init(torch.tensor([0]), rng())).sum().backward()
    assert all(tensor.grad is not None for tensor in prior.tensors().values())


def test_truncation_pulls_codes_towards_the_average_of_their_class():
    generator, classes = tiny_generator(), torch.tensor([2, 0])
    free, half, none = (make(generator, truncation=psi).init(classes, rng())["w"] for psi in (1.0, 0.5, 0.0))
    average = generator.mapping.w_avg[classes][:, None]
    check(none, average.expand_as(none), 1e-6)
    check(half, (free + average) / 2, 1e-6)


def test_latents_of_codes_render_what_the_codes_do_and_are_differentiable():
    generator = tiny_generator()
    ws = leaf(make(generator).init(torch.tensor([1, 2]), rng())["w"])
    latents = make(generator, layer=3).from_codes(ws)
    check(make(generator, layer=3)(**latents), make(generator)(ws), 1e-6)
    (through,) = torch.autograd.grad(make(generator, layer=3)(**latents).square().sum(), ws)
    (straight,) = torch.autograd.grad(make(generator)(ws).square().sum(), ws)
    check(through, straight, 1e-4)
