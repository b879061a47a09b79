"""Cells of an evaluation as tasks: here, in other processes, or on Ray.

A cell is a function of its job and its set, so the order and the process do not matter: with as many threads each, one
process and several give the same bits. What other processes train on goes through files in a temporary folder, which
those of one machine share in the memory of the operating system, rather than through shared memory, of which containers
have little.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from glad.data.coresets import Labeled
from glad.evaluation.summary import Cell
from glad.evaluation.training import Job, evaluate_cell
from glad.runs.disk import sweep
from glad.tasks.base import Engine
from glad.tasks.facts import node_name
from glad.tasks.order import TaskKind


@dataclass(frozen=True)
class Inputs:
    """What all cells need: the images that are tested on, where they are computed with, and the number of classes."""

    test: Labeled
    classes: int


def compute(
    jobs: Sequence[Job],
    data: Callable[[Job], Labeled],
    test: Labeled,
    classes: int,
    device: torch.device,
    engine: Engine,
) -> Iterator[Cell]:
    """Yield the finished cells of ``jobs``: in order in this process, or as they come from others.

    ``data`` gives what a job trains on; ``test`` are images and their int64 labels. Errors are those of ``engine``.
    """
    if not engine.elsewhere:
        work = TaskKind(_cell, _describe, Inputs((test[0].to(device), test[1].to(device)), classes))
        for job in jobs:
            yield from (cell for _, cell in engine.run(work, [(job, data(job))]))
    elif jobs:
        with _folder(engine.shared) as folder:
            files = _write(folder, jobs, data, test)
            work = TaskKind(_cell, _describe, reopen=partial(_read, folder, classes, engine.device))
            keys = [(job, folder / file) for job, file in zip(jobs, files, strict=True)]
            yield from (cell for _, cell in engine.run(work, keys))


def _cell(inputs: Inputs, job: Job, data: Labeled | Path) -> Cell:
    return evaluate_cell(job, _load(data) if isinstance(data, Path) else data, inputs.test, inputs.classes)


def _describe(job: Job, data: Labeled | Path) -> str:
    return str(job)


@contextmanager
def _folder(shared: Path | None) -> Iterator[Path]:
    """A folder for the time of the block: anywhere, or in the folder that all processes see."""
    if shared is None:
        with tempfile.TemporaryDirectory(prefix="glad-evaluate-") as name:
            yield Path(name)
        return
    name = f"evaluate-{node_name()}"  # a process of another machine may have the same number, and run
    sweep(shared, name)  # what a process that was killed has left
    folder = shared / f".{name}.{os.getpid()}.tmp"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, jobs: Sequence[Job], data: Callable[[Job], Labeled], test: Labeled) -> list[str]:
    """Write test images and all sets, each once; the name of each job's file."""
    _save(test, folder / "test")
    names: list[str] = []
    written: dict[tuple[int, int], tuple[str, Labeled]] = {}  # the tensors are kept, so that no other gets their id
    for job in jobs:
        found = data(job)
        key = (id(found[0]), id(found[1]))
        if key not in written:
            written[key] = (f"set-{len(written)}", found)
            _save(found, folder / written[key][0])
        names.append(written[key][0])
    return names


def _save(labeled: Labeled, path: Path) -> None:
    images, labels = (tensor.detach().cpu().contiguous() for tensor in labeled)
    save_file({"images": images, "labels": labels}, path)


def _load(path: Path) -> Labeled:
    tensors = load_file(path)
    return tensors["images"], tensors["labels"]


def _read(folder: Path, classes: int, device: str) -> Inputs:
    images, labels = _load(folder / "test")
    return Inputs((images.to(device), labels.to(device)), classes)
