#!/bin/sh
# Second derivatives through torch's weight normalization are wrong, without an error or a warning, in plain reverse mode:
# the gradient's own graph holds the norm of the direction as a constant. So Hessian-vector products are wrong, and so is
# the gradient for images on which a network is trained for two steps or more (matching trajectories, unrolled training).
# Values and first gradients are right. w = g * v / |v| that is written out gives the right ones, and so does dim=None.
# Seen with torch 2.14.1 on a CPU.
#
#   sh findings/torch-weight-norm-second-derivative.sh            installs torch 2.14.1 into a temporary environment
#   PYTHON=python3 sh findings/torch-weight-norm-second-derivative.sh      uses the torch of that Python
#
# Exits with 0 where torch does as described, and with 1 where it does something else.
set -eu

if [ -z "${PYTHON:-}" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet torch==2.14.1
    PYTHON=$folder/bin/python
fi

"$PYTHON" - <<'PYTHON_END'
import sys
import warnings

warnings.filterwarnings("ignore", ".*[Nn]um[Pp]y")
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

torch.manual_seed(0)
images, labels = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
layers = {dim: weight_norm(nn.Linear(4, 3, bias=False).double(), dim=dim) for dim in (0, None)}
names = ["parametrizations.weight.original0", "parametrizations.weight.original1"]  # the length, the direction
direction = torch.randn(3, 4, dtype=torch.float64)


def theirs(dim):
    return lambda g, v, images: torch.func.functional_call(layers[dim], dict(zip(names, (g, v))), images)


def written_out(dim):
    return lambda g, v, images: images @ (g * v / (v.square().sum() if dim is None else v.square().sum(1, True)).sqrt()).T


def slope(network, g, v, images):
    v = v if v.requires_grad else v.clone().requires_grad_()
    loss = nn.functional.cross_entropy(network(g, v, images), labels)
    return torch.autograd.grad(loss, v, create_graph=True)[0]


def hessian_vector(network, g, v):
    v = v.clone().requires_grad_()
    return torch.autograd.grad((slope(network, g, v, images) * direction).sum(), v)[0]


def trained(network, g, v, images):
    """A function of the weights after three steps on the images."""
    for _ in range(3):
        v = v - 2 * slope(network, g, v, images)
    return v.square().sum()


def differences(call, x, h=1e-5):
    return [((call(x + h * d) - call(x - h * d)) / (2 * h)).detach() for d in torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)]


def error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


print("torch", torch.__version__)
as_described = True
for dim, layer in layers.items():
    g, v = (dict(layer.named_parameters())[name].detach() for name in names)
    for name, network in (("torch", theirs(dim)), ("written out", written_out(dim))):
        h = 1e-5
        expected = (slope(network, g, v + h * direction, images) - slope(network, g, v - h * direction, images)) / (2 * h)
        hessian = error(hessian_vector(network, g, v), expected.detach())
        leaf = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(trained(network, g, v, leaf), leaf)
        expected = torch.stack(differences(lambda x: trained(network, g, v, x), images)).view_as(images)
        through = error(gradient, expected)
        print(f"dim={dim}, {name}: error of a Hessian-vector product {hessian:.1e}, of the images' gradient {through:.1e}")
        wrong = name == "torch" and dim == 0
        as_described &= (hessian > 0.01) == wrong and (through > 0.01) == wrong
        as_described &= wrong or max(hessian, through) < 1e-6
    outputs = [call(dim)(g, v, images) for call in (theirs, written_out)]
    as_described &= torch.allclose(*outputs) and torch.allclose(*(slope(call(dim), g, v, images) for call in (theirs, written_out)))
sys.exit(not as_described)
PYTHON_END
