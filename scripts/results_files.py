"""The files of results from which the scripts' tables are made: they grow, also from several calls at once.

A file says what its rows are of, in an entry of its own, so that no table is shown as another.
"""

import fcntl
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from glad.runs.storage import read_json, write_json

OF = "of"
"""The entry that says what the rows are of: the script, and the settings that decide which table it is."""
FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""How reading a line fails where results have another form."""


def read_entry(path: Path) -> dict[str, Any]:
    """What a file of results says it is of; nothing where it does not say, or is not there."""
    return _read(path)[0]


def read_results(path: Path, of: Mapping[str, Any] | None = None) -> Any:
    """The rows of a file of results; an empty dictionary where there is none.

    ``of`` is what they have to be of. A file that says something else is refused with ``click.ClickException``; one of
    an older version, which says nothing, is taken.
    """
    return _checked(path, of)[1]


def _checked(path: Path, of: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a file of results says it is of, which has to be ``of``, and its rows."""
    known, results = _read(path)
    for name, value in (of or {}).items():
        if (found := known.get(name, value)) != value:
            mend = f"run scripts/{found}.py" if name == "script" else f"take {name} {found}"
            said = f"{path} has results of {name} {found}, not of {value}"
            raise click.ClickException(f"{said}: {mend}, or name another file or folder")
    return known, results


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a file of results is of, and its rows."""
    results = read_json(path) if path.exists() else {}
    if not isinstance(results, dict) or not isinstance(results.get(OF, {}), dict):
        raise click.ClickException(f"{path} is no file of results: name another one")
    return results.pop(OF, {}), results


def results_to_show(path: Path, of: Mapping[str, Any] | None = None) -> Any:
    """The rows of a file of results; ``click.ClickException`` where there is nothing in it to show."""
    if not (results := read_results(path, of)):
        raise click.ClickException(f"{path} holds no results: leave --table out, or name the --out that has them")
    return results


@contextmanager
def results_to_change(path: Path, of: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """The rows as they are now, written back at the end with what they are ``of``, while no other call changes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known, results = _checked(path, of)
        known |= of or {}
        yield results
        write_json(path, {OF: known, **results} if known else results)


@contextmanager
def in_form(path: Path) -> Iterator[None]:
    """Refuse with ``click.ClickException`` the results at ``path`` where the block finds another form in them."""
    try:
        yield
    except FORM as error:
        raise click.ClickException(f"{path} has no results of this table: name another file") from error


Lines = list[list[str]]


def lines_to_show(
    path: Path, of: Mapping[str, Any], cells: Callable[[Any], Iterable[list[str]]], rows: Collection[str] = ()
) -> Lines:
    """The lines that ``cells`` makes of a file of results, of all rows or of ``rows``; there is at least one.

    A file without such a line, or with results of another form, is refused with ``click.ClickException``.
    """
    results = results_to_show(path, of)
    with in_form(path):
        lines = [line for line in cells(results) if not rows or line[0] in rows]
    if not lines:
        raise click.ClickException(f"{path} has no row to show: ask for others, or name another --out")
    return lines


def choose(results: Any, seeds: Collection[int], networks: Collection[str]) -> dict[str, dict[str, Any]]:
    """Of results by row and distillation seed those of ``seeds`` and ``networks`` alone; of all where none is named."""
    chosen: dict[str, dict[str, Any]] = {}
    for row, sets in results.items():
        for seed, one in sets.items():
            accuracy = {name: found for name, found in one["accuracy"].items() if not networks or name in networks}
            if accuracy and (not seeds or int(seed) in seeds):
                chosen.setdefault(row, {})[seed] = {**one, "accuracy": accuracy}
    return chosen


def spread(values: list[float]) -> str:
    """Mean and deviation in words; nothing of no values."""
    if not values:
        return ""
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def signed(values: list[float]) -> str:
    """Mean and deviation of differences; nothing of no values."""
    words = spread([round(value, 6) for value in values])
    return words if not words or words.startswith("-") else f"+{words}"


def whole(sets: Mapping[str, Any], networks: Collection[str]) -> set[str]:
    """The distillation seeds of those sets that all ``networks`` were trained on."""
    return {seed for seed, one in sets.items() if set(networks) <= set(one["accuracy"])}


def apart(
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    seeds: Iterable[str],
    networks: Collection[str],
    least: float = 0,
) -> list[float]:
    """By distillation seed: the mean over ``networks`` of our accuracies less theirs, of trainings from ``least`` on.

    A seed with a network that has no such training is left out.
    """

    def mean(sets: Mapping[str, Any], seed: str) -> float | None:
        kept = [[value for value in sets[seed]["accuracy"][name] if value >= least] for name in networks]
        return statistics.mean(map(statistics.mean, kept)) if all(kept) else None

    both = ((mean(ours, seed), mean(theirs, seed)) for seed in seeds)
    return [a - b for a, b in both if a is not None and b is not None]


def accuracy_cells(sets: Sequence[Mapping[str, Any]], networks: Iterable[str], others: Collection[str]) -> list[str]:
    """Of the ``accuracy`` of sets by network: a cell for each of ``networks``, and one of the mean over ``others``.

    Each is mean and deviation over all trainings; the last is over the sets that all of ``others`` were trained on.
    """
    by_network = [[value for one in sets for value in one["accuracy"].get(name, [])] for name in networks]
    on_all = [one["accuracy"] for one in sets if set(others) <= set(one["accuracy"])]
    cross = [statistics.mean(trained) for one in on_all for trained in zip(*(one[n] for n in others), strict=True)]
    return [*map(spread, by_network), spread(cross)]


def table_of(columns: Iterable[str], lines: Iterable[Iterable[str]]) -> Table:
    """A table of lines of cells."""
    table = Table(*columns)
    for line in lines:
        table.add_row(*line)
    return table
