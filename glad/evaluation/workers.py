"""Cells of an evaluation, one after the other or spread over processes.

A cell is a function of its job and its set, so the order and the process do not matter: with as many threads each, one
process and several give the same bits. Processes are spawned (a forked one cannot use CUDA, and inherits locks). What
they train on goes through files in a temporary folder, which they share in the memory of the operating system, rather
than through shared memory, of which containers have little.
"""

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from cuda_ops.conv3x3 import Convolutions, use_convolutions, used_convolutions
from glad.data.coresets import Labeled
from glad.device import keep_freed_memory
from glad.evaluation.summary import Cell
from glad.evaluation.training import Job, evaluate_cell
from glad.runs.storage import RunError


def compute(
    jobs: Sequence[Job],
    data: Callable[[Job], Labeled],
    test: Labeled,
    classes: int,
    device: torch.device,
    workers: int = 1,
) -> Iterator[Cell]:
    """Yield the finished cells of ``jobs``: in order in this process, or as they come from ``workers`` others.

    ``data`` gives what a job trains on; ``test`` are images and their int64 labels. With several workers each has its
    share of this process's threads. What a worker raises is raised here. A worker that dies loses its cell and is
    replaced; when all others are done, ``RunError`` names the cells that are lost.
    """
    if workers > 1 and jobs:
        with tempfile.TemporaryDirectory(prefix="glad-evaluate-") as folder:
            files = _write(Path(folder), jobs, data, test)
            yield from _spread(jobs, files, Path(folder), classes, device, min(workers, len(jobs)), workers)
        return
    placed = (test[0].to(device), test[1].to(device))
    for job in jobs:
        yield evaluate_cell(job, data(job), placed, classes)


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


class _Worker:
    """A process, the pipe to it, and the job that it has."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs,), kwargs=dict(settings), daemon=True)
        self.process.start()
        theirs.close()  # so that its end is felt here
        self.job: Job | None = None

    def give(self, job: Job, file: str) -> None:
        self.job = job
        with contextlib.suppress(BrokenPipeError):  # it has died: `take` will say so
            self.pipe.send((job, file))

    def take(self) -> Cell | None:
        """The finished cell, or None from one that died; raises what it raised."""
        try:
            answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return None
        if isinstance(answer, Exception):
            raise answer
        cell: Cell = answer
        return cell

    def cause(self) -> str:
        """How it died, in words."""
        self.process.join()
        code = self.process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def _spread(
    jobs: Sequence[Job],
    files: Sequence[str],
    folder: Path,
    classes: int,
    device: torch.device,
    count: int,
    share: int,
) -> Iterator[Cell]:
    """Keep ``count`` workers busy, each with a ``share``-th of the threads."""
    threads = max(1, torch.get_num_threads() // share)
    settings = {"folder": str(folder), "classes": classes, "device": str(device), "threads": threads}
    settings = {**settings, "conv": used_convolutions()}
    waiting, lost = list(zip(jobs, files, strict=True))[::-1], []
    workers: dict[Connection, _Worker] = {}

    def start() -> None:
        worker = _Worker(settings)
        workers[worker.pipe] = worker
        worker.give(*waiting.pop())

    try:
        for _ in range(count):
            start()
        while workers:
            for pipe in wait(list(workers)):
                worker = workers[pipe]  # type: ignore[index]
                cell = worker.take()
                if cell is not None:
                    yield cell
                elif worker.job is not None:
                    lost.append(f"{worker.job} ({worker.cause()})")
                if cell is not None and waiting:
                    worker.give(*waiting.pop())
                    continue
                del workers[worker.pipe]
                worker.stop()
                if waiting:
                    start()
    finally:
        for worker in workers.values():
            worker.stop()
    if lost:
        raise RunError(f"killed while training on {'; '.join(lost)}: the same command computes what is missing")


def work(pipe: Connection, folder: str, classes: int, device: str, threads: int, conv: Convolutions) -> None:
    """What a worker does: take jobs and answer with cells, or with the exception, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
    torch.set_num_threads(threads)
    keep_freed_memory()
    use_convolutions(conv)
    test: Labeled | None = None
    with contextlib.suppress(EOFError, BrokenPipeError):  # the other end has gone, and nobody waits for an answer
        while True:
            job, file = pipe.recv()
            try:
                if test is None:
                    images, labels = _load(Path(folder) / "test")
                    test = (images.to(device), labels.to(device))
                data = _load(Path(folder) / file)
                answer: Any = evaluate_cell(job, data, test, classes)
            except Exception as error:  # to be raised on the other side
                answer = error
            pipe.send(answer)
