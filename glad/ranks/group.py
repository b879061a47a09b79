"""Who this process is among the ranks, and the gathers by which they tell each other something."""

import atexit
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from glad.ranks.watch import BEAT, RankError, Watch, seconds, this_attempt
from glad.runs.interrupts import Interrupts


@dataclass(frozen=True)
class Place:
    """What a launcher such as torchrun says in the environment: this rank, how many, and which of this machine."""

    rank: int
    world: int
    local: int


def place() -> Place | None:
    """The place of this process among ranks; None where no launcher started it."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    rank, world = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    return Place(rank, world, int(os.environ.get("LOCAL_RANK", rank)))


def require_classes(ranks: int, classes: int) -> None:
    """Raise ``ValueError`` where there are more ranks than classes."""
    if ranks > classes:
        raise ValueError(f"{ranks} ranks share {classes} classes: take {classes} ranks at most")


class Ranks:
    """The ranks of a run, as one of them sees them. With a single one nothing is sent.

    Args:
        rank: This one, from 0 on.
        world: How many there are.
        device: Where this rank computes.

    Attributes:
        gathered: Bytes that gathers have brought to this rank so far.

    Raises:
        RankError: A gather failed; the line names the rank that is the cause.
    """

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.world, self.device = rank, world, torch.device(device)
        self.gathered = 0
        self.watch: Watch | None = None

    @classmethod
    def here(cls, device: torch.device) -> "Ranks":
        """Those that a launcher started, or this process alone; CUDA devices of a machine are shared out by number."""
        found = place() or Place(0, 1, 0)
        if device.type == "cuda" and device.index is None and found.world > 1:
            device = torch.device("cuda", found.local)
            torch.cuda.set_device(device)
        return cls(found.rank, found.world, device)

    @contextmanager
    def joined(self, timeout: float) -> Iterator[None]:
        """Inside the block the ranks can gather. An error of one ends all, and one of them says it.

        Args:
            timeout: Seconds that a gather waits for the others; for their first coming it waits ten times as long.
        """
        if self.world == 1:
            yield
            return
        self.watch = _join(self, timeout)
        self.watch.runs += 1
        try:
            yield
            self.exchange("done")  # the store is that of rank 0, which may end last only
        except RankError:
            raise
        except Exception as error:
            line = f"rank {self.rank} of {self.world}: {' '.join(str(error).split()) or type(error).__name__}"
            with Interrupts() as interrupts, interrupts.held():  # a launcher stops all when the first has ended
                fault = self.watch.say(line)
            if fault.silent:
                raise fault from error
            raise

    def own(self, classes: int) -> range:
        """The classes of this rank, of so many: every ``world``-th."""
        return range(self.rank, classes, self.world)

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """The ``tensor`` of every rank, by rank; shapes and types must be equal, devices are this rank's."""
        if self.world == 1:
            return [tensor]
        sent = tensor.detach().to(self.device).contiguous().view(-1).view(torch.uint8)  # any type, and no arithmetic
        received = [torch.empty_like(sent) for _ in range(self.world)]
        assert self.watch is not None, "gathers are for inside of joined()"
        self.watch.gathers += 1
        try:
            dist.all_gather(received, sent)
        except RuntimeError as error:
            raise self.watch.explain(error) from error
        self.gathered += sent.numel() * self.world
        return [part.view(tensor.dtype).view(tensor.shape) for part in received]

    def gather(self, own: Mapping[int, Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """The tensor of every class, in order, without gradients.

        Args:
            own: Those of the classes of this rank, [sizes[c], ...], which agree in all other sizes.
            sizes: The first size for each class.
        """
        # With one rank too: the order of axes in memory, which a convolution's bytes depend on, is always that of here.
        example, slots = own[self.rank], -(-len(sizes) // self.world)
        sent = example.new_zeros(slots, max(sizes), *example.shape[1:])
        for slot, c in enumerate(self.own(len(sizes))):
            sent[slot, : sizes[c]] = own[c].detach()
        received = self.all_gather(sent)
        return [received[c % self.world][c // self.world, :size] for c, size in enumerate(sizes)]

    def stream(self, own: Mapping[int, Tensor], sizes: Sequence[int]) -> Iterator[Tensor]:
        """The same, one class after the other: a gather for each class of a rank, and memory for one of each."""
        example = own[self.rank].detach()
        for first in range(0, len(sizes), self.world):
            sent, c = example.new_zeros(max(sizes), *example.shape[1:]), first + self.rank
            if c < len(sizes):
                sent[: sizes[c]] = own[c].detach()
            yield from (part[:size] for part, size in zip(self.all_gather(sent), sizes[first:], strict=False))

    def exchange(self, value: Any) -> list[Any]:
        """What each rank says, by rank: anything that JSON holds, sent as its bytes."""
        said = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = [int(length) for length in self.all_gather(torch.tensor([len(said)]))]
        padded = torch.zeros(max(lengths), dtype=torch.uint8)
        padded[: len(said)] = said
        received = self.all_gather(padded)
        return [json.loads(bytes(r[:n].tolist())) for r, n in zip(received, lengths, strict=True)]

    def first_does(self, action: Callable[[], Any]) -> Any:
        """What ``action`` gives, which rank 0 alone takes, on every rank: anything that JSON holds."""
        return self.exchange(action() if self.rank == 0 else None)[0]

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless all ranks have the same ``facts``; it names the first that differs."""
        first, *others = self.exchange(dict(facts))
        for rank, theirs in enumerate(others, 1):
            for name in sorted(first.keys() | theirs.keys()):
                if (here := first.get(name)) != (there := theirs.get(name)):
                    raise ValueError(f"rank 0 has {name} {here}, and rank {rank} {there}: all ranks need the same")


@contextmanager
def said_once(timeout: float) -> Iterator[None]:
    """What goes wrong in the block before ranks have joined, often on all alike, is said by one of them.

    Args:
        timeout: Seconds to wait for the others; where they do not come, this one says it.
    """
    before = _runs()
    try:
        yield
    except Exception as error:
        here = place()
        if here is None or here.world == 1 or _runs() > before or isinstance(error, RankError):  # or it has been said
            raise
        try:
            with Ranks(here.rank, here.world).joined(timeout / 10):
                raise
        except RankError as fault:
            if fault.silent:
                raise
            raise error from None


_WATCHES: list[Watch] = []
"""That of this process, once it has joined the group; a later run of the process is in the same group."""


def _join(ranks: Ranks, timeout: float) -> Watch:
    """Join the group of ``ranks``, whose address the launcher has put into the environment."""
    if _WATCHES:
        return _WATCHES[0]
    os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # an error where it waits, not the end of the process
    address, port, patience = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", ""), 10 * timeout
    try:
        if not address or not port.isdecimal():
            raise RuntimeError(f"MASTER_ADDR is {address!r}, MASTER_PORT {port!r}")
        store, _, _ = next(dist.rendezvous("env://", timeout=seconds(patience)))
        own = dist.TCPStore(address, int(port), is_master=False, timeout=seconds(patience))
        watch = Watch(own, ranks.rank, ranks.world, timeout)
        watch.gather_all(patience)
        backend = "nccl" if ranks.device.type == "cuda" else "gloo"
        dist.init_process_group(
            backend, store=this_attempt(store), rank=ranks.rank, world_size=ranks.world, timeout=seconds(timeout)
        )
    except RankError:
        raise
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RankError(
            f"rank {ranks.rank} of {ranks.world} finds no others at {address}:{port} ({reason}): start all ranks by "
            "one launcher, such as torchrun, and let their machines reach that port"
        ) from error
    _WATCHES.append(watch)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=_end_with_launcher, args=[os.getppid()], daemon=True).start()
    atexit.register(_leave)
    return watch


def _runs() -> int:
    """How many runs of this process the ranks have joined for."""
    return sum(watch.runs for watch in _WATCHES)


def _end_with_launcher(launcher: int) -> None:
    """Stop this rank, saved, when torchrun has gone, as when it was killed: who starts it anew would find two runs."""
    while os.getppid() == launcher:
        time.sleep(BEAT)
    os.kill(os.getpid(), signal.SIGTERM)


def _leave() -> None:
    while _WATCHES:
        _WATCHES.pop().stop()
        dist.destroy_process_group()
