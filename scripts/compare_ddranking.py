"""The accuracy of a distilled set of CIFAR-10 as DD-Ranking's package measures it, and as `glad evaluate` does.

Both train ConvNet-3 from scratch on the same normalized images for the same number of epochs with the same rate,
momentum, weight decay and DSA, and test on the same images. ``SET`` is what `glad export` wrote, ``--data`` the folder
train/CLASS/*, test/CLASS/* that it stands for. Nothing is installed here: DD-Ranking needs older packages than this
project, so name the Python of an environment that has it.

    python -m venv env && env/bin/pip install ddranking==0.2.0
    python scripts/compare_ddranking.py set.npz --data cifar10 --peer-python env/bin/python
"""

import json
import statistics
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file

import glad
from glad.data.dataset import Splits
from glad.data.splits import load_data
from glad.rng import rng_for
from glad.runs.storage import write_json

PEER = Path(__file__).with_name("ddranking_peer.py")
INSTALL = "python -m venv env && env/bin/pip install ddranking==0.2.0, and --peer-python env/bin/python"
LEARNING_RATE = 0.01  # of the package's own recipe for CIFAR-10 with a ConvNet, and of the protocol "dc"


def tested_part(splits: Splits, per_class: int) -> Splits:
    """The data with ``per_class`` seeded test images of each class."""
    kept = [splits.test.of_class(c) for c in range(len(splits.test.classes))]
    drawn = [part[torch.randperm(len(part), generator=rng_for("tested", c))] for c, part in enumerate(kept)]
    return replace(splits, test=splits.test.select(torch.cat([part[:per_class] for part in drawn])))


def ours(path: Path, splits: Splits, epochs: int, seeds: list[int]) -> dict[int, float]:
    """Accuracies by seed after the last epoch, under the protocol of DC and DSA."""
    results = glad.evaluate(
        path, data=splits, networks=["convnet"], seen="convnet", protocol="dc", epochs=epochs, seeds=seeds,
        baselines=[], learning_rate=LEARNING_RATE, device="cpu",
    )  # fmt: skip
    return {cell["seed"]: cell["accuracy"] for cell in results["cells"]}


def peers(python: str, path: Path, splits: Splits, epochs: int, seeds: list[int]) -> dict[str, Any]:
    """What the package measures of the same tensors: all of its tests by seed, and the best, which it reports."""
    loaded = glad.load_distilled(path)
    order = torch.tensor([splits.train.classes.index(name) for name in loaded.card.classes])
    tensors = {
        "images": splits.train.normalize(loaded.pixels),
        "labels": order[loaded.labels],
        "test_images": splits.test.tensor(),
        "test_labels": splits.test.labels,
    }
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{name}" for name in ("tensors.safetensors", "settings.json", "found.json")]
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, files[0])
        Path(files[1]).write_text(json.dumps({"epochs": epochs, "seeds": seeds, "learning_rate": LEARNING_RATE}))
        done = subprocess.run([python, str(PEER), *files], capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException(f"{python} does not run DD-Ranking's package: {done.stderr.strip()[-500:]}")
        found: dict[str, Any] = json.loads(Path(files[2]).read_text())
    return found


def line(name: str, values: list[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{name}: {100 * statistics.fmean(values):.1f}{spread}"


@click.command()
@click.argument("distilled", metavar="SET", type=click.Path(exists=True, path_type=Path))
@click.option("--data", required=True, help="The folder of CIFAR-10, or a name that `glad distill --data` takes.")
@click.option("--peer-python", required=True, help="The Python of an environment that has ddranking.")
@click.option("--epochs", default=300, show_default=True, help="A multiple of 10, since the package tests every tenth.")
@click.option("--seeds", default=5, show_default=True, help="How many.")
@click.option("--tested", default=200, show_default=True, help="Test images of each class.")
@click.option("--out", default="runs/ddranking.json", show_default=True, help="Where all accuracies are written.")
def main(distilled: Path, data: str, peer_python: str, epochs: int, seeds: int, tested: int, out: str) -> None:
    """Evaluate the distilled SET with DD-Ranking's package and with glad, and print both."""
    if epochs < 10 or epochs % 10:
        raise click.ClickException(
            f"--epochs is {epochs}: the package tests every tenth epoch, so give a multiple of 10"
        )
    if subprocess.run([peer_python, "-c", "import ddranking"], capture_output=True).returncode:
        raise click.ClickException(f"{peer_python} has no ddranking: {INSTALL}")
    torch.set_num_threads(1)
    splits = tested_part(load_data(data), tested)
    listed = list(range(seeds))
    found = ours(distilled, splits, epochs, listed)
    peer = peers(peer_python, distilled, splits, epochs, listed)
    mine = [found[seed] for seed in listed]
    last, best = ([peer["tests"][str(s)][-1] for s in listed], [peer["best"][str(s)] for s in listed])
    click.echo(f"Test accuracy in % of ConvNet-3 on {len(splits.test):,} images, {epochs} epochs, {seeds} seeds")
    click.echo(line("glad, protocol dc, after the last epoch", mine))
    click.echo(line(f"ddranking {peer['version']}, after the last epoch", last))
    click.echo(line(f"ddranking {peer['version']}, as it reports it: the best of {epochs // 10} tests", best))
    difference = statistics.fmean(last) - statistics.fmean(mine)
    if seeds > 1:
        spread = (statistics.variance(mine) / seeds + statistics.variance(last) / seeds) ** 0.5
        click.echo(f"Difference after the last epoch {100 * difference:+.1f} points, standard error {100 * spread:.1f}")
    write_json(Path(out), {"epochs": epochs, "tested": len(splits.test), "glad": found, "ddranking": peer})
    click.echo(f"Written to {out}")


if __name__ == "__main__":
    main()
