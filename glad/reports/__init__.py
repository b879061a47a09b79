"""The page for whoever decides: ``glad.report(runs)`` writes one HTML file that needs nothing beside it."""

from collections.abc import Sequence
from pathlib import Path

from glad.reports.page import render
from glad.reports.run_data import read
from glad.runs.folder import Run
from glad.runs.storage import write_durably

NAME = "report.html"


def report(runs: str | Path | Run | Sequence[str | Path | Run], out: str | Path | None = None) -> Path:
    """Write one HTML page about ``runs`` for whoever decides; it needs nothing beside it.

    Args:
        runs: One run or several, finished or not, by their folders or as objects.
        out: The file to write; by default ``report.html`` in the run, and of several runs in the current folder.

    Returns:
        The path of the page.

    Raises:
        RunError: For a folder that is no run or is damaged, and where ``out`` cannot be written.
        ValueError: Where ``runs`` is empty.

    Examples:
        >>> glad.report("runs/tiny").name
        'report.html'
    """
    folders = folders_of(runs)
    path = Path(out) if out is not None else (folders[0].path / NAME if len(folders) == 1 else Path(NAME))
    write_durably(path, render(read(folders)).encode())
    return path


def folders_of(runs: str | Path | Run | Sequence[str | Path | Run]) -> list[Run]:
    """``runs``, one or several, by name or not, as a list; ``ValueError`` when it is empty."""
    listed = [runs] if isinstance(runs, str | Path | Run) else list(runs)
    if not listed:
        raise ValueError("a report needs at least one run")
    return [run if isinstance(run, Run) else Run(Path(run)) for run in listed]
