#!/bin/sh
# kornia's RandomGamma and adjust_gamma give a black pixel a gradient of NaN where gamma is below 1, as half of the draws
# from (0.5, 1.5) are: the slope of x^gamma is infinite at 0. White pixels have a gradient of 0. The augmented images are
# right, so nothing shows until a distilled set is moved: of a set that starts from gray clothes, whose background is
# black, these pixels are NaN after one step. Seen with kornia 0.9.0 and torch 2.14.1 on a CPU.
#
#   sh findings/kornia-gamma-gradient-at-black.sh                  installs both into a temporary environment
#   PYTHON=python3 sh findings/kornia-gamma-gradient-at-black.sh   uses the kornia of that Python
#
# Takes seconds once installed. Exits with 0 where kornia does as described, and with 1 where it does something else.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet torch==2.14.1 kornia==0.9.0
    PYTHON=$work/venv/bin/python
fi

cd "$work"
"$PYTHON" -W ignore - <<'PYTHON_END'
import importlib.metadata
import sys

import torch
from kornia.augmentation import RandomGamma

print("kornia", importlib.metadata.version("kornia"), "torch", torch.__version__)
found = {}
for gamma in (0.5, 1.5):
    images = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(1, 3, 4, 4).clone().requires_grad_()
    shown = RandomGamma((gamma, gamma), p=1.0)(images)
    (gradient,) = torch.autograd.grad(shown.sum(), images)
    found[gamma] = gradient[0, 0, 0]
    print(f"gamma {gamma}: images {[round(v, 3) for v in shown[0, 0, 0].tolist()]}, gradient {found[gamma].tolist()}")
    moved = images.detach() - 0.1 * gradient
    print(f"  pixels that are NaN after a step: {int(moved.isnan().sum())} of {moved.numel()}")

as_described = (
    bool(found[0.5][0].isnan())
    and torch.allclose(found[0.5][1:3], torch.tensor([1.0, 0.5**0.5]))
    and torch.allclose(found[1.5][:3], torch.tensor([0.0, 0.75, 1.5 * 0.5**0.5]))
)
print("as described" if as_described else "otherwise than described")
sys.exit(0 if as_described else 1)
PYTHON_END
