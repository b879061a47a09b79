"""Every registered network: shapes, features, seeded weights, and first and second derivatives."""

import pytest
import torch
from errors import naming
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from glad.networks import NETWORKS, make_network
from glad.networks.network import norm_layer
from glad.rng import rng_for

NARROW = {"convnet": 4, "alexnet": 4, "vgg11": 2, "resnet18": 2, "vit": 8}
each_network = pytest.mark.parametrize("name", NETWORKS)


def narrow(name, channels=3, resolution=32, seed=0, **options):
    rng = rng_for(seed, name)
    options = {"width": NARROW[name], **options}
    return make_network(name, channels=channels, classes=5, resolution=resolution, rng=rng, **options)


def images(n, channels, resolution, seed=0, dtype=torch.float32):
    return torch.randn(n, channels, resolution, resolution, generator=rng_for(seed, "x"), dtype=dtype)


@each_network
@pytest.mark.parametrize(("channels", "resolution"), [(1, 28), (3, 16), (3, 28), (3, 32), (3, 50), (3, 64)])
def test_features_lead_to_the_logits(name, channels, resolution):
    network = narrow(name, channels, resolution)
    x = images(3, channels, resolution)
    maps, features, logits = network.stages(x), network.embed(x), network(x)
    assert all(m.ndim == 4 and len(m) == 3 for m in maps)
    assert features.shape == (3, network.classifier.in_features)
    assert logits.shape == (3, 5)
    torch.testing.assert_close(network.readout(maps[-1]).flatten(1), features, rtol=0, atol=0)
    torch.testing.assert_close(network.classifier(features), logits, rtol=0, atol=0)
    assert logits.isfinite().all()
    assert (logits.std(0) > 1e-7).all()  # the logits depend on the image


@each_network
@pytest.mark.parametrize("resolution", [32, 100, 128, 256, 512])
def test_shapes_at_full_width(name, resolution):
    with torch.device("meta"):
        network = NETWORKS[name](channels=3, classes=10, resolution=resolution, norm="instance")
        x = torch.empty(2, 3, resolution, resolution)
        assert network(x).shape == (2, 10)
        assert network.embed(x).shape == (2, network.classifier.in_features)
    assert network.classifier.in_features <= 16384


@each_network
@pytest.mark.parametrize(("channels", "resolution"), [(3, 16), (1, 28), (3, 28), (3, 32), (3, 65), (3, 128)])
def test_no_single_pixel_is_normalized(name, channels, resolution):
    network = narrow(name, channels, resolution)
    sizes = []
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.register_forward_hook(lambda _, inputs, output: sizes.append(output[0, 0].numel()))
    network(images(1, channels, resolution))
    assert min(sizes, default=4) >= 4
    assert bool(sizes) == (name in ("convnet", "vgg11", "resnet18"))


def test_the_published_sizes():
    def build(name, channels, resolution):
        return make_network(name, channels=channels, classes=10, resolution=resolution, rng=rng_for(0))

    # 3·(3·3·width + 1 + 2) per block of the ConvNet, counted by hand; 2048 features at 32 pixels and at gray 28.
    count = sum(p.numel() for p in build("convnet", 3, 32).parameters())
    assert count == (27 * 128 + 3 * 128) + 2 * (9 * 128 * 128 + 3 * 128) + (2048 * 10 + 10)
    assert build("convnet", 1, 28).classifier.in_features == 2048
    depths = [len(NETWORKS["convnet"](channels=3, classes=2, resolution=r, norm="none", width=2).blocks) for r in
              (16, 32, 48, 64, 128, 256, 512)]  # fmt: skip
    assert depths == [3, 3, 3, 4, 5, 6, 7]
    assert build("vgg11", 3, 32).classifier.in_features == 512
    assert build("resnet18", 3, 32).classifier.in_features == 512


@each_network
def test_weights_are_a_function_of_the_generator(name):
    state = torch.get_rng_state()
    first, again, other = narrow(name), narrow(name), narrow(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    moved = narrow(name)
    for (key, a), b, c, d in zip(
        first.named_parameters(), again.parameters(), other.parameters(), moved.parameters(), strict=True
    ):
        assert torch.equal(a, b) and torch.equal(a, d)
        assert a.ndim < 2 or not torch.equal(a, c), key


def test_weights_have_torchs_default_distribution():
    network = make_network("convnet", channels=3, classes=10, resolution=32, rng=rng_for(0))
    conv, reference = network.blocks[1][0], nn.Conv2d(128, 128, 3)
    bound = 1 / (9 * 128) ** 0.5
    assert bound * 0.999 < conv.weight.abs().max() <= bound
    assert reference.weight.abs().max() <= bound
    torch.testing.assert_close(conv.weight.std(), reference.weight.std(), rtol=0.01, atol=0)
    torch.testing.assert_close(conv.bias.std(), reference.bias.std(), rtol=0.25, atol=0)
    vit = make_network("vit", channels=3, classes=10, resolution=32, rng=rng_for(0))
    weight = vit.blocks[1].mlp[1].weight
    assert 0.017 < weight.std() < 0.018 and weight.abs().max() <= 0.04  # 0.88 of 0.02, for the tails are cut


@each_network
def test_derivatives_with_respect_to_the_images(name):
    network = narrow(name, resolution=16, **({"depth": 2} if name == "vit" else {})).double()
    # Small features: scaled up so that the numbers compared are far above gradcheck's absolute tolerance.
    x = images(2, 3, 16, dtype=torch.float64).requires_grad_()

    def scaled(x):
        return network(x) * 10

    # A step smaller than usual: the maps have kinks (ReLU, max pooling), and none may lie within it.
    assert gradcheck(scaled, (x,), eps=1e-7, fast_mode=True)
    assert gradgradcheck(scaled, (x,), eps=1e-7, atol=1e-4, fast_mode=True)


@each_network
def test_derivative_of_the_gradient_norm(name):
    network = narrow(name, resolution=16).double()
    labels = torch.tensor([0, 3])

    def gradient_norm(x):
        loss = F.cross_entropy(network(x), labels)
        gradients = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
        return sum(g.square().sum() for g in gradients)

    x = images(2, 3, 16, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(gradient_norm(x), x)
    direction = slope.detach() / slope.norm()
    step = 1e-6
    with_step = [gradient_norm(x + sign * step * direction).detach() for sign in (1, -1)]
    difference = (with_step[0] - with_step[1]) / (2 * step)
    assert slope.norm() > 1e-6
    torch.testing.assert_close(difference, slope.norm(), rtol=1e-4, atol=1e-9)


def test_batch_norm_starts_from_standard_statistics():
    network = narrow("resnet18", norm="batch").eval()
    assert network(images(2, 3, 32)).isfinite().all()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all((n.running_mean == 0).all() and (n.running_var == 1).all() for n in norms)
    assert isinstance(norm_layer("none", 3), nn.Identity)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lenet", {}, "network 'lenet' convnet alexnet"),
        ("convnet", {"resolution": 8}, "8"),
        ("convnet", {"resolution": 1024}, "1024"),
        ("convnet", {"depth": 6}, "depth 6 32"),
        ("vgg11", {"norm": "layer"}, "norm 'layer'"),
        ("vit", {"width": 10}, "4 heads 10"),
        *((name, {"width": 0}, f"{name}: width 1 0") for name in NETWORKS),
        *((name, {"width": -1}, f"{name}: width 1 -1") for name in NETWORKS),
        ("convnet", {"depth": 0}, "convnet: depth 1 0"),
        *(("vit", {option: 0}, f"vit: {option} 1 0") for option in ("depth", "heads", "patch")),
        ("vit", {"heads": -4}, "vit: heads 1 -4"),
        ("convnet", {"width": float("nan")}, "convnet.width nan int"),
    ],
)
def test_wrong_requests_are_named(name, changes, message):
    with pytest.raises(ValueError, match=naming(message)):
        make_network(name, **{"channels": 3, "classes": 2, "resolution": 32, "rng": rng_for(0), **changes})
