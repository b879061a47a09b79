#!/bin/sh
# kornia's RandomMosaic passes no gradient to the images, without an error or a warning: the tiles are put together without
# autograd, and the result says that it requires a gradient all the same. It is zero wherever a mosaic is drawn, in both
# cropping modes, of which the documentation offers "resample" for differentiability. In a batch at p = 0.7 only the images
# that are left alone learn. RandomJigsaw and RandomCutMixV2 are right. Seen with kornia 0.9.0 and torch 2.14.1 on a CPU.
#
#   sh findings/kornia-mosaic-gradient-zero.sh                  installs both into a temporary environment
#   PYTHON=python3 sh findings/kornia-mosaic-gradient-zero.sh   uses the kornia of that Python
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
from kornia.augmentation import RandomCutMixV2, RandomJigsaw, RandomMosaic

print("kornia", importlib.metadata.version("kornia"), "torch", torch.__version__)
noise = torch.Generator().manual_seed(0)
images, direction = (torch.rand(8, 3, 12, 12, generator=noise, dtype=torch.float64) for _ in range(2))
weights = torch.rand(12, 12, generator=noise, dtype=torch.float64)


def measure(augment, p):
    """The slope of a loss by autograd and by differences, and the images that have a gradient."""

    def loss(images):
        torch.manual_seed(1)
        return (augment(images) * weights).sum()

    leaf = images.clone().requires_grad_()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    numeric = (loss(images + 1e-5 * direction) - loss(images - 1e-5 * direction)).item() / 2e-5
    moved = int(gradient.flatten(1).any(1).sum())
    print(f"{type(augment).__name__}, p = {p}: autograd {(gradient * direction).sum():.4f}, differences {numeric:.4f}, {moved} of 8 images")
    return (gradient * direction).sum().item(), numeric, moved


as_described = True
for mode in ("slice", "resample"):
    slope, numeric, moved = measure(RandomMosaic((12, 12), p=1.0, cropping_mode=mode), 1.0)
    as_described &= slope == 0 and abs(numeric) > 1 and moved == 0
    slope, numeric, moved = measure(RandomMosaic((12, 12), p=0.7, cropping_mode=mode), 0.7)
    as_described &= 0 < moved < 8 and slope < 0.9 * numeric
for augment in (RandomJigsaw((2, 2), p=1.0), RandomCutMixV2(p=1.0)):
    slope, numeric, moved = measure(augment, 1.0)
    as_described &= abs(slope - numeric) < 1e-5 and moved == 8
sys.exit(not as_described)
PYTHON_END
