#!/bin/sh
# torch.optim.SGD(differentiable=True) with momentum gives a wrong gradient through its steps, without an error or a
# warning: the first momentum buffer is a detached copy, so the first gradient counts as a constant. After one step nothing
# of the images is left in the graph, after several the rest has another size, or sign. The steps themselves are right, and
# so is the gradient without momentum. A set that is distilled through such students (matching trajectories, unrolled
# training) moves by it. Seen with torch 2.14.1 on a CPU.
#
#   sh findings/torch-sgd-differentiable-momentum.sh            installs torch 2.14.1 into a temporary environment
#   PYTHON=python3 sh findings/torch-sgd-differentiable-momentum.sh      uses the torch of that Python
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

images = torch.arange(12, dtype=torch.float64).view(3, 4).sin()
labels = torch.tensor([0, 1, 0])
start = torch.arange(8, dtype=torch.float64).view(4, 2).cos()
target = torch.ones(4, 2, dtype=torch.float64)
direction = torch.arange(12, dtype=torch.float64).view(3, 4).cos()


def student(images, momentum, steps, written_out):
    """A linear classifier after some steps of SGD on the images, with its gradient kept."""
    weights, buffer = start.clone(), None
    optimizer = torch.optim.SGD([weights], lr=0.5, momentum=momentum, differentiable=True)
    for _ in range(steps):
        seen = weights.clone().requires_grad_()  # the optimizer's step is in place
        loss = torch.nn.functional.cross_entropy(images @ seen, labels)
        (gradient,) = torch.autograd.grad(loss, seen, create_graph=True)
        if written_out:
            buffer = gradient if buffer is None else momentum * buffer + gradient
            weights = weights - 0.5 * buffer
        else:
            weights.grad = gradient
            optimizer.step()
    return weights


def along(momentum, steps, written_out):
    """The distance to the target, and its slope along a direction of the images."""
    leaf = images.clone().requires_grad_()
    distance = (student(leaf, momentum, steps, written_out) - target).square().sum()
    if not distance.requires_grad:
        return distance.item(), 0.0
    (gradient,) = torch.autograd.grad(distance, leaf, allow_unused=True)
    return distance.item(), 0.0 if gradient is None else (gradient * direction).sum().item()


def differences(momentum, steps, h=1e-5):
    ends = [(student(images + s * h * direction, momentum, steps, False) - target).square().sum() for s in (1, -1)]
    return ((ends[0] - ends[1]) / (2 * h)).item()


print("torch", torch.__version__)
as_described = True
for momentum in (0.0, 0.9):
    for steps in (1, 2, 3, 10):
        (loss, theirs), (expected, ours) = (along(momentum, steps, w) for w in (False, True))
        numeric = differences(momentum, steps)
        print(f"momentum {momentum}, {steps:2} steps: SGD {theirs:+.6f}, written out {ours:+.6f}, differences {numeric:+.6f}")
        as_described &= abs(loss - expected) < 1e-9 and abs(ours - numeric) < 1e-6 * max(1, abs(numeric))
        as_described &= (abs(theirs - numeric) > 1e-2 * abs(numeric)) == (momentum > 0)
        as_described &= momentum == 0 or steps > 1 or theirs == 0
sys.exit(not as_described)
PYTHON_END
