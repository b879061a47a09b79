"""Time other ways of training experts against the one in use: stacked experts, bfloat16, channels-last.

    THP_MEM_ALLOC_ENABLE=1 python scripts/bench_experts.py

One step of SGD of COUNT ConvNets of width 128 on 256 images of 3 x 32 x 32 each, without augmentation. In use is one
expert after the other, a few images at a time. Stacked means all experts in one call of ``torch.func.vmap``, in plain
torch, since the fused operators have no rule for it; beside it stands plain torch without stacking. All ways take turns
in one process, and all float32 ones must give the same gradient. Run it on an otherwise idle machine.
"""

import os
import statistics
from collections.abc import Callable
from functools import partial

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it starts

import click
import torch
from bench_ops import processor
from plain_objectives import in_plain_torch, timed
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from glad.microbatch import CHUNK
from glad.networks import Network, make_network
from glad.rng import rng_for

BATCH, SIDE, CLASSES = 256, 32, 10
TOLERANCE = 1e-3
Experts = list[Network]
Way = Callable[[Experts, Tensor, Tensor], list[Tensor]]
"""Images [K, N, C, H, W] and labels [K, N] of K experts to a gradient [P] per expert."""


def gradients(network: Network, images: Tensor, labels: Tensor, size: int) -> Tensor:
    """The gradient [P] of the mean loss, ``size`` images at a time."""
    total = [torch.zeros_like(weight) for weight in network.parameters()]
    for x, y in zip(images.split(size), labels.split(size), strict=True):
        loss = F.cross_entropy(network(x), y, reduction="sum") / len(images)
        torch._foreach_add_(total, torch.autograd.grad(loss, list(network.parameters())))
    return torch.cat([part.flatten() for part in total])


def one_by_one(experts: Experts, images: Tensor, labels: Tensor, size: int) -> list[Tensor]:
    """The way in use, for ``size`` images at a time."""
    return [gradients(*each, size) for each in zip(experts, images, labels, strict=True)]


def channels_last(experts: Experts, images: Tensor, labels: Tensor) -> list[Tensor]:
    """The same in the other memory format."""
    there = [network.to(memory_format=torch.channels_last) for network in experts]
    laid = [x.contiguous(memory_format=torch.channels_last) for x in images]
    found = [gradients(*each, CHUNK) for each in zip(there, laid, labels, strict=True)]
    for network in experts:
        network.to(memory_format=torch.contiguous_format)
    return found


def bfloat16(experts: Experts, images: Tensor, labels: Tensor) -> list[Tensor]:
    """The same under autocast."""
    with torch.autocast("cpu", torch.bfloat16):
        return [gradients(*each, CHUNK) for each in zip(experts, images, labels, strict=True)]


def stacked(experts: Experts, images: Tensor, labels: Tensor, size: int) -> list[Tensor]:
    """All experts in one call."""
    weights, buffers = stack_module_state(experts)
    rows = {name: weight.detach() for name, weight in weights.items()}

    def loss(mine: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(experts[0], (mine, buffers), (x,)), y, reduction="sum") / images.shape[1]

    total = {name: torch.zeros_like(row) for name, row in rows.items()}
    for x, y in zip(images.split(size, 1), labels.split(size, 1), strict=True):
        for name, part in vmap(grad(loss))(rows, x, y).items():
            total[name] += part
    return [torch.cat([part[k].flatten() for part in total.values()]) for k in range(len(experts))]


def ways(count: int) -> dict[str, tuple[Way, Experts]]:
    """By name, a way and the experts that it trains."""

    def make() -> Experts:
        return [
            make_network("convnet", channels=3, classes=CLASSES, resolution=SIDE, rng=rng_for("bench", k))
            for k in range(count)
        ]

    ours, plain = make(), [in_plain_torch(network) for network in make()]
    return {
        "in use": (partial(one_by_one, size=CHUNK), ours),
        "whole batches": (partial(one_by_one, size=BATCH), ours),
        "channels-last": (channels_last, ours),
        "bfloat16": (bfloat16, ours),
        "plain torch": (partial(one_by_one, size=CHUNK), plain),
        "plain torch, stacked": (partial(stacked, size=CHUNK), plain),
        "plain torch, stacked, whole batches": (partial(stacked, size=BATCH), plain),
    }


@click.command(context_settings={"show_default": True})
@click.option("--count", type=click.IntRange(1), default=4, help="Experts.")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--threads", type=click.IntRange(1), default=2)
def main(count: int, rounds: int, threads: int) -> None:
    """Print the seconds of each way, how many times slower than the one in use it is, and its gradient's error."""
    torch.set_num_threads(threads)
    images = torch.randn(count, BATCH, 3, SIDE, SIDE, generator=rng_for("bench", "images"))
    labels = torch.randint(CLASSES, (count, BATCH), generator=rng_for("bench", "labels"))
    found = ways(count)
    results = {name: torch.stack(way(experts, images, labels)) for name, (way, experts) in found.items()}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, (way, experts) in found.items():
            seconds[name].append(timed(partial(way, experts, images, labels)))
    shown = Table("way", "seconds", "times the one in use", "gradient apart", title=f"{count} experts, a step each")
    for name, taken in seconds.items():
        apart = float((results[name] - results["in use"]).norm() / results["in use"].norm())
        if name != "bfloat16" and not apart <= TOLERANCE:
            raise click.ClickException(f"{name}: the gradient differs by {apart:.1e} of it: not comparable")
        ratio = statistics.median(a / b for a, b in zip(taken, seconds["in use"], strict=True))
        shown.add_row(name, f"{statistics.median(taken):.3g}", f"{ratio:.2f}", f"{apart:.1e}")
    Console(width=100).print(shown)
    click.echo(f"{processor()}, {threads} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
