"""Which rank has died, stands still or is late: asked where a gather fails, and answered in one line.

Every rank beats in the store of the group, and says there how many gathers it has come to. Who does not beat has died
or cannot be reached; who beats and has come to fewer gathers is late. The first line about a fault is kept in the
store, and only the rank that it is from says it.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

Answer = TypeVar("Answer")
BEAT = 0.5  # seconds between beats
SILENCE = 6  # beats of one's own in which a rank has died that has not beaten: a machine that stood still beats no time
PATIENCE = 20.0  # seconds that the store may take to answer


class RankError(RuntimeError):
    """Ranks that cannot go on together, in one line.

    Attributes:
        silent: Whether another rank says it.
    """

    def __init__(self, line: str, silent: bool = False) -> None:
        super().__init__(line)
        self.silent = silent


class Watch:
    """The beats and faults of the ranks.

    Args:
        store: A connection to the store of the group that nothing else uses.
        rank: This rank.
        world: How many there are.
        timeout: Seconds that a gather waits.
    """

    def __init__(self, store: dist.Store, rank: int, world: int, timeout: float) -> None:
        self.store = dist.PrefixStore("glad", this_attempt(store))
        self.rank, self.world, self.timeout = rank, world, timeout
        self.gathers, self.runs = 0, 0
        self._lock, self._ended, self._beats = threading.Lock(), threading.Event(), 0
        self._beat()
        threading.Thread(target=self._go_on, daemon=True).start()

    def _beat(self) -> None:
        self._beats += 1
        with self._lock:
            self.store.set(f"beat/{self.rank}", f"{self._beats} {self.gathers}")

    def _go_on(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                self._beat()
            except RuntimeError:  # the store is gone, as at the end of rank 0; a gather says it if it matters
                self._ended.set()

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()

    def gather_all(self, patience: float) -> None:
        """Wait until every rank has begun to beat; ``RankError`` naming those that have not within ``patience`` s."""
        limit = time.monotonic() + patience
        while absent := [rank for rank, (beats, _) in enumerate(self._look()) if not beats]:
            if time.monotonic() > limit:
                raise RankError(f"{_ranks(absent)} of {self.world} did not come within {patience:g} s (--rank-timeout)")
            time.sleep(BEAT / 5)

    def say(self, line: str) -> RankError:
        """Keep the line about a fault; the error that says it, silent where another rank's line was the first."""
        mine = f"{self.rank} {line}"

        def keep() -> bytes | str:
            with self._lock:
                kept: bytes | str = self.store.compare_set(f"fault/{self.runs}", "", mine)
            return kept

        try:
            found = _within(PATIENCE, keep)
        except RuntimeError:  # there is nobody left to hear it
            return RankError(line)
        if self.rank == 0:  # the store may end with this process, and others will ask it
            self._wait()
        kept = found if isinstance(found, str) else found.decode()
        return RankError(kept.partition(" ")[2], silent=kept != mine)

    def explain(self, error: Exception) -> RankError:
        """What it means that a gather has failed with ``error``; takes some seconds.

        Args:
            error: Of torch.

        Returns:
            An error that names the rank, silent where another rank says it.
        """

        def compare() -> str:
            before = self._look()
            self._wait()
            return self._name(before, self._look(), error)

        try:
            line = _within(PATIENCE, compare)
        except RuntimeError:
            line = f"rank 0 of {self.world} has died, or its machine cannot be reached"
        return self.say(f"{line}: give the same command again, and the run goes on from the last saved state")

    def _wait(self) -> None:
        """Wait for some beats of this rank's own."""
        beats = self._beats
        while self._beats < beats + SILENCE and not self._ended.wait(BEAT / 5):
            pass

    def _look(self) -> list[tuple[int, int]]:
        """Beats and gathers of every rank; zeros of one that has not begun."""
        found = []
        for rank in range(self.world):
            with self._lock:
                text = self.store.get(f"beat/{rank}") if self.store.check([f"beat/{rank}"]) else b"0 0"
            beats, gathers = text.split()
            found.append((int(beats), int(gathers)))
        return found

    def _name(self, before: list[tuple[int, int]], after: list[tuple[int, int]], error: Exception) -> str:
        others = [rank for rank in range(self.world) if rank != self.rank]
        if dead := [rank for rank in others if before[rank][0] == after[rank][0]]:
            return f"{_ranks(dead)} of {self.world} {_have(dead)} died, or cannot be reached"
        seen = before if "timed out" in str(error).lower() else after  # a rank may have come since the time was up
        if late := [rank for rank in others if seen[rank][1] < self.gathers]:
            return (
                f"{_ranks(late)} of {self.world} did not come to gather {self.gathers} within {self.timeout:g} s "
                "(--rank-timeout)"
            )
        reason = str(error).splitlines()[0]
        return f"rank {self.rank} of {self.world} lost the others ({reason})"


def _within(limit: float, ask: Callable[[], Answer]) -> Answer:
    """The answer of a store; ``RuntimeError`` where it has none within ``limit`` s, as over a link that is cut."""
    answers: list[Answer] = []

    def call() -> None:
        with suppress(RuntimeError):
            answers.append(ask())

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(limit)
    if not answers:
        raise RuntimeError("the store does not answer")
    return answers[0]


def _ranks(numbers: list[int]) -> str:
    return f"rank{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _have(numbers: list[int]) -> str:
    return "have" if len(numbers) > 1 else "has"


def seconds(number: float) -> timedelta:
    """A span of time, as torch takes it."""
    return timedelta(seconds=number)


def this_attempt(store: dist.Store) -> dist.Store:
    """The part of ``store`` for this start of the ranks: torchrun's outlives them, with the addresses of before."""
    return dist.PrefixStore(f"attempt/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
