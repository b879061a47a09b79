#!/bin/sh
# MemorizationInformedFrechetInceptionDistance of torchmetrics does not see memorized images: it takes the distance of each
# real image to its nearest generated one, where the metric's definition (Bai et al., 2021) takes that of each generated
# image to its nearest real one. A generator that gives nothing but a tenth of its training images has the plain FID, as
# if nothing had been memorized, and one that adds copies of its hundred training images to a thousand new images has the
# worst score there is. Seen with torchmetrics 1.9.0 and torch 2.14.1.
#
#   sh findings/torchmetrics-mifid-counts-copies-backwards.sh     installs both into a temporary environment
#   PYTHON=python3 sh findings/torchmetrics-mifid-counts-copies-backwards.sh    uses the torchmetrics of that Python
#
# The features are the images' own pixels, through the option for a feature extractor of one's own.
# Takes seconds once installed. Exits with 0 where torchmetrics does as described, and with 1 where it does something else.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet torch==2.14.1 torchmetrics==1.9.0
    PYTHON=$work/venv/bin/python
fi

cd "$work"
"$PYTHON" -W ignore - <<'PYTHON_END'
import importlib.metadata
import sys

import torch
from torch import nn
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

print("torchmetrics", importlib.metadata.version("torchmetrics"), "torch", torch.__version__)
noise = torch.Generator().manual_seed(0)
training, new = (torch.randn(1000, 1, 4, 4, generator=noise, dtype=torch.float64) for _ in range(2))


def frechet(real, fake):
    real, fake = real.flatten(1), fake.flatten(1)
    means, covariances = zip(*((x.mean(0), torch.cov(x.T)) for x in (real, fake)))
    root = torch.linalg.eigvals(covariances[0] @ covariances[1]).sqrt().real.sum()
    return ((means[0] - means[1]).square().sum() + sum(c.trace() for c in covariances) - 2 * root).item()


def defined(real, fake):
    """By the definition: FID over the mean distance of generated images, which counts as 1 from 0.1 on."""
    similar = nn.functional.normalize(fake.flatten(1)) @ nn.functional.normalize(real.flatten(1)).T
    distance = (1 - similar.abs()).min(1).values.mean().item()
    return frechet(real, fake) / (max(distance, 0) + 1e-14 if distance < 0.1 else 1)


def theirs(real, fake):
    metric = MemorizationInformedFrechetInceptionDistance(feature=nn.Flatten())
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute().item()


copies = training[:100].repeat(10, 1, 1, 1)  # a thousand images, all of them memorized
mixed = torch.cat([training[:100], new])  # a thousand new images, and the hundred that it was trained on
found = {}
for name, real, fake in (("copies", training, copies), ("new", training, new), ("mixed", training[:100], mixed)):
    found[name] = frechet(real, fake), defined(real, fake), theirs(real, fake)
    print("{}: FID {:.4g}, MiFID by its definition {:.4g}, of torchmetrics {:.4g}".format(name, *found[name]))

(plain, high, low), (same, also, too), (usual, right, wrong) = found.values()
as_described = high > 1e6 * plain and abs(low - plain) < 1e-6 and abs(also - same) < 1e-6 and abs(too - same) < 1e-6
sys.exit(not (as_described and abs(right - usual) < 1e-6 and wrong > 1e6 * usual))
PYTHON_END
