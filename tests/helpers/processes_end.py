"""Processes that are to end of themselves."""

import time
from pathlib import Path


def await_end(pids, limit=30.0):
    """Wait until none of ``pids`` runs; an error after ``limit`` s."""
    end = time.monotonic() + limit
    while left := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.05)


def _runs(pid):
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
