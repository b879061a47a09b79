"""What the folders of runs say, as plain values; nothing is computed that they do not hold, and nothing is invented."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from glad.data.coresets import REAL
from glad.evaluation import summarize
from glad.runs.folder import Run
from glad.runs.soft_labels import likeliest
from glad.runs.storage import RunError, open_tensors, read_json, read_step_size

BEFORE = " before optimisation"
AUDIT_PICTURES = {
    "audit_nearest.png": "Synthetic images, and below each its nearest training images; the last rows the same for "
    "real images that no network was trained on",
    "audit_before_after.png": "The first image of each class before and after optimisation, above a real one",
}


@dataclass(frozen=True)
class Row:
    """One set in a table of results.

    ``kind`` is ``run``, ``before`` (the same set before optimisation), ``real`` (chosen real images), ``full`` (all
    training images) or ``other``. ``same``, ``cross`` and the values of ``networks`` are those of
    ``glad.evaluation.summarize``.
    """

    name: str
    kind: str
    same: Mapping[str, Any] | None
    cross: Mapping[str, Any] | None
    networks: Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Results:
    """``results.json``: the rows, how they were measured, and whether the evaluation came to its end.

    ``networks`` begins with the one distilled with, if it was trained.
    """

    rows: tuple[Row, ...]
    same: str
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    split: str
    recipe: str
    complete: bool
    settings: Mapping[str, Any]
    cells: tuple[Mapping[str, Any], ...]
    content: Mapping[str, Any]

    def row(self, kind: str) -> Row | None:
        """The first row of a kind."""
        return next((row for row in self.rows if row.kind == kind), None)

    @property
    def comparable(self) -> str:
        """Equal for results that belong in one table: of the same settings, networks and seeds."""
        mine = ("sets", "learned_lr")
        shared = {key: value for key, value in self.settings.items() if key not in mine}
        return json.dumps([shared, self.same, self.networks, self.seeds], sort_keys=True)


@dataclass(frozen=True)
class Facts:
    """One run. ``label`` tells it from the other runs of the report; ``pixels`` is what its images hold: [N, C, H, W].

    ``done`` of ``iterations`` are finished, in ``seconds`` as far as a state was saved. ``metrics`` has a dict per
    iteration. ``results`` and ``audit`` are None where nobody made them yet. ``pixels`` is None before the first set is
    written.
    """

    run: Run
    label: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Any]
    config_text: str
    done: int
    iterations: int
    finished: bool
    seconds: float | None
    learned_lr: float | None
    metrics: tuple[Mapping[str, float], ...]
    results: Results | None
    audit: Mapping[str, Any] | None
    pixels: tuple[int, int, int, int] | None
    labels: tuple[int, ...]

    @property
    def classes(self) -> list[str]:
        """The classes' names."""
        return list(self.inputs["classes"])


def read(runs: Sequence[Run]) -> list[Facts]:
    """The facts of every run; ``RunError`` for a folder that is no run, or is damaged, or comes twice."""
    paths = [run.path.resolve() for run in runs]
    if twice := [run for run, path in zip(runs, paths, strict=True) if paths.count(path) > 1]:
        raise RunError(f"{twice[0].path} is named twice: give every run once")
    names = [path.name for path in paths]
    labels = [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, runs, strict=True)]
    return [_read(run, label) for run, label in zip(runs, labels, strict=True)]


def _read(run: Run, label: str) -> Facts:
    config, inputs = run.config, run.inputs
    if missing := [key for key in ("classes", "hashes", "mean", "std") if key not in inputs]:
        raise RunError(f"{run.path}/inputs.json has no {missing[0]}: it is not of a run")
    metrics = _metrics(run.path / "metrics.jsonl")
    progress, learned = _state(run.state)
    pixels, labels = _set(run.path / "initial.safetensors")
    done = max(int(progress.get("iteration", 0)), 1 + int(metrics[-1]["iteration"]) if metrics else 0)
    iterations = int(config.get("iterations", done))
    return Facts(
        run=run,
        label=label,
        config=config,
        inputs=inputs,
        config_text=(run.path / "config.yaml").read_text(),
        done=done,
        iterations=iterations,
        finished=(run.path / "synset.safetensors").exists() and done >= iterations,
        seconds=float(progress["seconds"]) if "seconds" in progress else None,
        learned_lr=learned,
        metrics=metrics,
        results=_results(run, config),
        audit=_audit(run.path / "audit.json"),
        pixels=pixels,
        labels=labels,
    )


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Inside the block everything that JSON of another form can raise becomes a ``RunError``."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{path} is not of a form that this version reads ({reason}): make it anew") from error


def tensors_of(path: Path, *names: str) -> tuple[Tensor, ...]:
    """Some tensors of a safetensors file, without reading the others; ``RunError`` when it is damaged or lacks one."""
    with open_tensors(path) as file:
        return tuple(file.get_tensor(name) for name in names)


def _state(path: Path) -> tuple[dict[str, str], float | None]:
    """How far the state is, and the student's step size if it is learnt."""
    if not path.exists():
        return {}, None
    with open_tensors(path) as file:
        return file.metadata() or {}, read_step_size(path)


def _set(path: Path) -> tuple[tuple[int, int, int, int] | None, tuple[int, ...]]:
    """Shape of the images, and their labels; soft ones as the likeliest class."""
    if not path.exists():
        return None, ()
    images, labels = tensors_of(path, "images", "labels")
    n, c, h, w = images.shape
    return (n, c, h, w), tuple(likeliest(labels).tolist())


def _metrics(path: Path) -> tuple[dict[str, float], ...]:
    """A dict per iteration; a last line that is being written, or was cut off, is left out."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    try:
        return tuple(json.loads(line) for line in lines)
    except ValueError as error:
        raise RunError(f"{path}: cannot be read: {error}") from error


def _audit(path: Path) -> dict[str, Any] | None:
    content = read_json(path) if path.exists() else None
    if content is not None and not isinstance(content, dict):
        raise RunError(f"{path} is not an audit: it holds a {type(content).__name__}")
    return content


def _results(run: Run, config: Mapping[str, Any]) -> Results | None:
    """``results.json``; of an evaluation that goes on, what its finished cells say."""
    path = run.path / "results.json"
    content = read_json(path) if path.exists() else {}
    with understood(path):
        return _results_of(content, run, config) if content.get("cells") else None


def _results_of(content: Mapping[str, Any], run: Run, config: Mapping[str, Any]) -> Results:
    cells = content["cells"]
    same = str(content.get("same", config.get("network")))
    summary = content.get("summary") or summarize(cells, same)
    called = {run.name, *content.get("settings", {}).get("sets", {})}  # the folder may have been renamed since
    trained = list(dict.fromkeys(cell["network"] for cell in cells))
    return Results(
        rows=tuple(_row(name, _kind(name, called), entry) for name, entry in summary.items()),
        same=same,
        networks=tuple(sorted(trained, key=lambda name: name != same)),
        seeds=tuple(sorted({int(cell["seed"]) for cell in cells})),
        split=str(content.get("split", content.get("settings", {}).get("split", "test"))),
        recipe=str(content.get("settings", {}).get("recipe", "hard")),
        complete="summary" in content,
        settings=content.get("settings", {}),
        cells=tuple(cells),
        content=content,
    )


def _row(name: str, kind: str, entry: Mapping[str, Any]) -> Row:
    networks = {network: _statistic(values) for network, values in entry["networks"].items()}
    return Row(name, kind, _statistic(entry["same"]), _statistic(entry["cross"]), networks)


def _statistic(entry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if entry is None:
        return None
    std = entry["std"]
    return {"mean": float(entry["mean"]), "std": None if std is None else float(std), "n": int(entry["n"])}


def _kind(name: str, called: set[str]) -> str:
    if name in called:
        return "run"
    if name.removesuffix(BEFORE) in called:
        return "before"
    if any(name.startswith(shown.partition(" in ")[0]) for shown, _ in REAL.values()):  # herding in other features
        return "real"
    return "full" if re.fullmatch(r"all \d+ training images", name) else "other"
