"""How many real images, and which, does matching need? Accuracy after equal seconds, way by way of drawing them.

FashionMNIST, pixels that start from real images, ConvNet-3. Every way is given the same time: an iteration's cost is
measured first, way by way in turns (``--time``, on an otherwise idle machine), and says how many iterations each gets.
Sets are evaluated after shares of the time, on validation images: nothing here looks at test images. Runs and
trainings resume where they were cut.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/compare_real_draws.py --root DATA --out runs/draws --time
    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/compare_real_draws.py --root DATA --out runs/draws
    python scripts/compare_real_draws.py --out docs/results/real_draws_dm.json --table
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from results_command import of_call, positive, results_path, show
from results_files import lines_to_show, read_results, results_to_change, spread, table_of
from torch import Tensor

import glad
from glad.cli.mistakes import OneLineCommand
from glad.objectives.base import Step
from glad.objectives.dm import DM, class_means
from glad.rng import rng_for

POOL = 4096
"""Real images of a class that stratified draws choose from."""
STAGES = (32, 16, 8, 4, 1)
"""Sets are evaluated after the time divided by each of these."""
EPOCHS, NETWORK_SEEDS, RATE = 300, 3, 1e-2
TIMED, ROUNDS = (2, 6), 3
"""Iterations of the short and the long run whose difference is an iteration's cost, and how often that is measured."""


class Strata:
    """Draws with an image out of each of ``n`` equally large strata of a class: the mean stays unbiased.

    Strata are halves of halves along the main directions of the class's pixels, so ``n`` is a power of two.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self._cells: dict[tuple[int, int], Tensor] = {}
        self._images: dict[int, Tensor] = {}

    def __call__(self, c: int, n: int, rng: torch.Generator) -> Tensor:
        """Like the ``real`` of an objective."""
        if (c, n) not in self._cells:
            images = self._images.setdefault(c, self._real(c, POOL, rng_for("strata", c)))
            self._cells[c, n] = halved(images.flatten(1), n)
        cells = self._cells[c, n]
        chosen = torch.randint(cells.shape[1], (n, 1), generator=rng)
        return self._images[c][cells.gather(1, chosen)[:, 0]]


def halved(points: Tensor, cells: int) -> Tensor:
    """The indices of float ``points`` [N, D] in ``cells`` equal cells, int64 [cells, N / cells]."""
    depth = cells.bit_length() - 1
    centered = points - points.mean(0)
    main = torch.linalg.eigh(centered.T @ centered).eigenvectors.flip(1)[:, :depth]
    along, found = centered @ main, torch.arange(len(points))[None]
    for direction in range(depth):
        order = along[:, direction][found].argsort(1)
        found = found.gather(1, order).reshape(2 * len(found), -1)
    return found


class StratifiedDM(DM):
    """DM whose real images are drawn from strata."""

    def __init__(self, real: Any, network: Any, augment: Any, batch: int = 64) -> None:
        super().__init__(Strata(real), network, augment, batch)


class KeptDM(DM):
    """DM that keeps a network for ``updates`` of the set: the target is the mean of all real images seen in it."""

    def __init__(self, real: Any, network: Any, augment: Any, batch: int = 64, updates: int = 4) -> None:
        super().__init__(real, network, augment, batch)
        self.updates = updates
        self._seen: dict[int, list[Tensor]] = {}

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """As those of DM; the network and its augmentation are those of the first of its updates."""
        kept = Step(step.seed, step.iteration // self.updates * self.updates)
        network = self.network(kept.rng("network")).requires_grad_(False)
        if step.iteration == kept.iteration:
            self._seen.clear()
        for c in labels.unique().tolist():
            real = self.real(c, self.batch, step.rng(f"real {c}"))
            with torch.no_grad():
                feature = network.embed(self.augment(real, kept.rng(f"augment {c}"), True)).mean(0)
            self._seen.setdefault(c, []).append(feature)
            synthetic = self.augment(images[labels == c], kept.rng(f"augment {c}"), True)
            mean = class_means(network.embed(synthetic), (synthetic,))[0]
            yield (mean - torch.stack(self._seen[c]).mean(0)).square().sum()


HERE = Path(__file__).stem
BATCHES = {"256 (published)": 256, "64": 64, "32": 32}
WAYS: dict[str, dict[str, tuple[str, dict[str, int]]]] = {
    objective: {name: (objective, {"batch": batch}) for name, batch in BATCHES.items()}
    for objective in ("dm", "datadam", "dc")
}
WAYS["dm"] |= {
    "32 of strata": (f"{HERE}:StratifiedDM", {"batch": 32}),
    "64, four updates of a network": (f"{HERE}:KeptDM", {"batch": 64, "updates": 4}),
}
"""By objective and way in words: the objective that draws so, and its options."""


def distill(objective: str, way: str, iterations: int, out: Path, about: dict[str, Any], seed: int = 0) -> glad.Run:
    """The run of a way after so many iterations; a run that is there goes on."""
    made, options = WAYS[objective][way]
    return glad.distill(
        "fashionmnist", made, "pixels", root=about["root"], ipc=about["ipc"], iterations=iterations, seed=seed,
        objective_options=options, prior_options={"init": "real"}, network_options={"width": about["width"]},
        grid_every=10**6, chunk=1000, out=out,
    )  # fmt: skip


def costs(objective: str, about: dict[str, Any]) -> dict[str, float]:
    """Seconds of process CPU time of an iteration by way: the median of rounds in which all ways take turns."""
    found: dict[str, list[float]] = {way: [] for way in WAYS[objective]}
    for _, way in product(range(ROUNDS), found):
        spent = []
        for iterations in TIMED:
            with tempfile.TemporaryDirectory() as folder:
                start = time.process_time()
                distill(objective, way, iterations, Path(folder) / "run", about)
                spent.append(time.process_time() - start)
        found[way].append((spent[1] - spent[0]) / (TIMED[1] - TIMED[0]))
    return {way: statistics.median(values) for way, values in found.items()}


def accuracies(run: glad.Run, about: dict[str, Any]) -> list[float]:
    """The validation accuracy in % of every network trained on a set."""
    found = glad.evaluate(
        run, networks=["convnet"], seeds=NETWORK_SEEDS, epochs=EPOCHS, baselines=[], split="validation",
        root=about["root"], learning_rate=RATE, network_options={"convnet": {"width": about["width"]}},
    )  # fmt: skip
    return [round(100 * cell["accuracy"], 2) for cell in found["cells"]]


def columns(seconds: float) -> list[str]:
    """The heads of the table where every way is given so many seconds."""
    return ["real images per class", "s per iteration", *(f"{seconds / part:g} s" for part in STAGES), "sets"]


def cells(results: dict[str, Any]) -> Iterator[list[str]]:
    """The lines of the table: of a way its cost, and after shares of the time the accuracy over sets and networks."""
    for way in WAYS[results["objective"]]:
        if sets := results["accuracy"].get(way, {}):
            stages = [f"{results['seconds'] / part:g}" for part in STAGES]
            values = [[value for one in sets.values() for value in one.get(stage, [])] for stage in stages]
            yield [way, f"{results['costs'][way]:.3f}", *map(spread, values), str(len(sets))]


def work(objective: str, way: str, seed: int, path: Path, of: dict[str, Any], about: dict[str, Any]) -> None:
    """Distill and evaluate one way and seed, stage by stage; the file of results grows."""
    name = way.replace(" ", "-").replace(",", "").replace("(", "").replace(")", "")
    folder = path.parent / f"{objective}-{about['ipc']}-{name}-{seed}"
    for part in STAGES:
        results = read_results(path, of)
        stage = f"{results['seconds'] / part:g}"
        if stage in results["accuracy"].get(way, {}).get(str(seed), {}):
            continue
        iterations = max(1, round(float(stage) / results["costs"][way]))
        found = accuracies(distill(objective, way, iterations, folder, about, seed), about)
        with results_to_change(path, of) as results:
            results["accuracy"].setdefault(way, {}).setdefault(str(seed), {})[stage] = found
        click.echo(f"{objective}, {way}, seed {seed}: {iterations} iterations in {stage} s, {found}")


@click.command(cls=OneLineCommand)
@click.option("--root", default="data", show_default=True, help="Where FashionMNIST lies.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/draws"), show_default=True)
@click.option("--objective", type=click.Choice(list(WAYS)), default="dm", show_default=True)
@click.option("--ipc", type=click.IntRange(min=1), default=10, show_default=True, help="Images per class.")
@click.option("--width", type=click.IntRange(min=1), default=32, show_default=True, help="Of ConvNet-3.")
@click.option(
    "--seconds", default=60.0, callback=positive, show_default=True, help="What every way is given; said with --time."
)
@click.option("--way", "ways", multiple=True, type=click.Choice(sorted({w for of in WAYS.values() for w in of})))
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Sets of each way.")
@click.option("--time", "timing", is_flag=True, help="Measure what an iteration costs, and end.")
@click.option("--table", "shown", is_flag=True, help="Print what there is, and end.")
def main(
    out: Path, objective: str, seconds: float, ways: Sequence[str], seeds: int, timing: bool, shown: bool, **about: Any
) -> None:
    """Give every way the same time and print what its sets are worth."""
    name = f"{objective}-ipc{about['ipc']}-width{about['width']}.json"
    path = results_path(out, name, shown=True)  # runs lie beside the file
    of = of_call(HERE, shown, objective=objective, ipc=about["ipc"], width=about["width"])
    if foreign := set(ways) - set(WAYS[objective]):
        raise click.ClickException(f"{objective} has no way {min(foreign)!r}; it has: {', '.join(WAYS[objective])}")
    if timing:
        if read_results(path, of).get("accuracy"):
            raise click.ClickException(f"{path} has results by the costs that it has: choose another --out")
        measured = costs(objective, about)
        with results_to_change(path, of) as results:
            results |= {"objective": objective, "seconds": seconds, "costs": measured, "accuracy": {}}
        click.echo("\n".join(f"{way}: {cost:.3f} s per iteration" for way, cost in measured.items()))
        return
    if "costs" not in read_results(path, of):
        raise click.ClickException(f"{path} has no costs: measure them first, with --time")
    for seed, way in product(range(seeds), ways or WAYS[objective]):
        if not shown:
            work(objective, way, seed, path, of, about)
    lines = lines_to_show(path, of, cells, ways if shown else ())
    show(table_of(columns(read_results(path)["seconds"]), lines), 160)


if __name__ == "__main__":
    main()
