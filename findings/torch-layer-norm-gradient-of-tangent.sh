#!/bin/sh
# The gradient of a tangent of torch's layer norm is wrong, without an error or a warning: in reverse over forward mode
# (jvp inside, a gradient outside) mean and deviation count as constants. The tangent itself is right. A layer norm that
# is written out with mean() and rsqrt() gives the right gradient. Seen with torch 2.14.1 on a CPU.
#
#   sh findings/torch-layer-norm-gradient-of-tangent.sh            installs torch 2.14.1 into a temporary environment
#   PYTHON=python3 sh findings/torch-layer-norm-gradient-of-tangent.sh      uses the torch of that Python
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

import torch
from torch.func import grad, jvp

warnings.filterwarnings("ignore", ".*torch.jit.script")  # of torch.func.jvp, about itself
warnings.filterwarnings("ignore", ".*[Nn]um[Pp]y")

x = torch.arange(12, dtype=torch.float64).view(3, 4).sin()
v = torch.arange(12, dtype=torch.float64).view(3, 4).cos()
w = torch.arange(1, 5, dtype=torch.float64)


def theirs(x):
    return torch.nn.functional.layer_norm(x, (4,), w)


def written_out(x):
    centered = x - x.mean(1, keepdim=True)
    return centered * (centered.square().mean(1, keepdim=True) + 1e-5).rsqrt() * w


def tangent_norm(norm):
    return lambda x: jvp(norm, (x,), (v,))[1].square().sum()


def differences(function, step=1e-5):
    found = torch.zeros_like(x)
    for index in range(x.numel()):
        moved = torch.zeros_like(x)
        moved.view(-1)[index] = step
        found.view(-1)[index] = (function(x + moved) - function(x - moved)) / (2 * step)
    return found


print("torch", torch.__version__)
tangents = [jvp(norm, (x,), (v,))[1] for norm in (theirs, written_out)]
apart = float((tangents[0] - tangents[1]).abs().max())
print(f"tangents of the two differ by {apart:.1e}")
errors = []
for norm in (theirs, written_out):
    expected, found = differences(tangent_norm(norm)), grad(tangent_norm(norm))(x)
    errors.append(float((found - expected).abs().max() / expected.abs().max()))
print(f"gradient of |tangent|^2 against finite differences: layer_norm off by {errors[0]:.1%}, written out {errors[1]:.1e}")
sys.exit(not (apart < 1e-12 and errors[0] > 0.01 and errors[1] < 1e-6))
PYTHON_END
