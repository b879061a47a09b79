"""What is shown on stderr while operators are compiled: that it goes on, how far it is, and for how long it has."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

REDRAW, REPEAT = 0.5, 15.0  # seconds between two states: of a terminal's one line, and of lines in a file or a notebook


def expected(seconds: int, files: int) -> int:
    """The seconds that ``files`` files take here, as busy as the machine is, if the longest takes ``seconds`` alone."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return round(seconds * max(1.0, (load + min(cores, files)) / cores))


class BuildProgress:
    """The state of a build, by whoever builds or waits for another process that does.

    On a terminal it is one line that is written over; elsewhere, a line now and then.
    """

    def __init__(
        self, device: str, seconds: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show the build of ``device``'s operators, which takes about ``seconds``, on ``stream`` (default: stderr)."""
        self.what = f"the {device} operators"
        self.seconds = seconds
        self.stream = stream
        self.clock = clock

    @contextmanager
    def compiling(self, done: Callable[[], int], total: int) -> Iterator[None]:
        """Announce a build and show it until the end of the block; ``done()`` of ``total`` files are ready."""
        about = f"once (about {self.seconds} s, as busy as it is)"
        self._write(f"glad: compiling {self.what} for this machine, {about}\n")
        with self._show(State(f"glad: compiling {self.what}", done, total, self.clock)):
            yield

    @contextmanager
    def waiting(self, done: Callable[[], int], total: int) -> Iterator[None]:
        """Announce that another process builds, and show that build until the end of the block."""
        self._write(f"glad: another process compiles {self.what} for this machine; waiting for it\n")
        with self._show(State(f"glad: waiting for {self.what}", done, total, self.clock)):
            yield

    @contextmanager
    def _show(self, state: "State") -> Iterator[None]:
        stream = self._stream()
        terminal = stream is not None and stream.isatty()
        end = threading.Event()

        def show() -> None:
            shown = False
            try:
                while not end.wait(REDRAW if terminal else REPEAT):
                    self._write(f"\r{state}" if terminal else f"{state}\n")
                    shown = True
                if shown:
                    self._write(f"\r{state}\n" if terminal else f"{state}\n")
            except (OSError, ValueError):  # stderr is closed: the build goes on unseen
                return

        thread = threading.Thread(target=show, name="glad: progress of compiling", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _stream(self) -> TextIO | None:
        return sys.stderr if self.stream is None else self.stream

    def _write(self, text: str) -> None:
        if stream := self._stream():  # there is none under pythonw
            stream.write(text)
            stream.flush()


class State:
    """How far a build is: ``str`` of it says so, as of now. Its numbers only grow, so a line covers the one before."""

    def __init__(self, text: str, done: Callable[[], int], total: int, clock: Callable[[], float]) -> None:
        self.text = text
        self.done = done
        self.total = total
        self.clock = clock
        self.start = clock()
        self.most = 0

    def __str__(self) -> str:
        self.most = max(self.most, self.done())  # at the end the builder clears its files away
        return f"{self.text}: {self.most} of {self.total} files, {self.clock() - self.start:.0f} s"
