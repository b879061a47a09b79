"""Where the noise of a set's gradient comes from: the real images of an iteration, or its network and augmentation?

FashionMNIST, pixels as they start (real images), ConvNet-3. An objective's gradient in the set is taken for some
networks and, in each, for some draws of real images. The variance over draws is that of the real images; the variance
of the means over draws, less what the draws leave in them, that of the network and the augmentation. With cost per
iteration in mind that says how many real images are worth their time: noise falls with the number of iterations too.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/measure_gradient_noise.py --root DATA --objective dm
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import torch
from compare_real_draws import POOL, Strata
from rich.console import Console
from rich.table import Table
from torch import Tensor

from glad.data.augment import ALL, augment, strategy_for
from glad.data.dataset import ImageData
from glad.data.splits import load_data
from glad.networks.factory import network_factory
from glad.objectives import OBJECTIVES
from glad.objectives.base import Step
from glad.objectives.description import all_terms
from glad.rng import rng_for

DEVICE = torch.device("cpu")
OBJECTIVES_OF_REAL = ("dm", "datadam", "dc", "cf")
"""Those that need real images and no experts."""
FRESH: dict[str, dict[str, Any]] = {"dc": {"outer": 1}}
"""Options with which every network is a fresh one."""


@dataclass(frozen=True)
class Draw(Step):
    """A step whose real images are those of one draw, and all else that of one network, which is its iteration."""

    draw: int

    def rng(self, purpose: str) -> torch.Generator:
        """A stream that the draw changes only for real images."""
        key = (self.draw,) if purpose.startswith("real") else ()
        return rng_for("noise", self.iteration, purpose, *key)


def gradients(objective: Any, images: Tensor, labels: Tensor, networks: int, draws: int) -> Tensor:
    """The gradient in the set of every network and draw, float64 [networks, draws, D]."""
    found = []
    for network in range(networks):
        for draw in range(draws):
            leaf, step = images.clone().requires_grad_(), Draw(0, network, draw)
            if hasattr(objective, "prepare"):
                objective.prepare(images, labels, step)
            for term in all_terms(objective, leaf, labels, step):
                term.backward()
            assert leaf.grad is not None
            found.append(leaf.grad.flatten().double())
    return torch.stack(found).reshape(networks, draws, -1)


def noise(found: Tensor) -> tuple[float, float]:
    """Variance by the real images, and the squared mean, relative to the variance by network and augmentation."""
    networks, draws, _ = found.shape
    real = float(found.var(1).sum(1).mean())
    means = found.mean(1)
    other = float(means.var(0).sum()) - real / draws
    mean = float(means.mean(0).square().sum()) - (other + real / draws) / networks
    return real / other, mean / other


def start(data: ImageData, ipc: int) -> tuple[Tensor, Tensor]:
    """Real images and their labels, ``ipc`` of each class."""
    images = [data.real(c, ipc, rng_for("noise", "start", c)) for c in range(len(data.classes))]
    return torch.cat(images), torch.arange(len(images)).repeat_interleave(ipc)


@click.command()
@click.option("--root", default="data", show_default=True, help="Where FashionMNIST lies.")
@click.option("--data", "name", default="fashionmnist", show_default=True, help="fashion-mini is embedded.")
@click.option("--objective", type=click.Choice(OBJECTIVES_OF_REAL), default="dm", show_default=True)
@click.option(
    "--ipc",
    "sizes",
    multiple=True,
    type=click.IntRange(1),
    default=(1, 10),
    show_default=True,
    help="Images per class.",
)
@click.option(
    "--batch", "batches", multiple=True, type=click.IntRange(1), default=(256, 64, 32, 16), show_default=True,
    help="Real images per class; a power of two with --strata.",
)  # fmt: skip
@click.option("--strata", is_flag=True, help="Draw an image out of each of as many equal strata of a class.")
@click.option("--width", default=32, show_default=True, help="Of ConvNet-3.")
@click.option("--networks", type=click.IntRange(2), default=8, show_default=True)
@click.option(
    "--draws", type=click.IntRange(2), default=4, show_default=True, help="Draws of real images in each network."
)
def main(
    root: str, name: str, objective: str, sizes: Sequence[int], batches: Sequence[int], strata: bool, width: int,
    networks: int, draws: int,
) -> None:  # fmt: skip
    """Print the variances of the gradient, relative to that of network and augmentation."""
    data = load_data(name, root=root).train
    smallest = int(data.labels.bincount(minlength=len(data.classes)).min())
    if (needed := max(*sizes, *batches, POOL if strata else 0)) > smallest:
        raise click.ClickException(
            f"{needed} images of each class are needed, {name} has {smallest} of one: ask for fewer"
        )
    if strata and any(batch & (batch - 1) for batch in batches):
        raise click.ClickException("--strata halves a class again and again: every --batch must be a power of two")
    shown = Table("images per class", "real images per class", "noise of the real images", "squared mean")
    for ipc in sizes:
        images, labels = start(data, ipc)
        for batch in batches:
            made = OBJECTIVES.find(objective)(
                real=Strata(data.real) if strata else data.real,
                network=network_factory(data, "convnet", {"width": width}, DEVICE),
                augment=partial(augment, strategy=strategy_for(data, ALL)), batch=batch, **FRESH.get(objective, {}),
            )  # fmt: skip
            real, mean = noise(gradients(made, images, labels, networks, draws))
            shown.add_row(str(ipc), str(batch), f"{real:.3f}", f"{mean:.2f}")
    Console(width=120).print(f"{objective}: noise of network and augmentation = 1", shown)


if __name__ == "__main__":
    main()
