"""The table "Do codes win in color?" of docs/RESULTS.md, from the results of reproduce_color.py.

One line for each objective on each of the real images in color: what codes in W+ have more than pixels, on ConvNet and
across architectures, and there also without the trainings in which a network learned nothing. A training that ends
near chance weighs as much in a mean of three networks as the lead itself.

    python scripts/leads_of_codes.py
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from color_rows import OBJECTIVES
from color_sources import STARTS
from reproduce_color import NETWORKS, OTHERS, Results
from results_command import show
from results_files import apart, in_form, results_to_show, signed, table_of, whole

from glad.cli.mistakes import OneLineCommand

RESULTS = Path(__file__).parents[1] / "docs" / "results"
NOTHING = 12.0
"""Accuracy in % of ten classes below which a network has learned nothing."""


@dataclass(frozen=True)
class Compared:
    """Real images, and the files of results with codes and pixels of them."""

    name: str
    per_class: int
    codes: str
    pixels: str


IMAGES = [
    Compared("photographs, 32 px", 1, "photographs", "photographs"),
    Compared("photographs, 32 px; generator of the same photographs", 1, "photographs_own", "photographs"),
    Compared("photographs, 32 px; DC at a third of its rates", 1, "photographs_dc", "photographs_dc"),
    Compared("photographs, 32 px", 10, "photographs_10", "photographs_10"),
    Compared("photographs, 64 px; images of 32 px, enlarged", 1, "photographs_64", "photographs_64"),
    Compared("photographs, 64 px", 1, "photographs_64_own", "photographs_64"),
    Compared("CIFAR-10, 32 px", 1, "cifar10_codes", "cifar10_codes"),
    Compared("CIFAR-10, 32 px", 10, "cifar10_codes_10", "cifar10_codes_10"),
]
COLUMNS = (
    *("images", "images per class", "objective", "over pixels from", "sets", "ConvNet (seen)"),
    *("cross-architecture", "without trainings that learned nothing", "trainings left"),
)
OF = {"script": "reproduce_color", "split": "test"}


def cells(codes: Results, pixels: Results) -> Iterator[list[str]]:
    """The lines of some images, without what their names are: by objective and start of the pixels."""
    for how in OBJECTIVES:
        for start in STARTS:
            ours, theirs = codes.get(f"{how}, codes W+", {}), pixels.get(f"{how}, pixels from {start}", {})
            if seeds := sorted(whole(ours, NETWORKS) & whole(theirs, NETWORKS)):
                seen, cross = apart(ours, theirs, seeds, ["convnet"]), apart(ours, theirs, seeds, OTHERS)
                learned = apart(ours, theirs, seeds, OTHERS, NOTHING)
                trained = [one[s]["accuracy"][name] for one in (ours, theirs) for s in seeds for name in OTHERS]
                all_of = [value for found in trained for value in found]
                kept = f"{sum(value >= NOTHING for value in all_of)} of {len(all_of)}"
                yield [how, start, str(len(seeds)), signed(seen), signed(cross), signed(learned), kept]


def lines(folder: Path) -> Iterator[list[str]]:
    """The lines of the table, under ``COLUMNS``."""
    for images in IMAGES:
        paths = [folder / f"{name}.json" for name in (images.codes, images.pixels)]
        codes, pixels = (results_to_show(path, OF | {"ipc": images.per_class}) for path in paths)
        with in_form(paths[0]):
            yield from ([images.name, str(images.per_class), *line] for line in cells(codes, pixels))


@click.command(cls=OneLineCommand)
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=RESULTS,
    help="Folder of the files of results.  [default: docs/results]",
)
def main(results: Path) -> None:
    """Print what codes have more than pixels, by objective and images."""
    show(table_of(COLUMNS, lines(results)), 200)


if __name__ == "__main__":
    main()
