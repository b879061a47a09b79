"""Tasks on Ray: on a cluster, or on this machine through a Ray that ends with the command."""

import logging
import os
import socket
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from glad.runs.storage import RunError, write_durably
from glad.tasks.base import RETRIES, Results
from glad.tasks.facts import facts_of, node_name
from glad.tasks.order import Key, NodeError, Order, Outcome, Shared, TaskKind, carry_out, require_same

LOCAL, AUTO = "local", "auto"
PATIENCE = 10.0  # seconds for a connection


def load_ray() -> Any:
    """Ray, which sends no statistics of its use; ``RunError`` that says how to get it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as it will be; without it ray warns of it
    try:
        import ray
    except ImportError as error:
        raise RunError("--ray needs Ray: pip install 'glad-distill[ray]'") from error
    return ray


class RayTasks:
    """Tasks on the Ray cluster at ``address``, or on this machine.

    A task has one thread unless OMP_NUM_THREADS says otherwise, and a GPU if ``device`` is one; at most ``workers`` are
    given out at once. All machines must have the versions and operators of this one and see ``shared``.
    """

    elsewhere = True

    def __init__(self, address: str, workers: int | None, shared: Path, device: torch.device) -> None:
        self.address, self.workers = address, workers
        self.device = device.type  # of several GPUs a task sees its own only
        self.shared: Path | None = shared.absolute()
        threads = os.environ.get("OMP_NUM_THREADS", "")
        self.threads = int(threads) if threads.isdecimal() and int(threads) else 1
        self._ray = load_ray()
        self._ours = not self._ray.is_initialized()
        self._marks: list[Shared] = []
        if self._ours and address not in (LOCAL, AUTO):
            _require_answer(address)

    def run(self, work: TaskKind, keys: Sequence[Key]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        if not keys:
            return
        shared = self._connect()
        order = Order(work.function, work.reopen, self.threads, facts_of(self.device), self.device, shared)
        task = self._remote(carry_out)
        left, results = list(enumerate(keys))[::-1], Results()
        waiting: dict[Any, int] = {}
        try:
            while left or waiting:
                while left and len(waiting) < (self.workers or len(keys)):
                    position, key = left.pop()
                    waiting[task.remote(order, key)] = position
                (ref, *_), _ = self._ray.wait(list(waiting), num_returns=1)
                position = waiting.pop(ref)
                yield from results.take(position, self._outcome(ref, work.describe(*keys[position])))
        finally:
            for ref in waiting:
                self._ray.cancel(ref, force=True)
        results.end()

    def _remote(self, function: Any) -> Any:
        """``function`` as Ray runs it: with the cores of its threads, and again if its process dies."""
        gpus = int(self.device == "cuda")
        return self._ray.remote(function).options(num_cpus=self.threads, num_gpus=gpus, max_retries=RETRIES)

    def _outcome(self, ref: Any, name: str) -> Outcome:
        """What a task gave; its process died again and again: an error that says it."""
        ray = self._ray
        try:
            outcome: Outcome = ray.get(ref)
        except ray.exceptions.RayTaskError as error:  # not from the task, which answers with an Outcome
            raise NodeError(_broken(error)) from None
        except ray.exceptions.RayError as error:
            cause = f"{type(error).__name__}: {_line(error)}"
            lost = RunError(f"{name}: its process died {RETRIES + 1} times ({cause}); the same command computes it")
            return Outcome(error=lost)
        return outcome

    def _connect(self) -> Shared:
        """Join the cluster at the first call, and compare every machine that is there now."""
        if self._marks:
            return self._marks[0]
        ray = self._ray
        if self._ours:
            self._join()
        mark = Shared(str(self.shared), f"{uuid.uuid4().hex[:12]}.{os.getpid()}")
        write_durably(mark.file, b"")
        self._marks.append(mark)
        wanted = {"GPU": 1.0} if self.device == "cuda" else {"CPU": float(self.threads)}
        nodes = [
            node
            for node in ray.nodes()
            if node["Alive"] and all(node["Resources"].get(name, 0) >= least for name, least in wanted.items())
        ]
        if not nodes:
            needed = ", ".join(f"{least:g} {name}" for name, least in wanted.items())
            warnings.warn(f"no machine of the Ray cluster has {needed}: tasks wait for one that joins", stacklevel=3)
        check, checks = ray.remote(require_same), {}
        for node in nodes:
            place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "max_retries": RETRIES, "scheduling_strategy": place}
            checks[check.options(**options).remote(facts_of("cpu"), "cpu", mark)] = node["NodeManagerHostname"]
        for ref, name in checks.items():
            try:
                ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                cause = error.cause
                raise NodeError(str(cause) if isinstance(cause, NodeError) else f"{name}: {_broken(error)}") from None
            except ray.exceptions.RayError:  # it has gone since; who stays was compared, who comes will be
                continue
        return mark

    def _join(self) -> None:
        """Start Ray here, or connect to the cluster."""
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self.address == LOCAL:
                at_once = self.workers or max(1, _cores() // self.threads)
                self._ray.init(LOCAL, num_cpus=at_once * self.threads, **quiet)
            else:
                quiet.pop("include_dashboard")
                self._ray.init(self.address, **quiet)
        except (OSError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            if self.address == AUTO and isinstance(error, ConnectionError):
                raise RunError(
                    f"no Ray cluster runs on {node_name()}, and RAY_ADDRESS names none: start one by `ray start "
                    "--head`, or give its HOST:PORT, or local"
                ) from error
            where = "on this machine" if self.address == LOCAL else f"at {self.address}"
            raise RunError(f"Ray {where} cannot be used: {_line(error)}") from error

    def close(self) -> None:
        """Leave the cluster, which cancels what this process has given out; Ray on this machine ends."""
        for mark in self._marks:
            with suppress(OSError):
                mark.file.unlink()
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require_answer(address: str) -> None:
    """Raise ``RunError`` where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        if not host or not port.isdecimal():
            raise OSError("no HOST:PORT")
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE):
            pass
    except (OSError, OverflowError) as error:
        raise RunError(
            f"no Ray cluster answers at {address} from {node_name()} ({error}): give the HOST:PORT that `ray start "
            "--head` has named, or local"
        ) from error


def _broken(error: Any) -> str:
    """Why a machine cannot run tasks at all, as where this project is not installed."""
    if isinstance(error.cause, ImportError):
        return f"{error.ip or 'a machine of the cluster'} lacks what it needs ({error.cause}): install glad there"
    return _line(error.cause or error)


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__
