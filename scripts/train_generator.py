"""Train a small class-conditional StyleGAN-XL generator on the training images of a data set.

Non-saturating loss with a lazy R1 penalty (Mescheder et al., ICML 2018), an exponential moving average of the weights,
class-balanced batches. Images that occur in a validation or test set, here or in fashion-mini, are left out, and so are
their twins. Every step is a function of the seed and its number: an interrupted run continues to the same bits.

    python scripts/train_generator.py --data fashionmnist --root DATA --out runs/generator --minutes 60
"""

import hashlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from discriminator import Discriminator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torchvision.utils import save_image

from generators import geometry, weights
from generators.stylegan_xl import Generator, Mapping, Synthesis
from glad.data import ImageData
from glad.randomness import generator as rng_for
from glad.runs import optimizer_tensors, read_tensors, restore_optimizer, write_tensors
from glad.sources import load_data

Z_DIM = 64
R1_EVERY = 8
AVERAGE_HALF_LIFE = 5_000  # images


@dataclass
class Training:
    """The two networks, the average of the generator, and their optimisers."""

    generator: Generator
    average: Generator
    discriminator: Discriminator
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    step: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        parts = {"generator": self.generator, "average": self.average, "discriminator": self.discriminator}
        tensors = {f"{part}/{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}
        tensors |= optimizer_tensors(self.g_optimizer, "g_optimizer")
        return tensors | optimizer_tensors(self.d_optimizer, "d_optimizer")

    def save(self, path: Path) -> None:
        """Write the state durably."""
        write_tensors(path, self.tensors(), step=str(self.step))

    def restore(self, path: Path) -> None:
        """Continue from what :meth:`save` wrote."""
        tensors, metadata = read_tensors(path)
        parts = {"generator": self.generator, "average": self.average, "discriminator": self.discriminator}
        for part, module in parts.items():
            prefix = part + "/"
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        restore_optimizer(self.g_optimizer, tensors, "g_optimizer")
        restore_optimizer(self.d_optimizer, tensors, "d_optimizer")
        self.step = int(metadata["step"])


def every(data: ImageData) -> Tensor:
    """All stored pixels, uint8 [N, C, H, W]."""
    return data.raw(torch.arange(len(data)))


def unseen_elsewhere(data: ImageData, held_out: list[ImageData]) -> Tensor:
    """Indices of the images of ``data`` without an identical twin in any of ``held_out``."""
    digests = [{hashlib.sha256(image.numpy().tobytes()).digest() for image in every(other)} for other in held_out]
    taken = set().union(*digests)
    kept = [i for i, image in enumerate(every(data)) if hashlib.sha256(image.numpy().tobytes()).digest() not in taken]
    return torch.tensor(kept)


def training_images(source: str, root: str) -> ImageData:
    """The training images of ``source``, less those in a validation or test set of it or of fashion-mini."""
    splits, embedded = load_data(source, root=root), load_data("fashion-mini")
    held_out = [splits.validation, splits.test, embedded.validation, embedded.test]
    return splits.train.select(unseen_elsewhere(splits.train, held_out))


def build_generator(data: ImageData, channels: tuple[float, int], layers: int, w_dim: int, seed: int) -> Generator:
    """A fresh generator for ``data``: the next power of two above its resolution, one class of codes per label."""
    resolution = 1 << (data.resolution - 1).bit_length()
    specs = geometry.stem(resolution, layers, channels[0], channels[1], data.channels)
    classes = len(data.classes)
    mapping = Mapping(len(specs) + 1, Z_DIM, classes, w_dim, embedding=(classes, Z_DIM))
    synthesis = Synthesis([replace(spec, clamp=None) for spec in specs], w_dim)
    return Generator(mapping, synthesis).initialise(rng_for(seed, "generator"))


def start(data: ImageData, channels: tuple[float, int], layers: int, w_dim: int, seed: int) -> Training:
    """Fresh networks and optimisers."""
    g, average = (build_generator(data, channels, layers, w_dim, seed) for _ in range(2))
    d = Discriminator(data.channels, g.resolution, len(data.classes)).initialise(rng_for(seed, "discriminator"))
    return Training(
        g,
        average.requires_grad_(False),
        d,
        torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.0, 0.99), eps=1e-8),
        torch.optim.Adam(d.parameters(), lr=5e-4, betas=(0.0, 0.99), eps=1e-8),
    )


def balanced_batch(data: ImageData, resolution: int, batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Real images in [-1, 1], framed with black up to ``resolution``, as many of each class as of any other."""
    classes = len(data.classes)
    labels = (torch.arange(batch) + int(torch.randint(classes, [], generator=rng))) % classes
    members = [data.of_class(c) for c in range(classes)]
    index = torch.stack([members[c][torch.randint(len(members[c]), [], generator=rng)] for c in labels.tolist()])
    frame = resolution - data.resolution
    images = F.pad(data.raw(index).float() / 127.5 - 1, [frame // 2, frame - frame // 2] * 2, value=-1.0)
    return images, labels


def discriminator_step(t: Training, real: Tensor, fake: Tensor, labels: Tensor, r1: float) -> float:
    """One update of the discriminator; every ``R1_EVERY`` steps with the penalty on the gradient at real images."""
    penalised = t.step % R1_EVERY == 0
    real = real.requires_grad_(penalised)
    on_real, on_fake = t.discriminator(real, labels), t.discriminator(fake.detach(), labels)
    loss = F.softplus(on_fake).mean() + F.softplus(-on_real).mean()
    total = loss
    if penalised:
        (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
        total = loss + r1 / 2 * R1_EVERY * slope.square().sum((1, 2, 3)).mean()
    t.d_optimizer.zero_grad()
    total.backward()
    t.d_optimizer.step()
    return float(loss.detach())


def generator_step(t: Training, fake: Tensor, labels: Tensor) -> float:
    """One update of the generator and of its moving average, against the discriminator as it is now."""
    t.discriminator.requires_grad_(False)
    loss = F.softplus(-t.discriminator(fake, labels)).mean()
    t.g_optimizer.zero_grad()
    loss.backward()
    t.discriminator.requires_grad_(True)
    t.g_optimizer.step()
    images = (t.step + 1) * len(labels)
    keep = 0.5 ** (len(labels) / min(AVERAGE_HALF_LIFE, images * 0.1 + 1))
    for slow, fast in zip(t.average.state_dict().values(), t.generator.state_dict().values(), strict=True):
        slow.lerp_(fast, 1 - keep)
    return float(loss.detach())


def train_step(t: Training, data: ImageData, batch: int, r1: float, seed: int) -> tuple[float, float]:
    """One step of both networks, on one rendering: (discriminator loss, generator loss)."""
    rng = rng_for(seed, "train", t.step)
    real, labels = balanced_batch(data, t.generator.resolution, batch, rng)
    fake = t.generator(torch.randn(batch, Z_DIM, generator=rng), labels, update_emas=True)
    d_loss = discriminator_step(t, real, fake, labels, r1)
    g_loss = generator_step(t, fake, labels)
    if not (abs(d_loss) < 1e4 and abs(g_loss) < 1e4):
        raise click.ClickException(f"training diverged at step {t.step}: losses {d_loss}, {g_loss}; lower the rates")
    t.step += 1
    return d_loss, g_loss


@torch.no_grad()
def sample_grid(average: Generator, path: Path, classes: int) -> None:
    """Ten samples of every class, a class per row, as a PNG."""
    labels = torch.arange(classes).repeat_interleave(10)
    images = average(torch.randn(len(labels), Z_DIM, generator=rng_for("grid")), labels)
    save_image(images, path, nrow=10, normalize=True, value_range=(-1, 1), padding=1)


def ship(t: Training, data: ImageData, path: Path, batch: int, minutes: float, seed: int, rates: str) -> None:
    """Write the averaged generator in half precision, with where it comes from as metadata."""
    frame = t.generator.resolution - data.resolution
    weights.save(
        path,
        t.average,
        torch.float16,
        data=data.name,
        real_images=str(len(data)),
        images_shown=str(t.step * batch),
        steps=str(t.step),
        seed=str(seed),
        minutes=f"{minutes:.0f}",
        frame=str(frame // 2),
        classes="\n".join(data.classes),
        learning_rates=rates,
    )


@click.command()
@click.option("--data", "source", default="fashionmnist", show_default=True, help="Data set, as `glad distill --data`.")
@click.option("--root", default="data", show_default=True, help="Where the data set lies.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the run; continues if it exists."
)
@click.option(
    "--minutes", default=60.0, show_default=True, help="Stop after this much training time, earlier runs included."
)
@click.option("--batch", default=16, show_default=True)
@click.option("--channels", default=48, show_default=True, help="Widest layer.")
@click.option("--channel-base", default=1024.0, show_default=True, help="Channels are at most this / 2 / cutoff.")
@click.option("--layers", default=7, show_default=True, help="Synthesis layers before toRGB.")
@click.option("--w-dim", default=128, show_default=True, help="Length of a style code.")
@click.option("--r1", default=1.0, show_default=True, help="Weight of the gradient penalty.")
@click.option("--seed", default=0, show_default=True)
@click.option("--rates", default="{}", help='Learning rates to recommend, as JSON: {"dm": {"w": 0.1}}.')
def main(
    source: str, root: str, out: Path, minutes: float, batch: int, channels: int, channel_base: float, layers: int,
    w_dim: int, r1: float, seed: int, rates: str,
) -> None:  # fmt: skip
    """Train a generator and write OUT/generator.safetensors."""
    out.mkdir(parents=True, exist_ok=True)
    data = training_images(source, root)
    t = start(data, (channel_base, channels), layers, w_dim, seed)
    spent, clock = out / "minutes.txt", time.monotonic()
    state = out / "state.safetensors"
    if state.exists():
        t.restore(state)
        clock -= 60 * float(spent.read_text())
    click.echo(f"{len(data)} real images; generator of {sum(p.numel() for p in t.generator.parameters()):,} parameters")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, disable=not os.isatty(1)) as progress:
        bar = progress.add_task("training (minutes)", total=round(minutes))
        while (elapsed := (time.monotonic() - clock) / 60) < minutes:
            losses = train_step(t, data, batch, r1, seed)
            progress.update(bar, completed=int(elapsed))
            if t.step % 250 == 0:
                sample_grid(t.average, out / f"samples_{t.step:06d}.png", len(data.classes))
                t.save(state)
                spent.write_text(str(elapsed))
                click.echo(f"step {t.step}, {elapsed:.1f} min, D {losses[0]:.3f}, G {losses[1]:.3f}")
    t.save(state)
    spent.write_text(str(minutes))
    sample_grid(t.average, out / "samples.png", len(data.classes))
    ship(t, data, out / "generator.safetensors", batch, minutes, seed, rates)


if __name__ == "__main__":
    main()
