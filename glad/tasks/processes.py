"""Tasks one after the other in this process, or in processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from glad.runs.storage import RunError
from glad.tasks.base import RETRIES, Results
from glad.tasks.order import Key, Order, Outcome, TaskKind, carry_out


class InProcess:
    """Tasks one after the other, in order, in this process."""

    elsewhere = False
    shared: Path | None = None

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = str(device)

    def run(self, work: TaskKind, keys: Sequence[Key]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        for position, key in enumerate(keys):
            yield position, work.function(work.context, *key)


class Processes:
    """``workers`` processes of this machine, which share the threads of this one.

    They are spawned: a forked one cannot use CUDA, and inherits locks.
    """

    elsewhere = True
    shared: Path | None = None

    def __init__(self, workers: int, device: torch.device | str = "cpu") -> None:
        self.workers, self.device = workers, str(device)
        self._pool: ProcessPoolExecutor | None = None

    def run(self, work: TaskKind, keys: Sequence[Key]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        order = Order(work.function, work.reopen, max(1, torch.get_num_threads() // self.workers))
        left, deaths, results = dict(enumerate(keys)), 0, Results()
        while left:
            try:
                for future, position in self._submit(order, left):
                    outcome: Outcome = future.result()
                    del left[position]
                    yield from results.take(position, outcome)
            except BrokenProcessPool as error:
                self.close()
                deaths += 1
                if deaths > RETRIES:
                    lost = "; ".join(work.describe(*key) for key in [*left.values()][: self.workers])
                    raise RunError(
                        f"processes were killed {deaths} times, the last while working on one of: {lost}; the same "
                        "command computes what is missing (fewer --workers take less memory)"
                    ) from error
        results.end()

    def _submit(self, order: Order, keys: dict[int, Key]) -> Iterator[tuple[Future[Outcome], int]]:
        """Hand in tasks, and yield those that are done; ``BrokenProcessPool`` once a process has died."""
        if self._pool is None:
            self._others = multiprocessing.active_children()
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin)
        waiting = {self._pool.submit(carry_out, order, key): position for position, key in keys.items()}
        broken: BrokenProcessPool | None = None
        for future in as_completed(waiting):
            if isinstance(found := future.exception(), BrokenProcessPool):
                broken = found
            else:
                yield future, waiting[future]
        if broken is not None:
            raise broken

    def close(self) -> None:
        """End the processes, whatever they do."""
        if self._pool is not None:
            for process in multiprocessing.active_children():
                if process not in self._others:
                    process.terminate()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _begin() -> None:
    """Set up a process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
    threading.Thread(target=_end_with_first, daemon=True).start()


def _end_with_first() -> None:
    """End this process when the one that gives out tasks has gone, as when it was killed: nobody else would."""
    first = multiprocessing.parent_process()
    assert first is not None, "for processes of a pool"
    first.join()
    os._exit(1)
