"""What ``results.json`` of a run says, evaluation by evaluation."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glad.evaluation import ResultRow, rows_of, summarize
from glad.evaluation.results_store import read_results
from glad.runs.folder import Run
from glad.runs.storage import RunError


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Inside the block everything that JSON of another form can raise becomes a ``RunError``."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{path} is not of a form that this version reads ({reason}): make it anew") from error


@dataclass(frozen=True)
class Accuracies:
    """Accuracies, or macro accuracies, of a row as ``glad.evaluation.summarize`` gives them."""

    seen: Mapping[str, Any] | None = None
    cross: Mapping[str, Any] | None = None
    networks: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RowAccuracies(Accuracies):
    """One row of a table: what was trained on, and the accuracies.

    ``id`` is the row's in the file; ``row`` has the name that the report gives the run for its owner. ``macro`` has
    none in files of earlier versions whose cells have no accuracies by class.
    """

    id: str
    row: ResultRow
    macro: Accuracies = Accuracies()


@dataclass(frozen=True)
class RunResults:
    """One evaluation: the rows, how they were measured, and whether it came to its end.

    ``networks`` begins with the seen architecture, ``seen``, if it was trained. ``labels`` has the labels of all rows
    by id, those without accuracies too. ``config`` is what was asked for, ``settings`` what cells depend on.
    """

    rows: tuple[RowAccuracies, ...]
    labels: Mapping[str, str]
    seen: str
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    complete: bool
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    cells: tuple[Mapping[str, Any], ...]
    content: Mapping[str, Any]

    def row(self, kind: str) -> RowAccuracies | None:
        """The first row of a kind."""
        return next((found for found in self.rows if found.row.kind == kind), None)

    @property
    def split(self) -> str:
        """The images that were tested on."""
        return str(self.settings["split"])

    @property
    def epochs(self) -> int | None:
        """Of a training."""
        epochs: int | None = self.settings["protocol"].get("epochs")
        return epochs

    @property
    def comparable(self) -> str:
        """Equal for results that belong in one table: of the same settings, networks and seeds."""
        shared = {key: value for key, value in self.settings.items() if key != "sets"}
        return json.dumps([shared, self.networks, self.seeds], sort_keys=True)


def read_run_results(run: Run, network: str | None, label: str) -> tuple[RunResults, ...]:
    """The evaluations of a run, the last one first; of one that goes on, what its finished cells say.

    ``network`` is what the run distilled with, ``label`` what the report calls the run. ``RunError`` for a file that
    is damaged.
    """
    path = run.path / "results.json"
    if not path.exists():
        return ()
    with explain_damage(path):
        return tuple(_results(content, run, label) for content in read_results(path, network) if content["cells"])


def _results(content: Mapping[str, Any], run: Run, label: str) -> RunResults:
    cells, settings = content["cells"], content["settings"]
    seen = settings["seen"]
    own = {run.name, *settings["sets"]}  # the folder may have been renamed since
    rows = {name: replace(row, owner=label) if row.owner in own else row for name, row in rows_of(content).items()}
    summary = content.get("summary") or summarize([cell for cell in cells if rows[cell["row"]].shown], seen)
    trained = list(dict.fromkeys(cell["network"] for cell in cells))
    return RunResults(
        rows=tuple(_row(name, rows[name], entry) for name, entry in summary.items()),
        labels={name: row.label for name, row in rows.items()},
        seen=seen,
        networks=tuple(sorted(trained, key=lambda name: name != seen)),
        seeds=tuple(sorted({int(cell["seed"]) for cell in cells})),
        complete="summary" in content,
        config=content["config"],
        settings=settings,
        cells=tuple(cells),
        content=content,
    )


def _row(name: str, row: ResultRow, entry: Mapping[str, Any]) -> RowAccuracies:
    macro = Accuracies(**_statistics(entry["macro"])) if "macro" in entry else Accuracies()
    return RowAccuracies(id=name, row=row, macro=macro, **_statistics(entry))


def _statistics(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "seen": _statistic(entry["seen"]),
        "cross": _statistic(entry["cross"]),
        "networks": {network: _statistic(values) for network, values in entry["networks"].items()},
    }


def _statistic(entry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if entry is None:
        return None
    std = entry["std"]
    return {"mean": float(entry["mean"]), "std": None if std is None else float(std), "n": int(entry["n"])}
