"""What a training leaves to look at: curves, pictures of samples, and a line now and then."""

import resource
import statistics
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from generators.draws import normal
from generators.stylegan_xl import Generator
from generators.training.gan import Z_DIM, Networks
from generators.training.progress import Progress
from glad.rng import rng_for
from glad.runs.events import Events
from glad.runs.image_grid import grid, save_png

CURVE = 25  # steps between points of the curves
SHOWN = 10  # classes, and samples of each, in a picture


class Log:
    """Curves, pictures and lines of one run, from ``step`` on."""

    def __init__(self, out: Path, step: int, batch: int, progress: Progress) -> None:
        self.out, self.batch, self.progress = out, batch, progress
        self.events = Events(out, step)
        self.curve: dict[str, list[float]] = defaultdict(list)
        self.lines: dict[str, list[float]] = defaultdict(list)
        self.began, self.since = time.monotonic(), step

    def metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Note what the step before ``step`` gave."""
        for name, value in metrics.items():
            self.curve[name].append(value)
            self.lines[name].append(value)
        if step % CURVE == 0:
            for name, values in self.curve.items():
                self.events.scalar(name, statistics.fmean(values), step)
            self.curve.clear()

    def snapshot(self, n: Networks, minutes: float, classes: tuple[str, ...]) -> None:
        """Draw samples, and say how far and how fast the run is."""
        self.events.images("samples", draw(n, classes, self.out / f"samples_{n.step:06d}.png"), n.step)
        rate = (n.step - self.since) * self.batch / (time.monotonic() - self.began)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        losses = ", ".join(f"{name.removeprefix('loss/')} {statistics.fmean(v):.3f}" for name, v in self.lines.items())
        self.progress.say(f"step {n.step}, {minutes:.1f} min, {rate:.0f} images/s, {memory:.1f} GiB at most: {losses}")
        self.began, self.since = time.monotonic(), n.step
        self.lines.clear()


@torch.no_grad()
def samples(generator: Generator, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Ten samples of each class that is shown, in [0, 1], and their columns; ``classes`` is empty if there are none."""
    columns = torch.arange(len(classes[:SHOWN]) or SHOWN).repeat_interleave(SHOWN)
    device = generator.mapping.w_avg.device
    z = normal([len(columns), Z_DIM], rng_for("grid")).to(device)
    images = generator(z, columns.to(device) if classes else None)
    return ((images + 1) / 2).clamp(0, 1).cpu(), columns


def draw(n: Networks, classes: tuple[str, ...], path: Path) -> Tensor:
    """Draw samples of the averaged generator, a column per class, and return them."""
    images, columns = samples(n.average, classes)
    save_png(grid(images, columns, classes[:SHOWN] or ("",) * SHOWN), path)
    return images
