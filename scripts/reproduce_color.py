"""Where do codes win in color? The tables "Photographs in color" and "CIFAR-10, codes" of docs/RESULTS.md.

At equal images: pixels from noise (as GLaD's baseline) and from real images against codes in W+ and F_n; at equal
numbers: codes in W, IDC and FreD. Learning rates were chosen on validation images (``--split validation --times 3``
tries three times a row's rates); networks are tested on test images. Runs, experts and trainings resume where they were
cut; finished ones are skipped: a table grows over many calls.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_color.py photographs --out runs/photographs
    python scripts/reproduce_color.py photographs --out docs/results/photographs.json --table

``photographs`` needs no data and no weights but the embedded ones, nor does ``photographs-64``, the same at 64 pixels.
``cifar10`` takes CIFAR-10 from ``--root``, or as ``--data``, and a generator of it, which ``glad weights train
--augment flip`` makes, as ``--prior``. Codes of another generator have a folder of their own; ``--table --beside
docs/results/photographs.json`` takes them from those pixels.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from color_rows import FASTER, OBJECTIVES, RATES, ROWS, latents
from color_sources import SOURCES, STARTS, Source
from reproduce_budget import LR, REAL, Beside, epochs, evaluated, images_per_class, measured, shown, update, with_beside
from results_command import name_of, of_call, picture_path, positive, results_path, said, show
from results_files import (
    accuracy_cells,
    apart,
    choose,
    in_form,
    lines_to_show,
    read_entry,
    read_results,
    results_to_change,
    signed,
    table_of,
    whole,
)

import glad
from glad.api.first_set import require_images
from glad.cli.mistakes import OneLineCommand
from glad.data.dataset import ImageData
from glad.device import pick_device
from glad.experts.files import expert_paths
from glad.priors.resolve import resolve_prior
from glad.rng import rng_for
from glad.runs.image_grid import eight_bit, save_png, sheet

WIDTH = {"width": 64}
OTHERS = {"alexnet": {"width": 16}, "vgg11": {"width": 8}, "resnet18": {"width": 8}}
"""A ViT learns nothing from ten photographs in 300 steps (8 %, where chance is 10)."""
NETWORKS = ("convnet", *OTHERS)
LEARNED: dict[int, dict[str, float]] = {
    1: dict.fromkeys(NETWORKS, LR),
    10: {"convnet": 0.03, "alexnet": 0.03, "vgg11": 0.03, "resnet18": 0.1},
}
"""Rates that networks are trained at, by the least images per class that have them; chosen on validation images."""
SEEDS, NETWORK_SEEDS = (0, 1, 2), 3
BASELINES: dict[str, Beside] = {
    "DM, pixels from real images": REAL,
    "DM, codes W+": {"numbers": {"before": "codes W+ before optimization"}},
    "DM, codes W, equal numbers": {"numbers": {"before": "codes W before optimization, equal numbers"}},
}
"""What is evaluated beside a row at equal bytes and at equal numbers, and its own row of the table."""
Results = dict[str, dict[str, dict[str, Any]]]
"""By row and distillation seed: ``accuracy`` (``Source.score``) in % by network, ``bytes`` and ``images`` per class."""


@dataclass(frozen=True)
class Bench:
    """What is measured on which images, and where its runs lie."""

    source: Source
    ipc: int
    split: Any
    root: str
    out: Path

    def times(self, row: str, times: float | None) -> float:
        """How many times ``RATES`` a row has: as many as were chosen if None; by turns as many as under DM."""
        return self.source.times.get(row.replace("By turns", "DM"), 1.0) if times is None else times

    def folder(self, row: str, seed: int, times: float | None) -> Path:
        """Where the run of a row lies."""
        name = f"{row.replace(', ', '-').replace(' ', '-')}-x{self.times(row, times):g}-{seed}"
        return self.out / (name if self.ipc == 1 else f"{self.ipc}-{name}")

    def train(self) -> ImageData:
        """The training images."""
        named = {name: value for name, value in self.source.data.items() if name != "data"}
        return glad.load_data(self.source.data["data"], root=self.root, **named).train

    def require_prior(self, name: str, options: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless there is a prior of this name and its images are of the data's shape."""
        data, device = self.train(), pick_device("auto")
        resolved = resolve_prior(name, data, options, device)
        latents = resolved.prior.init(torch.arange(1), rng_for(SEEDS[0], "init"))
        require_images(resolved, {name: latent.to(device) for name, latent in latents.items()}, data)

    def experts(self) -> Path:
        """The folder of the experts, which MTT and AST follow; trains what is not there."""
        glad.train_experts(
            **self.source.data, out=self.out / "experts", root=self.root, count=self.source.experts["count"],
            recipe="mtt", recipe_options={"epochs": self.source.experts["epochs"]}, network_options=WIDTH,
        )  # fmt: skip
        return self.out / "experts"

    def distill(self, row: str, seed: int, times: float | None) -> glad.Run:
        """The run of a row and a seed, at so many times its learning rates."""
        how, what = row.split(", ", 1)
        scale = self.ipc * self.times(row, times)
        settings = self.source.data | {"prior": self.source.prior} | ROWS[row]
        settings |= {"budget": float(self.ipc)} if what.endswith("equal numbers") else {"ipc": self.ipc}
        settings["learning_rate"] = {name: scale * RATES[how][name] for name in latents(what)}
        if self.ipc > 1 and how in FASTER:
            settings["iterations"] //= 2
        if settings["objective"] in ("mtt", "ast"):
            if not expert_paths(self.out / "experts"):  # whose training a bad prior would make useless
                self.require_prior(settings["prior"], settings.get("prior_options", {}))
            settings |= {"experts": self.experts(), "objective_options": self.source.matched}
            settings["learning_rate"]["step_size"] = self.source.step_rate
        return glad.distill(
            seed=seed, network_options=WIDTH, grid_every=settings["iterations"], chunk=1000, root=self.root,
            out=self.folder(row, seed, times), **settings,
        )  # fmt: skip

    def evaluate(self, row: str, run: glad.Run, networks: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The row and the baselines beside it: by network the score in % of every seed, and the bytes per class."""
        learned = max(images for images in LEARNED if images <= images_per_class(run))
        rates = dict(LEARNED[learned])
        if run.step_size is not None and learned == 1:
            del rates["convnet"]  # which has that of the set; at 10 it is too small for so few steps
        for equal, names in evaluated(row, run.settings.seed, BASELINES):
            found = glad.evaluate(
                run, networks=networks, seeds=NETWORK_SEEDS, split=self.split, root=self.root,
                baselines=[kind for kind in names if kind != "set"], equal=equal,  # type: ignore[misc]
                epochs=epochs(run, equal), learning_rate=rates, network_options={"convnet": WIDTH, **OTHERS},
            )  # fmt: skip
            for name, accuracy, stored in measured(found, found["cells"], names, networks, self.source.score):
                yield name, {"accuracy": accuracy, "bytes": round(stored["per_class"])}

    def picture(self, path: Path) -> None:
        """Draw the first set of each finished row at equal images, one below the other."""
        data, rows = self.train(), []
        for row in (row for row in ROWS if not row.endswith("equal numbers")):
            run = glad.Run(self.folder(row, SEEDS[0], None))
            if (run.path / "synset.safetensors").exists():
                rows.append((row, eight_bit(data.pixels(run.read_set()[0]))))
        if not rows:
            raise click.ClickException(f"{self.out} has no finished runs to draw: name their folder as --out")
        save_png(sheet(rows), path)


def cells(results: Results) -> Iterator[list[str]]:
    """The lines of the table: mean and deviation over all trainings, on sets of all seeds."""
    for row in (*ROWS, *shown(BASELINES)):
        if sets := list(results.get(row, {}).values()):
            images = f"{sets[0]['images']:g}" if "images" in sets[0] else ""
            about = [images, f"{sets[0]['bytes']:,}", str(len(sets))]
            yield [row, *about, *accuracy_cells(sets, NETWORKS, OTHERS)]


COMPARED = [
    *((f"{how}, codes W+", f"{how}, pixels from {start}") for how, start in product(OBJECTIVES, STARTS)),
    *(
        (f"{ours}, {what}", f"{theirs}, {what}")
        for ours, theirs in (("AST", "MTT"), ("By turns", "DM"))
        for what in ("codes W+", *(f"pixels from {start}" for start in STARTS))
    ),
]
"""Codes against pixels under each objective, AST against MTT, and DM through two networks against DM through one."""


def differences(results: Results, beside: Results | None = None) -> Iterator[list[str]]:
    """What rows are apart, by ``COMPARED``: mean and deviation over distillation seeds of means over networks.

    Of each network and over the other architectures, for those seeds alone whose two sets all were trained on. Rows are
    taken from those that are ``beside`` where these results lack them.
    """
    both = (beside or {}) | results
    columns: list[Collection[str]] = [*([name] for name in NETWORKS), OTHERS]
    for row, other in COMPARED:
        ours, theirs = both.get(row, {}), both.get(other, {})
        if row in results and (seeds := sorted(whole(ours, NETWORKS) & whole(theirs, NETWORKS))):
            how, what = other.split(", ")
            less = f"{row} less {what if row.startswith(how) else how}"
            yield [less, str(len(seeds)), *(signed(apart(ours, theirs, seeds, names)) for names in columns)]


def rows_beside(path: Path, of: Mapping[str, Any]) -> Results:
    """The rows of other results of the same images, which have codes of another generator."""
    found: Results = read_results(path, {name: of[name] for name in ("script", "images", "ipc", "split") if name in of})
    with in_form(path):
        return choose(found, (), ())


def print_tables(
    path: Path,
    of: Mapping[str, Any],
    beside: Results,
    rows: Collection[str] = (),
    seeds: Collection[int] = (),
    networks: Collection[str] = (),
) -> None:
    """Print the tables of results and of differences; of ``rows``, ``seeds`` and ``networks`` if some are named."""
    columns = (*NETWORKS, "cross-architecture")
    lines = lines_to_show(path, of, lambda found: cells(choose(found, seeds, networks)), rows)
    show(table_of(("set", "images per class", "bytes per class", "sets", *columns), lines), 200)
    found = choose(read_results(path), seeds, networks)
    named = {row: sets for row, sets in found.items() if not rows or row in rows}
    if lines := list(differences(named, beside | found)):
        show(table_of(("difference", "sets", *columns), lines), 200)


@click.command(cls=OneLineCommand)
@click.argument("images", type=click.Choice(list(SOURCES)))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of runs.  [default: runs/color-IMAGES]")
@click.option("--data", help="Where IMAGES are, if not where their name says.")
@click.option("--root", default="data", show_default=True, help="Where named data sets lie.")
@click.option("--prior", help="Weights of the generator.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows.")
@click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS, show_default=True, help="Of distillations.")
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Only these.")
@click.option("--ipc", type=click.Choice(["1", "10"]), default="1", show_default=True, help="Images per class.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--times", type=float, callback=positive, help="Try so many times the learning rates.")
@click.option(
    "--picture",
    "drawn",
    type=click.Path(path_type=Path),
    callback=picture_path,
    help="Draw the first sets into this PNG.",
)
@click.option(
    "--beside",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Results of rows to take differences to.",
)
@click.option("--table", "printed", is_flag=True, help="Print the results of a folder, or of a file of results.")
def main(
    images: str,
    out: Path | None,
    data: str | None,
    root: str,
    prior: str | None,
    rows: tuple[str, ...],
    seeds: tuple[int, ...],
    networks: tuple[str, ...],
    ipc: str,
    split: str,
    times: float | None,
    drawn: Path | None,
    beside: Path | None,
    printed: bool,
) -> None:
    """Distill and evaluate, row by row and seed by seed, and print the table."""
    out, source = out or Path("runs") / f"color-{images}", SOURCES[images]
    source = replace(source, data=source.data | ({"data": data} if data else {}), prior=prior or source.prior)
    bench = Bench(source, int(ipc), split, root, out)
    name = f"{images}{'' if ipc == '1' else f'-{ipc}'}-{split}{f'-x{times:g}' if times is not None else ''}.json"
    path = results_path(out, name, printed)
    about = {"images": images, "ipc": int(ipc), "split": split, "times": "chosen" if times is None else times}
    about["data"] = name_of(source.data["data"])
    if printed or not all("prior" in ROWS[row] for row in rows or ROWS):  # the generator's, which others have not
        about["prior"] = name_of(source.prior)
    of = of_call(Path(__file__).stem, printed, **about)
    read_results(path, of)  # other results are refused before anything is drawn
    others = rows_beside(beside, read_entry(path) | of) if beside else {}
    for row, seed in () if printed else product(rows or ROWS, seeds):
        known = read_results(path, of).get(row, {}).get(str(seed), {"accuracy": {}})["accuracy"]
        if wanted := [name for name in networks or NETWORKS if name not in known]:
            run = bench.distill(row, seed, times)
            found = list(bench.evaluate(row, run, wanted))
            with results_to_change(path, of) as results:
                update(results, row, seed, run, found)
    if drawn is not None:
        bench.picture(drawn)
    asked = (with_beside(rows, BASELINES), said("seeds", seeds) or (), networks) if printed else ()
    print_tables(path, of, others, *asked)


if __name__ == "__main__":
    main()
