"""Carrying out an evaluation: the cells that are missing, and what all of them say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from glad.data.coresets import Labelled
from glad.evaluation import cost
from glad.evaluation.candidates import Candidate
from glad.evaluation.conditions import PART, Row, pairs
from glad.evaluation.config import EvaluationConfig
from glad.evaluation.dd_ranking import Parts
from glad.evaluation.protocol import Cell
from glad.evaluation.results_store import Key, ResultsStore, key_of
from glad.evaluation.summary import differences, per_seed, summarize
from glad.evaluation.workers import Job, compute
from glad.runs import soft_labels

Rows = Mapping[str, Row]


def hold(trial: EvaluationConfig, on_cell: Callable[[Cell, int], None] | None = None) -> dict[str, Any]:
    """Compute what is missing, writing each set's results after every cell; return the results.

    A part of an evaluation computes its share and returns what is there so far.
    """
    conditions, ledger = trial.conditions, ResultsStore(trial.candidates, trial.settings, trial.part)
    _write_soft_labels(trial)
    rows = conditions.rows(trial.seeds[0])
    owners = {name: row.owner for name, row in rows.items()}
    wanted = [key for key in product(rows, trial.networks, trial.seeds) if key[1] in rows[key[0]].networks]
    share = wanted if trial.part is None else wanted[trial.part[0] - 1 :: trial.part[1]]
    finished = ledger.cells()
    missing = [key for key in share if key not in finished]

    def cells(keys: Sequence[Key]) -> list[Cell]:
        return [finished[key] for key in keys if key in finished]

    for done, cell in enumerate(_computed(trial, rows, missing), 1):
        finished[key_of(cell)] = cell
        ledger.write({"cells": cells(share)}, owners)
        if on_cell is not None:
            on_cell(cell, len(missing) - done)
    results = _results(trial, rows, cells(wanted))
    if trial.scores and all(key in finished for key in wanted):
        results["scores"] = {candidate.name: _scores(trial, candidate, cells(wanted)) for candidate in trial.candidates}
    if trial.cost:
        results["cost"] = _costs(trial, rows, cells(wanted), ledger.cost())
    ledger.write(results if trial.part is None else {"cells": cells(share)}, owners)
    return {**results, "written": [str(ledger.path(candidate)) for candidate in trial.candidates]}


def _write_soft_labels(trial: EvaluationConfig) -> None:
    """Leave the labels of the teacher beside the sets of runs, from where exports take them."""
    teacher = trial.teacher
    for candidate in trial.candidates if teacher is not None and trial.recipe == "soft" else ():
        if teacher is not None and candidate.run is not None and candidate.soft_labels is None:
            soft_labels.write(candidate.run, candidate.images, teacher.label(candidate.images), teacher.settings)


def _job(trial: EvaluationConfig, rows: Rows, key: Key) -> Job:
    name, network, seed = key
    row = rows[name]
    lr = row.protocol.lr(network, trial.same, row.learned_lr)
    cell = {"set": name, "network": network, "seed": seed, "lr": lr}
    return Job(cell, row.protocol, trial.network_options.get(network, {}))


def _computed(trial: EvaluationConfig, rows: Rows, missing: Sequence[Key]) -> Any:
    """The cells of ``missing``, seed by seed, since baselines are drawn for each."""
    drawn: dict[int, Rows] = {trial.seeds[0]: rows}

    def data(job: Job) -> Labelled:
        name, _, seed = job.key
        if seed not in drawn:
            drawn.clear()
            drawn[seed] = trial.conditions.rows(seed)
        return drawn[seed][name].data

    place = {seed: number for number, seed in enumerate(trial.seeds)}
    jobs = [_job(trial, rows, key) for key in sorted(missing, key=lambda key: place[key[2]])]
    test = (trial.tested.tensor(), trial.tested.labels)
    return compute(jobs, data, test, len(trial.tested.classes), trial.device, trial.workers)


def _results(trial: EvaluationConfig, rows: Rows, cells: list[Cell]) -> dict[str, Any]:
    """What ``json.dumps`` takes of the cells: means, deviations, and differences of the rows that tables show."""
    shown = [cell for cell in cells if rows[cell["set"]].kind != PART]
    results: dict[str, Any] = {
        "protocol": asdict(trial.protocol),
        "network_options": trial.network_options,
        "networks": trial.networks,
        "same": trial.same,
        "seeds": trial.seeds,
        "cells": cells,
        "summary": summarize(shown, trial.same),
        "split": trial.split,
        "recipe": trial.recipe,
        "differences": differences(shown, pairs(rows), trial.same),
    }
    if trial.teacher is not None:
        results["teacher"] = {**trial.teacher.settings, "validation_accuracy": trial.teacher.accuracy}
    if own := [e.name for e in trial.candidates if e.soft_labels is not None and trial.recipe == "soft"]:
        results["own_labels"] = own
    return results


def _mean(trial: EvaluationConfig, cells: list[Cell], name: str) -> float:
    """The mean accuracy, over seeds, of the network distilled with on the row ``name``."""
    values = per_seed(cells, name, trial.same).same.values()
    return sum(values) / len(values)


def _scores(trial: EvaluationConfig, candidate: Candidate, cells: list[Cell]) -> dict[str, Any]:
    rows = trial.conditions.score_rows(candidate)
    return Parts(**{part: _mean(trial, cells, name) for part, name in rows.items()}).to_dict()


def _costs(trial: EvaluationConfig, rows: Rows, cells: list[Cell], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """What reaching a share of the full data's accuracy takes, by set; measured once, with the first seed."""
    full_name, network = trial.conditions.full_name, trial.same
    target = trial.reach * _mean(trial, cells, full_name)
    goal = {"target": target, "reach": trial.reach, "network": network}
    known = {"seed": trial.seeds[0], **goal}
    test = (trial.tested.tensor().to(trial.device), trial.tested.labels.to(trial.device))

    def race(name: str) -> cost.Race:
        before = earlier.get(name, {})
        if all(before.get(key) == value for key, value in known.items()):
            return cost.Race(**before["race"])
        job = _job(trial, rows, (name, network, trial.seeds[0]))
        return cost.race(job.cell, rows[name].data, test, len(trial.tested.classes), job.protocol, job.options, target)

    full = race(full_name)
    found: dict[str, Any] = {full_name: {**known, "race": asdict(full)}}
    for candidate in trial.candidates:
        found[candidate.name] = {
            **known,
            **cost.entry(candidate.name, race(candidate.name), full, candidate.seconds, **goal),
        }
    return found
