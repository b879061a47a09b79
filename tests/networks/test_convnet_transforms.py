"""torch.func of ConvNet, whose operator has kernels on a CPU: the same as with plain torch in its place."""

from importlib import import_module

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

from glad.networks import make_network
from glad.rng import rng_for


def plain(x, weight, bias, eps):
    """By hand, as torch's own norm lacks the tangent of its gradient."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    normal = (x - mean) * (variance + eps).rsqrt()
    return torch.nn.functional.avg_pool2d((normal * weight[:, None, None] + bias[:, None, None]).relu(), 2)


@pytest.fixture
def network():
    network = make_network("convnet", channels=1, classes=3, resolution=16, rng=rng_for("net"), width=3).double()
    for parameter in network.parameters():  # away from ones and zeros
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng_for("net"), dtype=torch.float64)
    return network


TRANSFORMS = {
    "jvp": lambda f, p, x: jvp(f, (p, x), (p, x.sin()))[1],
    "grad": lambda f, p, x: grad(lambda p: f(p, x).square().sum())(p),
    "jacrev": lambda f, p, x: jacrev(f)(p, x),
    "jacfwd": lambda f, p, x: jacfwd(f, 1)(p, x[:1]),
    "gradients of every image": lambda f, p, x: vmap(grad(lambda p, x: f(p, x[None]).square().sum()), (None, 0))(p, x),
    "gradients of several networks": lambda f, p, x: vmap(grad(lambda p: f(p, x).square().sum()))(
        {name: torch.stack([t, 1.1 * t, t + 0.1]) for name, t in p.items()}
    ),
    "hessian": lambda f, p, x: hessian(lambda b: f({**p, "blocks.0.1.weight": b}, x).square().sum())(
        p["blocks.0.1.weight"]
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_of_convnet_are_those_of_plain_torch(network, transform, monkeypatch):
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    x = torch.randn(2, 1, 16, 16, generator=rng_for("images"), dtype=torch.float64)

    def logits(parameters, x):
        return functional_call(network, parameters, (x,))

    found = TRANSFORMS[transform](logits, parameters, x)
    monkeypatch.setattr(import_module("glad.networks.convnet"), "norm_relu_pool", plain)
    torch.testing.assert_close(found, TRANSFORMS[transform](logits, parameters, x), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["convnet", "resnet18", "vit"])
def test_gradients_of_tangents_are_tangents_of_gradients(name):
    """Both are the Hessian times a vector, whose oracle is backward mode twice (torch's layer norm is wrong here)."""
    network = make_network(name, channels=1, classes=3, resolution=16, rng=rng_for("net"), width=4).double()
    x, v = torch.randn(2, 2, 1, 16, 16, generator=rng_for("images"), dtype=torch.float64).unbind()

    def loss(x):
        return functional_call(network, parameters, (x,)).pow(3).sum()

    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(leaf), leaf, create_graph=True)[0]
    expected = torch.autograd.grad((gradient * v).sum(), leaf)[0]
    torch.testing.assert_close(grad(lambda x: jvp(loss, (x,), (v,))[1])(x), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(jvp(grad(loss), (x,), (v,))[1], expected, rtol=1e-8, atol=1e-10)
