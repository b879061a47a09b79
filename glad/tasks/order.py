"""What travels to the process of a task, and what comes back."""

import os
import pickle
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cuda_ops.conv3x3 import Convolutions, use_convolutions, used_convolutions
from glad.device import keep_freed_memory
from glad.runs.storage import RunError
from glad.settings.objects import is_object
from glad.tasks.facts import differences, facts_of, node_name

PATIENCE = 30.0  # seconds that a file of one machine may take to be seen by another
Key = tuple[Any, ...]


class NodeError(RunError):
    """A machine that cannot take part: one line that names it."""


@dataclass(frozen=True)
class TaskKind:
    """Tasks of one kind."""

    function: Callable[..., Any]
    """``function(context, *key)``, of a module."""
    describe: Callable[..., str]
    """``describe(*key)``: what people call the task."""
    context: Any = None
    """What it needs, for tasks in this process."""
    reopen: Callable[[], Any] | None = None
    """Makes the context in another process, for tasks there; can be pickled."""


@dataclass(frozen=True)
class Shared:
    """A folder that all machines are to see, and the file by which that is tested."""

    folder: str
    token: str

    @property
    def file(self) -> Path:
        """The file; the process that gives out tasks writes it."""
        return Path(self.folder) / f".shared-{self.token}.tmp"

    def require(self) -> None:
        """Raise ``NodeError`` where this machine does not see the file."""
        await_file(self.file)


def await_file(path: Path) -> None:
    """Wait until this machine sees a file that another one has written; ``NodeError`` where it does not."""
    limit = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > limit:
            raise NodeError(
                f"{node_name()} does not see {path}, which another process has written: give a folder that all "
                "machines share"
            )
        time.sleep(0.1)


@dataclass(frozen=True)
class Order:
    """What every task of a ``TaskKind`` is sent along with its key."""

    function: Callable[..., Any]
    reopen: Callable[[], Any] | None
    threads: int
    facts: Mapping[str, str] | None = None
    """What the machine must have in common with the one that gives out tasks; None on the same machine."""
    device: str = "cpu"
    shared: Shared | None = None
    conv: Convolutions = field(default_factory=used_convolutions)
    place: str = field(default_factory=os.getcwd)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Outcome:
    """What a task gave, or the error that it ended with, and what it warned of."""

    value: Any = None
    error: Exception | None = None
    notes: tuple[str, ...] = ()


_CONTEXTS: dict[str, Any] = {}
"""The context of this process, by the token of its order: the last one only."""


def carry_out(order: Order, key: Key) -> Outcome:
    """Do a task in the process that this is called in."""
    torch.set_num_threads(order.threads)
    use_convolutions(order.conv)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        try:
            if order.token not in _CONTEXTS:
                _CONTEXTS.clear()
                _CONTEXTS[order.token] = _open(order)
            warnings.filterwarnings("always", category=UserWarning)  # what opening says the other process has said too
            value = order.function(_CONTEXTS[order.token], *key)
            return Outcome(value, notes=tuple(str(note.message) for note in said))
        except Exception as error:
            return Outcome(error=_portable(error), notes=tuple(str(note.message) for note in said))


def _open(order: Order) -> Any:
    with suppress(OSError):  # relative paths are then not found, which their reader says
        os.chdir(order.place)
    if order.facts is not None:
        require_same(order.facts, order.device, order.shared)
    keep_freed_memory()
    return None if order.reopen is None else order.reopen()


def require_same(facts: Mapping[str, str], device: str, shared: Shared | None) -> None:
    """Raise ``NodeError`` where this machine has other versions or operators, or does not see the folder."""
    if found := differences(facts, facts_of(device)):
        raise NodeError(f"{node_name()} has {found}: all machines need the same")
    if shared is not None:
        shared.require()


def _portable(error: Exception) -> Exception:
    """``error`` if it can be sent, else what it says as a ``RunError``."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RunError(f"{type(error).__name__}: {error}")
    return error


def require_named(data: str) -> None:
    """Raise ``ValueError`` where other processes could not open the data of a setting."""
    if is_object(data):
        raise ValueError(f"data is {data}: tasks in other processes need the name or the path of a data set")


def require_data(found: str, wanted: str) -> None:
    """Raise ``NodeError`` where the data here, by its hash, is not that of the process that gives out tasks."""
    if found != wanted:
        raise NodeError(f"{node_name()} has data {found[:12]}, not {wanted[:12]}: all machines need the same")
