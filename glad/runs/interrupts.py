"""SIGTERM and Ctrl-C as exceptions that come when the state of a run is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STATUS = 143
"""The exit status of a process that SIGTERM ended."""


class Terminated(SystemExit):
    """SIGTERM came: raised in the main thread, and the process ends with ``STATUS`` unless someone catches it."""

    def __init__(self) -> None:
        super().__init__(STATUS)


class Interrupts:
    """Inside ``with Interrupts() as interrupts:`` SIGTERM raises ``Terminated``, and Ctrl-C ``KeyboardInterrupt``.

    Neither comes inside ``with interrupts.held():``, but at its end. A second signal does what it did before the block.
    Handlers of one's own are left alone, and so are all signals outside the main thread, where Python has none.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._holds, self._pending = 0, 0

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                handler = signal.getsignal(number)
                ours = isinstance(getattr(handler, "__self__", None), Interrupts)
                if ours or handler in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put off what comes inside the block until its end; where the block fails, its own error comes first."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        if self._pending and not self._holds:
            self._raise(self._pending)

    @property
    def pending(self) -> int:
        """The number of a signal that is put off; 0 where none came."""
        return self._pending

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holds:
            self._pending = number
        else:
            self._raise(number)

    def _raise(self, number: int) -> None:
        self._restore()
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
