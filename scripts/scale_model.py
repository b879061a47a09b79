"""Draw a step on paper for more ranks than there are here: render / ranks + student + gathers.

    python scripts/scale_model.py docs/results/scale.json

The file is that of ``bench_scale.py``: the first table holds the model against the two ranks that were measured. The
second is ImageNet-1k at 128 px in F_12 of StyleGAN-XL on GPUs, from the work of a step and the assumptions below, and
longer by what the measured step took beyond the model. Nothing in it was run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from results_command import show
from rich.table import Table

from glad.cli.mistakes import OneLineCommand
from glad.runs.storage import read_json

FLOPS = 200e12  # a second of a GPU, of all operations
NODE, INSIDE, BETWEEN, LATENCY = 8, 300e9, 25e9, 20e-6  # GPUs of a machine; bytes a second of each; seconds per hop
CLASSES, SIDE = 1000, 128
RENDER = 5.65e12  # operations of an image from the 12th layer on, with the gradients of its codes
ROW = 11.1e6  # bytes of an image's codes
BATCH = 256  # real images of a class that DM sees
STUDENT_STEPS, STUDENT_PASSES = 20, 9  # of MTT; passes of a step's images, with the gradient through the gradient
WORLDS = (1, 8, 64)


@dataclass(frozen=True)
class Work:
    """Seconds of one class and of what every rank computes, and bytes that a step gathers."""

    name: str
    images: int
    of_class: float
    alike: float
    gathered: float

    def step(self, ranks: int) -> float:
        """Seconds of a step: the rank with most classes, the student, the gathers."""
        most = -(-CLASSES // ranks)
        return most * self.of_class + self.alike + self.gathers(ranks)

    def gathers(self, ranks: int) -> float:
        """Seconds of a ring: each rank sends what it has to the next, until all have all."""
        rate = INSIDE if ranks <= NODE else BETWEEN
        return (ranks - 1) * (LATENCY + self.gathered / ranks / rate)

    def memory(self, ranks: int) -> float:
        """Bytes of a rank's codes, gradients and moments."""
        return 3 * ROW * self.images * -(-CLASSES // ranks)


def convnet(side: int, width: int = 128, depth: int = 5) -> float:
    """Operations of a ConvNet for an image of three channels: a multiplication and an addition per weight and place."""
    channels = [3, *[width] * depth]
    return sum(2 * 9 * channels[n] * width * (side / 2**n) ** 2 for n in range(depth))


def on_paper() -> list[Work]:
    """Steps of ImageNet-1k."""
    network, found = convnet(SIDE), []
    for images in (1, 10):
        seen = (BATCH + 3 * images) * network  # the real ones have no gradient
        found.append(Work("dm", images, (images * RENDER + seen) / FLOPS, 0.0, 16.0 * CLASSES))
    student = STUDENT_STEPS * CLASSES * STUDENT_PASSES * network / FLOPS
    found.append(Work("mtt", 1, RENDER / FLOPS, student, 4.0 * 3 * SIDE**2 * CLASSES))
    return found


def measured(kinds: dict[str, Any]) -> tuple[float, float]:
    """The step on two ranks as the model has it from that on one, and as it was."""
    one, two = kinds["1"], kinds["2"]
    return (one["step"] - one["student"] - one["gathers"]) / 2 + one["student"] + two["gathers"], two["step"]


@click.command(cls=OneLineCommand)
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def main(file: Path) -> None:
    """Draw a step on paper for more ranks than there are here."""
    known, beyond = read_json(file), {}
    check = Table("objective", "step on 1 rank", "model on 2", "measured on 2", "beyond", title="Measured")
    for name, kinds in known.items():
        model, found = measured(kinds)
        beyond[name] = max(1.0, found / model)
        times = (f"{1e3 * seconds:.0f} ms" for seconds in (kinds["1"]["step"], model, found))
        check.add_row(name, *times, f"{found / model:.2f}")
    heads = ("objective", "images per class", "GPUs", "step", "speed-up", "gathers", "1,000 steps", "rows of a GPU")
    drawn = Table(*heads, title="On paper")
    for work in on_paper():
        for ranks in WORLDS:
            step = work.step(ranks) * (beyond.get(work.name, 1.0) if ranks > 1 else 1.0)
            drawn.add_row(
                work.name, str(work.images), str(ranks), f"{step:.2f} s", f"{work.step(1) / step:.1f}",
                f"{1e3 * work.gathers(ranks):.0f} ms", f"{step / 3.6:.1f} h", f"{work.memory(ranks) / 1e9:.1f} GB",
            )  # fmt: skip
    for table in (check, drawn):
        show(table, 140)


if __name__ == "__main__":
    main()
