"""Carrying out an evaluation: the cells that are missing, and what all of them say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any

from glad.data.augment import strategy_for
from glad.data.coresets import Labeled
from glad.evaluation import cost
from glad.evaluation.candidates import Candidate
from glad.evaluation.cells import compute
from glad.evaluation.conditions import Condition
from glad.evaluation.dd_ranking import Parts
from glad.evaluation.protocol import resolve_protocol
from glad.evaluation.resolve import ResolvedEvaluation
from glad.evaluation.results_store import Key, ResultsStore, key_of
from glad.evaluation.rows import BEFORE, ResultRow, set_id
from glad.evaluation.sizes import stored_sizes
from glad.evaluation.summary import Cell, differences, per_seed, summarize
from glad.evaluation.training import Job
from glad.runs import soft_labels
from glad.tasks.base import Engine
from glad.tasks.engines import open_engine

OnCell = Callable[[Cell, int], None]


def run_evaluation(evaluation: ResolvedEvaluation, on_cell: OnCell | None = None) -> dict[str, Any]:
    """Compute what is missing, writing each set's results after every cell; return the results.

    A part of an evaluation computes its share and returns what is there so far. ``on_cell`` is called with each new
    cell, the ``label`` of its row beside it, and the number of those that are left.
    """
    folder = evaluation.candidates[0].results.parent
    with open_engine(evaluation.config, folder, evaluation.device) as engine:
        return _run(evaluation, engine, on_cell)


def _run(evaluation: ResolvedEvaluation, engine: Engine, on_cell: OnCell | None) -> dict[str, Any]:
    config, versions = evaluation.config, evaluation.library_versions
    resolve = partial(strategy_for, evaluation.splits.train)
    store = ResultsStore(evaluation.candidates, evaluation.settings, config.part_numbers, resolve)
    _write_soft_labels(evaluation)
    conditions = evaluation.conditions.for_seed(config.seed_list[0])
    rows = {name: condition.row for name, condition in conditions.items()}
    keys = product(conditions, config.networks, config.seed_list)
    wanted = [key for key in keys if key[1] in conditions[key[0]].networks]
    share = wanted if config.part_numbers is None else wanted[config.part_numbers[0] - 1 :: config.part_numbers[1]]
    finished = {key: cell for key, cell in store.cells().items() if cell.get("library") == versions.get(key[1])}
    missing = [key for key in share if key not in finished]
    asked = {"config": config.to_dict(), "protocol_name": resolve_protocol(config.protocol)[0]}

    def cells(keys: Sequence[Key]) -> list[Cell]:
        return [finished[key] for key in keys if key in finished]

    for done, cell in enumerate(_compute_cells(evaluation, conditions, missing, engine), 1):
        finished[key_of(cell)] = cell
        store.write({**asked, "cells": cells(share)}, rows)
        if on_cell is not None:
            on_cell({**cell, "label": rows[cell["row"]].label}, len(missing) - done)
    results = {**asked, **_results(evaluation, rows, cells(wanted))}
    results["stored"] = stored_sizes(conditions, evaluation.candidates, evaluation.conditions.real_counts)
    absent = [c.name for c in evaluation.candidates if c.initial is None]
    if absent and BEFORE in config.baselines:
        results["without_before"] = absent
    if config.scores and all(key in finished for key in wanted):
        results["scores"] = {set_id(c.name): _scores(evaluation, c, cells(wanted)) for c in evaluation.candidates}
    if config.cost:
        results["cost"] = _costs(evaluation, conditions, cells(wanted), store.cost())
    store.write(results if config.part is None else {**asked, "cells": cells(share)}, rows)
    return {**results, "written": [str(store.path(candidate)) for candidate in evaluation.candidates]}


def _write_soft_labels(evaluation: ResolvedEvaluation) -> None:
    """Leave the labels of the teacher beside the sets of runs, from where exports take them."""
    teacher = evaluation.teacher
    for candidate in evaluation.candidates if teacher is not None and evaluation.config.soft else ():
        if teacher is not None and candidate.run is not None and candidate.soft_labels is None:
            soft_labels.write(candidate.run, candidate.images, teacher.label(candidate.images), teacher.settings)


def _job(evaluation: ResolvedEvaluation, conditions: Mapping[str, Condition], key: Key) -> Job:
    name, network, seed = key
    condition = conditions[name]
    rate = condition.protocol.learning_rate(network, evaluation.seen, condition.step_size)
    options = evaluation.options_of(network)
    stream = evaluation.conditions.stream(condition.row)
    return Job(name, network, seed, rate, condition.protocol, options, stream, condition.row.label)


def _compute_cells(
    evaluation: ResolvedEvaluation, conditions: Mapping[str, Condition], missing: Sequence[Key], engine: Engine
) -> Iterator[Cell]:
    """The cells of ``missing``, seed by seed, since baselines are drawn for each."""
    seeds, tested = evaluation.config.seed_list, evaluation.tested
    drawn: dict[int, Mapping[str, Condition]] = {seeds[0]: conditions}

    def data(job: Job) -> Labeled:
        if job.seed not in drawn:
            drawn.clear()
            drawn[job.seed] = evaluation.conditions.for_seed(job.seed)
        return drawn[job.seed][job.row].data

    place = {seed: number for number, seed in enumerate(seeds)}
    jobs = [_job(evaluation, conditions, key) for key in sorted(missing, key=lambda key: place[key[2]])]
    test = (tested.tensor(), tested.labels)
    return compute(jobs, data, test, len(tested.classes), evaluation.device, engine)


def _results(evaluation: ResolvedEvaluation, rows: Mapping[str, ResultRow], cells: list[Cell]) -> dict[str, Any]:
    """What ``json.dumps`` takes of the cells: means, deviations, and differences of the rows that tables show."""
    shown = [cell for cell in cells if rows[cell["row"]].shown]
    pairs = [(row.id, other) for row in rows.values() for other in row.against]
    config, seen = evaluation.config, evaluation.seen
    results: dict[str, Any] = {
        "protocol": evaluation.protocol.to_dict(),
        "network_options": evaluation.settings["network_options"],
        "networks": list(config.networks),
        "seen": seen,
        "seeds": config.seed_list,
        "rows": [row.to_dict() for row in rows.values()],
        "cells": cells,
        "summary": summarize(shown, seen),
        "split": config.split,
        "label_mode": config.label_mode,
        "differences": differences(shown, pairs, seen),
    }
    if libraries := {name: version for name, version in evaluation.library_versions.items() if version}:
        results["libraries"] = libraries
    if evaluation.teacher is not None:
        results["teacher"] = {**evaluation.teacher.settings, "validation_accuracy": evaluation.teacher.accuracy}
    if own := [c.name for c in evaluation.candidates if c.soft_labels is not None and config.soft]:
        results["own_labels"] = own
    return results


def _mean(cells: list[Cell], row: str, seen: str) -> float:
    """The mean accuracy, over seeds, of the seen architecture on the row."""
    values = per_seed(cells, row, seen).seen.values()
    return sum(values) / len(values)


def _scores(evaluation: ResolvedEvaluation, candidate: Candidate, cells: list[Cell]) -> dict[str, Any]:
    rows = evaluation.conditions.score_rows(candidate)
    return Parts(**{part: _mean(cells, row.id, evaluation.seen) for part, row in rows.items()}).to_dict()


def _costs(
    evaluation: ResolvedEvaluation,
    conditions: Mapping[str, Condition],
    cells: list[Cell],
    earlier: Mapping[str, Any],
) -> dict[str, Any]:
    """What reaching a share of the full data's accuracy takes, by row; measured once, with the first seed."""
    full_id, network, tested = evaluation.conditions.full_row.id, evaluation.seen, evaluation.tested
    seed, reach = evaluation.config.seed_list[0], evaluation.config.reach
    target = reach * _mean(cells, full_id, network)
    known = {"seed": seed, "target": target, "reach": reach, "network": network}
    test = (tested.tensor().to(evaluation.device), tested.labels.to(evaluation.device))

    def measure(row: str) -> cost.TrainingCost:
        before = earlier.get(row, {})
        if all(before.get(key) == value for key, value in known.items()):
            return cost.TrainingCost(**before["training"])
        job = _job(evaluation, conditions, (row, network, seed))
        return cost.train_until(job, conditions[row].data, test, len(tested.classes), target)

    full = measure(full_id)
    found: dict[str, Any] = {full_id: {**known, "training": asdict(full)}}
    for candidate in evaluation.candidates:
        row = set_id(candidate.name)
        found[row] = {**known, **cost.entry_of(measure(row), full, candidate.seconds)}
    return found
