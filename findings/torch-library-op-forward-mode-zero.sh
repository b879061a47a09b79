#!/bin/sh
# An operator with torch.library.register_autograd has no forward-mode derivative, and torch does not say so:
# torch.func.jvp and jacfwd give zero, and dual numbers lose their tangent, without an error or a warning.
# torch.func.grad of the same operator raises. Seen with torch 2.14.1 on a CPU.
#
#   sh findings/torch-library-op-forward-mode-zero.sh            installs torch 2.14.1 into a temporary environment
#   PYTHON=python3 sh findings/torch-library-op-forward-mode-zero.sh      uses the torch of that Python
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
from torch.autograd import forward_ad
from torch.func import grad, jacfwd, jvp

warnings.filterwarnings("ignore", ".*torch.jit.script")  # of torch.func.jvp, about itself
warnings.filterwarnings("ignore", ".*[Nn]um[Pp]y")
seen = []
warnings.showwarning = lambda message, *rest, **more: seen.append(str(message))


@torch.library.custom_op("finding::square", mutates_args=())
def square(x: torch.Tensor) -> torch.Tensor:
    return x * x


@square.register_fake
def _(x):
    return torch.empty_like(x)


square.register_autograd(
    lambda ctx, g: 2 * g * ctx.saved_tensors[0],
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)


def dual(f, x, v):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, v))).tangent


def attempt(f):
    try:
        return f()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def backward(f):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf).sum(), leaf)[0]


x, v = torch.tensor([1.0, -2.0, 3.0]), torch.ones(3)
ways = {
    "backward": backward,
    "jvp": lambda f: jvp(f, (x,), (v,))[1],
    "dual": lambda f: dual(f, x, v),
    "jacfwd": lambda f: jacfwd(f)(x).diagonal(),
    "grad": lambda f: grad(lambda x: f(x).sum())(x),
}
found = {name: attempt(lambda way=way: way(square)) for name, way in ways.items()}
expected = {name: way(torch.square) for name, way in ways.items()}
print("torch", torch.__version__)
for name in ways:
    print(f"{name:8} of the operator: {found[name]}\n{name:8} of torch.square: {expected[name]}")
print("warnings:", seen or "none")


def nothing(tangent):
    return tangent is None or (isinstance(tangent, torch.Tensor) and not tangent.any())


zero = all(nothing(found[name]) for name in ("jvp", "dual", "jacfwd"))
right = isinstance(found["backward"], torch.Tensor) and torch.equal(found["backward"], expected["backward"])
as_described = right and zero and isinstance(found["grad"], str) and not seen
print("as described:" if as_described else "CHANGED:", "forward mode is silently zero" if zero else "forward mode answers")
sys.exit(0 if as_described else 1)
PYTHON_END
