"""Published settings on CIFAR-10, pixels: the table "CIFAR-10" of docs/RESULTS.md.

ConvNet-3 of width 128 and the other networks at their full widths, as published. The settings are the presets', but for
what ``ROWS`` names; cut are the numbers of iterations and of experts, which ``CUT`` and ``EXPERTS`` name. Nothing is
chosen by results, so the networks are tested on the test images at once. Runs, experts and trainings resume where they
were cut; finished ones are skipped: the table grows over many calls. At 10 images per class MTT and AST start later and
have longer experts.

``DATA`` is what ``glad distill --data`` takes: the name ``cifar10`` (with ``--root``), or CIFAR-10 as image files.

    THP_MEM_ALLOC_ENABLE=1 OMP_NUM_THREADS=1 python scripts/reproduce_cifar10.py --data DATA --out runs/cifar10
    python scripts/reproduce_cifar10.py --out docs/results/cifar10.json --table
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from results_command import name_of, of_call, results_path, said, show
from results_files import accuracy_cells, lines_to_show, read_results, results_to_change, table_of

import glad
from glad import presets
from glad.cli.mistakes import OneLineCommand
from glad.evaluation import set_id

ROWS: dict[str, dict[str, Any]] = {
    "DC": {"preset": "dc", "iterations": 1000, "objective_options": {"batch": 64}},
    "DSA": {"preset": "dsa", "iterations": 1000, "objective_options": {"batch": 64}},
    "DM": {"preset": "dm", "iterations": 1000},
    "MTT": {"preset": "mtt", "iterations": 500, "learning_rate": {"pixels": 1e3, "step_size": 1e-5}},
    "AST": {
        "preset": "mtt",
        "iterations": 500,
        "objective": "ast",
        "prior_options": {},
        "initialization": "representative",
        "learning_rate": {"pixels": 333.0, "step_size": 1e-5},
    },
}
"""What a row takes: its preset, its iterations (published are 1,000 x outer loops of DC and DSA, 20,000 of DM, 5,000 of
MTT), and what else differs from the preset. A tenth of MTT's iterations take ten times its rate of the images, and one
at which the step size moves. AST's settings of one image per class are not published: it has MTT's, and this project's
own of its student."""
STUDENT_AT_TEN = {"step_size": 1e-2, "max_start_epoch": 8, "batch_syn": 50}
AT_TEN: dict[str, dict[str, Any]] = {
    "DC": {"iterations": 200, "learning_rate": {"pixels": 1.0}},
    "DSA": {"iterations": 200, "learning_rate": {"pixels": 1.0}},
    "MTT": {
        "iterations": 150,
        "learning_rate": {"pixels": 1e4, "step_size": 1e-5},
        "objective_options": STUDENT_AT_TEN,
    },
    "AST": {
        "iterations": 150,
        "learning_rate": {"pixels": 3333.0, "step_size": 1e-5},
        "objective_options": STUDENT_AT_TEN,
    },
}
"""What of a row is another at 10 images per class. Few iterations take higher rates of the images, whose gradient is a
tenth where ten share a mean. Segments of experts start below epoch 8 (published: 20, of experts of 50), a step of the
student takes half of the set, where no size is recorded, and it begins with AST's published step size, since MTT's own
of 1e-3 is learned over thousands of iterations. AST is as MTT, with the images at a third of its rate, and with this
project's own settings of its student here too (published ones are in ``glad presets show ast-cifar10-pixels``)."""
EVALUATED: dict[str, dict[str, Any]] = {
    "DC": {"protocol": "dc", "augmentation": "none"},
    "DSA": {"protocol": "dc", "epochs": 1000},
}
"""How their papers train networks on these rows' sets; the others' train for 1,000 epochs with DSA, as the default."""
EXPERTS, EXPERT_EPOCHS = {1: 3, 10: 2}, {1: 4, 10: 10}
"""How many, and of how many epochs by images per class: those that the presets' starts need. Published: 100 of 50."""
PUBLISHED = {
    1: {"DC": 28.3, "DSA": 28.8, "DM": 26.0, "MTT": 46.3},
    10: {"DC": 44.9, "DSA": 52.1, "DM": 48.9, "MTT": 65.3},
}
NETWORKS = ("convnet", "alexnet", "vgg11", "resnet18")
NETWORK_SEEDS = 3
BASELINES = {"random": "random real images", "kmeans": "real images nearest to k-means centers"}
"""Evaluated beside the first set of DM."""
SHOWN = (*BASELINES.values(), *ROWS)
TITLES = ("ConvNet (seen)", "AlexNet", "VGG-11", "ResNet-18", "cross-architecture")
COLUMNS = ("row", "images per class", "iterations", *TITLES, "published, ConvNet", "sets")
Results = dict[str, dict[str, dict[str, list[float]]]]
"""By row, distillation seed and network: the accuracy in % of every seed of the network."""


def experts(data: str, root: str, zca: bool, ipc: int, out: Path) -> Path:
    """The folder of the experts; trains what is not there."""
    folder = out / ("experts" if ipc == 1 else f"experts-{ipc}")
    epochs = {"epochs": EXPERT_EPOCHS[ipc]}
    glad.train_experts(data, folder, root=root, zca=zca, count=EXPERTS[ipc], recipe="mtt", recipe_options=epochs)
    return folder


def of_row(row: str, ipc: int) -> dict[str, Any]:
    """What a row takes at ``ipc`` images per class, as ``ROWS`` has it."""
    here = AT_TEN.get(row, {}) if ipc == 10 else {}
    options = ROWS[row].get("objective_options", {}) | here.get("objective_options", {})
    return ROWS[row] | here | {"objective_options": options}


def distill(row: str, ipc: int, seed: int, data: str, root: str, out: Path) -> glad.Run:
    """The run of a row and a seed."""
    changed = of_row(row, ipc)
    settings = presets.load(f"{changed.pop('preset')}-cifar10-pixels").settings(ipc)
    options = settings.get("objective_options", {}) | changed.pop("objective_options")
    settings |= {"data": data, "chunk": 1000, "save_every": 20, "seed": seed}
    settings |= changed | {"objective_options": options}
    if settings["objective"] in ("mtt", "ast"):
        settings["experts"] = experts(data, root, settings.get("zca", False), ipc, out)
    return glad.distill(root=root, out=out / f"{row}-{ipc}-{seed}", **settings)


def evaluate(row: str, run: glad.Run, networks: Sequence[str], root: str) -> Results:
    """The accuracies of the run, and those of the baselines beside it."""
    beside = BASELINES if row == "DM" and run.settings.seed == 0 else {}
    found = glad.evaluate(
        run, networks=networks, seeds=NETWORK_SEEDS, baselines=list(beside), root=root,  # type: ignore[arg-type]
        **EVALUATED.get(row, {}),
    )  # fmt: skip
    ids = {set_id(run.name): row, **{one["id"]: beside[one["kind"]] for one in found["rows"] if one["kind"] in beside}}
    results: Results = {}
    for cell in found["cells"]:
        if cell["row"] in ids:
            by_network = results.setdefault(ids[cell["row"]], {}).setdefault(str(run.settings.seed), {})
            by_network.setdefault(cell["network"], []).append(round(100 * cell["accuracy"], 2))
    return results


def cells(everything: dict[str, Results]) -> Iterator[list[str]]:
    """The lines of the table, under ``COLUMNS``: mean and deviation over all trainings, beside published numbers.

    *Cross-architecture* is the mean over the networks but ConvNet, of sets that all of these were trained on.
    """
    for ipc, results in everything.items():
        for row in SHOWN:
            sets = [{"accuracy": one} for one in results.get(row, {}).values()]
            if any(found := accuracy_cells(sets, NETWORKS, NETWORKS[1:])):
                published = str(PUBLISHED[int(ipc)].get(row, ""))
                taken = f"{of_row(row, int(ipc))['iterations']:,}" if row in ROWS else ""
                yield [row, ipc, taken, *found, published, str(len(sets))]


def choose(
    everything: dict[str, Results], ipc: str | None, seeds: Collection[int], networks: Collection[str]
) -> dict[str, Results]:
    """Of the results those of ``ipc``, ``seeds`` and ``networks`` alone; of all where none is named."""
    chosen: dict[str, Results] = {}
    for number, results in everything.items():
        for row, sets in results.items():
            for seed, one in sets.items():
                kept = {name: values for name, values in one.items() if not networks or name in networks}
                if kept and ipc in (None, number) and (not seeds or int(seed) in seeds):
                    chosen.setdefault(number, {}).setdefault(row, {})[seed] = kept
    return chosen


@click.command(cls=OneLineCommand)
@click.option("--data", default="cifar10", show_default=True, help="CIFAR-10.")
@click.option("--root", default="data", show_default=True, help="Where CIFAR-10 lies, if DATA is a name.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/cifar10"), show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows.")
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True, help="Of distillations.")
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Only these.")
@click.option("--ipc", type=click.Choice(["1", "10"]), default="1", show_default=True, help="Images per class.")
@click.option("--table", "shown", is_flag=True, help="Print the results of a folder, or of a file of results.")
def main(
    data: str,
    root: str,
    out: Path,
    rows: tuple[str, ...],
    seeds: tuple[int, ...],
    networks: tuple[str, ...],
    ipc: str,
    shown: bool,
) -> None:
    """Distill and evaluate, row by row and seed by seed, and print the table."""
    path = results_path(out, "cifar10.json", shown)
    of = of_call(Path(__file__).stem, shown, data=name_of(data))
    for seed in () if shown else seeds:
        for row in rows or ROWS:
            known = read_results(path, of).get(ipc, {}).get(row, {}).get(str(seed), {})
            if wanted := [name for name in networks or NETWORKS if name not in known]:
                run = distill(row, int(ipc), seed, data, root, out)
                evaluated = evaluate(row, run, wanted, root)
                with results_to_change(path, of) as everything:
                    results = everything.setdefault(ipc, {})
                    for name, by_seed in evaluated.items():
                        for number, found in by_seed.items():
                            results.setdefault(name, {}).setdefault(number, {}).update(found)
                click.echo(f"{row}, seed {seed}: {results[row][str(seed)]}")
    asked = (said("ipc", ipc), said("seeds", seeds) or (), networks) if shown else (None, (), ())
    named = (*rows, *(BASELINES.values() if "DM" in rows else ())) if shown else ()
    lines = lines_to_show(path, of, lambda found: cells(choose(found, *asked)), named)
    show(table_of(COLUMNS, lines), 160)


if __name__ == "__main__":
    main()
