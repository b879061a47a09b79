"""What the folders of runs say, as plain values; nothing is computed that they do not hold, and nothing is invented."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from glad.reports.run_results import RunResults, read_run_results
from glad.runs.folder import Run, check_metrics
from glad.runs.soft_labels import likeliest
from glad.runs.storage import RunError, open_tensors, read_json, read_step_size

AUDIT_PICTURES = {
    "audit_nearest.png": "Synthetic images, and below each its nearest training images; the last rows the same for "
    "real images that no network was trained on",
    "audit_before_after.png": "The first image of each class before and after optimization, above a real one",
}


@dataclass(frozen=True)
class RunData:
    """One run. ``label`` tells it from the other runs of the report; ``pixels`` is what its images hold: [N, C, H, W].

    ``done`` of ``iterations`` are finished, in ``seconds`` as far as a state was saved. ``metrics`` has a dict per
    iteration. ``evaluations`` are all of the run, the last one first. ``audit`` is None where nobody made one yet.
    ``pixels`` is None before the first set is written.
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
    step_size: float | None
    metrics: tuple[Mapping[str, float], ...]
    evaluations: tuple[RunResults, ...]
    audit: Mapping[str, Any] | None
    pixels: tuple[int, int, int, int] | None
    labels: tuple[int, ...]

    @property
    def results(self) -> RunResults | None:
        """The last evaluation; None where there is none."""
        return self.evaluations[0] if self.evaluations else None

    @property
    def classes(self) -> list[str]:
        """The classes' names."""
        return list(self.inputs["classes"])


def read(runs: Sequence[Run]) -> list[RunData]:
    """The run_data of every run; ``RunError`` for a folder that is no run, or is damaged, or comes twice."""
    paths = [run.path.resolve() for run in runs]
    if twice := [run for run, path in zip(runs, paths, strict=True) if paths.count(path) > 1]:
        raise RunError(f"{twice[0].path} is named twice: give every run once")
    names = [path.name for path in paths]
    labels = [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, runs, strict=True)]
    return [_read(run, label) for run, label in zip(runs, labels, strict=True)]


def _read(run: Run, label: str) -> RunData:
    config, inputs = run.config, run.inputs
    if missing := [key for key in ("classes", "hashes", "mean", "std") if key not in inputs]:
        raise RunError(f"{run.path}/inputs.json has no {missing[0]}: it is not of a run")
    metrics = _metrics(run.path / "metrics.jsonl")
    progress, learned = _state(run.state)
    pixels, labels = _set(run.path / "initial.safetensors")
    done = max(int(progress.get("iteration", 0)), 1 + int(metrics[-1]["iteration"]) if metrics else 0)
    iterations = config.get("iterations", done)
    if not isinstance(iterations, int):
        raise RunError(f"{run.path}/config.yaml: iterations is {iterations!r}, not a number: damaged")
    if max(labels, default=0) >= len(inputs["classes"]):
        raise RunError(
            f"{run.path}/inputs.json has {len(inputs['classes'])} classes, its set {max(labels) + 1}: damaged"
        )
    return RunData(
        run=run,
        label=label,
        config=config,
        inputs=inputs,
        config_text=(run.path / "config.yaml").read_text(),
        done=done,
        iterations=iterations,
        finished=(run.path / "synset.safetensors").exists() and done >= iterations,
        seconds=float(progress["seconds"]) if "seconds" in progress else None,
        step_size=learned,
        metrics=metrics,
        evaluations=read_run_results(run, config.get("network"), label),
        audit=_audit(run.path / "audit.json"),
        pixels=pixels,
        labels=labels,
    )


def tensors_of(path: Path, *names: str) -> tuple[Tensor, ...]:
    """Some tensors of a safetensors file, without reading the others; ``RunError`` when it is damaged or lacks one."""
    with open_tensors(path) as file:
        return tuple(file.get_tensor(name) for name in names)


def _state(path: Path) -> tuple[dict[str, str], float | None]:
    """How far the state is, and the student's step size if it is learned."""
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
        return tuple(check_metrics(json.loads(line), path) for line in lines)
    except ValueError as error:
        raise RunError(f"{path}: cannot be read: {error}") from error


def _audit(path: Path) -> dict[str, Any] | None:
    content = read_json(path) if path.exists() else None
    if content is not None and not isinstance(content, dict):
        raise RunError(f"{path} is not an audit: it holds a {type(content).__name__}")
    return content
