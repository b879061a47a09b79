"""The search: what it finds, when it stops a trial, and how it goes on after a cut."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from errors import naming
from tuning_cases import LAYERS, RUNGS, SPACE, StandIn, known, search

from glad.distillation import DistillationError
from glad.runs.storage import RunError
from glad.tasks.order import TaskKind
from glad.tasks.processes import InProcess
from glad.tuning.knobs import Knob, SearchSpace
from glad.tuning.picture import draw, importances
from glad.tuning.report import verdict
from glad.tuning.search import MOST_FAILURES, Trial, best_of, goes_on, open_study
from glad.tuning.tuner import rungs_of


def test_a_known_optimum_is_found_and_beats_the_default(tmp_path: Path) -> None:
    found = search(StandIn(), tmp_path)
    found.run(trials=25)
    rows = found.rows()
    best = best_of(rows)
    assert best is not None and best.number and rows[0].values == {"layer": None, "lr.w": 1.0}
    default, most = known(dict(rows[0].values), 100), 0.8
    assert best.accuracy == known(dict(best.values), 100)
    assert best.accuracy > default + 0.75 * (most - default)
    assert "lr.f" in best.values and best.values["layer"] == 3


def test_a_seed_gives_one_search(tmp_path: Path) -> None:
    def rows(seed: int) -> list[Trial]:
        found = search(StandIn(), tmp_path, seed=seed)
        found.run(trials=12)
        return found.rows()

    assert rows(0) == rows(0)
    assert rows(0)[1:] != rows(1)[1:]


def test_the_better_half_goes_on() -> None:
    def slow(value: float, others: list[float]) -> bool:
        kept = sorted([*others, value], reverse=True)[: max(1, (len(others) + 1) // 2)]
        return value >= kept[-1]

    rng = np.random.default_rng(0)
    cases = [(float(rng.integers(6)), [float(x) for x in rng.integers(6, size=n)]) for n in range(12) for _ in range(9)]
    assert [goes_on(value, others) for value, others in cases] == [slow(value, others) for value, others in cases]
    assert goes_on(0.0, []) and not goes_on(0.1, [0.2])


def test_bad_trials_are_stopped_early(tmp_path: Path) -> None:
    measure = StandIn()
    found = search(measure, tmp_path)
    found.run(trials=16)
    rows = found.rows()
    climbed = {row.number: [rung for number, rung, _ in measure.asked if number == row.number] for row in rows}
    assert len(measure.asked) < 0.85 * 16 * len(RUNGS)
    worst = min(rows[1:], key=lambda row: row.accuracies[25])
    assert worst.state == "stopped" and climbed[worst.number] == [25]
    assert climbed[0] == RUNGS  # the default is never stopped
    assert all(climbed[row.number] == RUNGS for row in rows if row.state == "finished")


@pytest.mark.parametrize("width", [1, 2])
def test_a_search_that_was_cut_goes_on_as_if_it_had_not_been(tmp_path: Path, width: int) -> None:
    whole = StandIn()
    search(whole, tmp_path / "whole", open_study(tmp_path / "whole", {}), width=width).run(trials=5)
    cut, asked = tmp_path / "cut", []
    for _ in range(len(whole.asked)):  # a process that measures two rungs and is killed in the third
        measure = StandIn(interrupt_at=2)
        found = search(measure, cut, open_study(cut, {}), width=width)
        with contextlib.suppress(KeyboardInterrupt):
            found.run(trials=5)
        asked += measure.asked
        if not measure.asked:
            break
    assert asked == whole.asked  # nothing twice, nothing else
    uncut = search(whole, tmp_path / "whole", open_study(tmp_path / "whole", {}), width=width)
    assert found.rows() == uncut.rows()


class Backwards(InProcess):
    """Tasks that are done in another order than they were given out."""

    def run(self, work: TaskKind, keys: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        last = len(keys) - 1
        yield from ((last - position, value) for position, value in super().run(work, keys[::-1]))


def test_trials_at_once_depend_on_their_number_and_not_on_their_order(tmp_path: Path) -> None:
    rows = {}
    for name, options in {"one": {}, "three": {"width": 3}, "back": {"width": 3, "engine": Backwards()}}.items():
        found = search(StandIn(), tmp_path / name, seed=4, **options)
        found.run(trials=12)
        found.compare()
        rows[name] = [replace(row, seconds=0) for row in found.rows()]
    assert rows["three"] == rows["back"] and len(rows["three"]) == 12
    drawn = range(6)  # at random, before TPE has enough to go by
    assert [rows["three"][n] for n in drawn] == [replace(rows["one"][n], fresh=rows["three"][n].fresh) for n in drawn]
    assert any(row.state == "stopped" for row in rows["three"]) and rows["three"] != rows["one"]


def test_another_search_is_not_continued(tmp_path: Path) -> None:
    open_study(tmp_path, {"epochs": 3, "networks": ("a", "b")})
    open_study(tmp_path, {"epochs": 3, "networks": ("a", "b")})
    with pytest.raises(RunError, match=r"another search \(epochs 3 there, 4 now\)"):
        open_study(tmp_path, {"epochs": 4, "networks": ("a", "b")})
    (tmp_path / "study.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(RunError, match=naming("study.db")):
        open_study(tmp_path, {})


def test_minutes_are_kept_to_and_a_trial_waits_for_more(tmp_path: Path) -> None:
    measure = StandIn(seconds=30)
    found = search(measure, tmp_path)
    found.run(minutes=1)
    assert len(measure.asked) == 2 and [row.state for row in found.rows()] == ["unfinished"]
    found.run(minutes=3)
    assert len(measure.asked) == 6 and found.spent() == 180  # the last half minute was enough for a rung
    found.run(minutes=3.4)
    assert len(measure.asked) == 6  # for which the rest is not
    found.run(minutes=1000, trials=4)
    assert len(found.rows()) == 4


def test_what_diverges_is_a_failed_trial(tmp_path: Path) -> None:
    def measure(values: Any, iterations: int, folder: Path, seeds: Any) -> float:
        if values["layer"] in (1, 5):
            raise DistillationError("iteration 3: term 0 of the\nobjective is not finite")
        return known(values, iterations)

    stated: list[str] = []
    found = search(measure, tmp_path, on_rung=lambda search, row: stated.append(row.state))
    found.run(trials=16)
    failed = [row for row in found.rows() if row.state == "failed"]
    assert failed and all(row.reason == "iteration 3: term 0 of the objective is not finite" for row in failed)
    assert any(row.state == "finished" for row in found.rows()[1:])
    assert stated.count("failed") == len(failed)

    def broken(values: Any, iterations: int, folder: Path, seeds: Any) -> float:
        raise DistillationError("never finite")

    with pytest.raises(DistillationError, match=naming(f"{MOST_FAILURES} never")):
        search(broken, tmp_path).run(trials=50)


def test_a_lucky_trial_does_not_replace_the_default(tmp_path: Path) -> None:
    """Accuracies that are luck alone: with fresh seeds the default is as good as any, and stays."""
    asked: list[tuple[int, ...]] = []

    def measure(values: Any, iterations: int, folder: Path, seeds: Any) -> float:
        asked.append(tuple(seeds))
        return 0.3 + int(folder.name) / 100 if 0 in seeds else 0.4 - int(folder.name) / 1000

    found = search(measure, tmp_path)
    found.run(trials=5)
    lucky = best_of(found.rows())
    assert lucky is not None and lucky.number == 4
    found.compare()
    assert asked[-3:] == [(1, 2, 3)] * 3 and (1, 2, 3) not in asked[:-3]
    best = best_of(found.rows())
    assert best is not None and best.number == 0
    assert "Nothing beat the default" in verdict(found.rows(), best)
    found.compare()
    assert asked.count((1, 2, 3)) == 3  # kept


def test_the_picture_shows_which_knob_mattered(tmp_path: Path) -> None:
    space = SearchSpace(
        SPACE.settings,
        (Knob("lr.w", 1.0, (), 1 / 30, 30.0, log=True), Knob("lr.z", 1.0, (), 1 / 30, 30.0, log=True)),
        {},
    )
    rng = np.random.default_rng(0)
    values = [{"lr.w": float(a), "lr.z": float(b)} for a, b in 10 ** rng.uniform(-1.4, 1.4, (40, 2))]
    rows = [Trial(i, "finished", v, {25: -(math.log10(v["lr.w"]) ** 2)}, 0.0) for i, v in enumerate(values)]
    shares = importances(space, rows, 25)
    assert shares["lr.w"] is not None and shares["lr.w"] > 0.8  # best in the middle: a correlation would be 0
    assert shares["lr.z"] is not None and shares["lr.z"] < 0.2
    assert importances(space, rows[:4], 25) == {"lr.w": None, "lr.z": None}
    layered = [Trial(i, "stopped", {"layer": LAYERS[i % 4]}, {25: float(i % 4 == 2)}, 0.0) for i in range(12)]
    only = SearchSpace(SPACE.settings, SPACE.knobs[:1], SPACE.rates)
    assert importances(only, layered, 25) == {"layer": pytest.approx(1.0)}
    figure = draw(only, layered, layered[2], 25)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["W+", "F_1", "F_3", "F_5"]
    assert {"default", "best", "stopped"} == {text.get_text() for text in figure.axes[0].get_legend().get_texts()}


def test_rungs_are_a_quarter_a_half_and_all() -> None:
    assert rungs_of(100) == [25, 50, 100] and rungs_of(3) == [1, 3] and rungs_of(1) == [1]
