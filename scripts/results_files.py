"""The files of results from which the scripts' tables are made: they grow, also from several calls at once."""

import fcntl
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from glad.runs.storage import read_json, write_json


def read_results(path: Path) -> Any:
    """What a file of results holds; an empty dictionary where there is none."""
    return read_json(path) if path.exists() else {}


def results_to_show(path: Path) -> Any:
    """What a file of results holds; ``click.ClickException`` where there is nothing in it to show."""
    if not (results := read_results(path)):
        raise click.ClickException(f"{path} holds no results: leave --table out, or name the --out that has them")
    return results


@contextmanager
def results_to_change(path: Path) -> Iterator[Any]:
    """The results as they are now, written back at the end, while no other call changes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = read_results(path)
        yield results
        write_json(path, results)


def spread(values: list[float]) -> str:
    """Mean and deviation in words; nothing of no values."""
    if not values:
        return ""
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def signed(values: list[float]) -> str:
    """Mean and deviation of differences."""
    words = spread([round(value, 6) for value in values])
    return words if words.startswith("-") else f"+{words}"


def accuracy_cells(sets: Sequence[Mapping[str, Any]], networks: Iterable[str], others: Collection[str]) -> list[str]:
    """Of the ``accuracy`` of sets by network: a cell for each of ``networks``, and one of the mean over ``others``.

    Each is mean and deviation over all trainings; the last is over the sets that all of ``others`` were trained on.
    """
    by_network = [[value for one in sets for value in one["accuracy"].get(name, [])] for name in networks]
    whole = [one["accuracy"] for one in sets if set(others) <= set(one["accuracy"])]
    cross = [statistics.mean(trained) for one in whole for trained in zip(*(one[n] for n in others), strict=True)]
    return [*map(spread, by_network), spread(cross)]


def table_of(columns: Iterable[str], lines: Iterable[Iterable[str]]) -> Table:
    """A table of lines of cells."""
    table = Table(*columns)
    for line in lines:
        table.add_row(*line)
    return table
