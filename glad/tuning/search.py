"""A search for the knobs that train networks best: TPE proposes, successive halving stops what is bad early.

Every trial climbs the same rungs, numbers of iterations. It goes on from one only if it is among the best half of all
trials that came there so far: successive halving (Jamieson & Talwalkar, AISTATS 2016) without waiting for a whole
bracket, as ASHA does (Li et al., MLSys 2020). Optuna has a pruner of this kind, but what that decides depends on what a
killed process had noted; here it is a function of the accuracies of earlier trials, as each proposal is one of the seed
and of earlier trials. So a search that was cut goes on as if it had not been.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from glad.distillation import DistillationError
from glad.rng import rng_for
from glad.runs.storage import RunError
from glad.tasks.base import Engine
from glad.tasks.order import TaskKind
from glad.tasks.processes import InProcess
from glad.tuning.knobs import SearchSpace, Values
from glad.tuning.measuring import Measure, Measuring, describe, measure_again, measure_timed

MOST_FAILURES = 10  # in a row: then it is not the knobs
FRESH = 3  # seeds that no trial saw, for the last comparison
FINALISTS = 2  # beside the default settings
STARTUP = 6  # trials drawn at random before TPE has enough to go by
KEEP = 2  # of so many trials one goes on
STUDY = "glad tune"


@dataclass(frozen=True)
class Trial:
    """A trial: how far it came, what it reached after so many iterations, and with fresh seeds."""

    number: int
    state: str
    """``finished``, ``stopped``, ``failed`` or ``unfinished``."""
    values: Values
    accuracies: Mapping[int, float]
    seconds: float
    reason: str = ""
    fresh: float | None = None

    @property
    def accuracy(self) -> float | None:
        """The last accuracy, if there is one."""
        return self.accuracies[max(self.accuracies)] if self.accuracies else None


def load_optuna() -> Any:
    """Optuna, quiet; ``RunError`` that says how to get it."""
    try:
        import optuna
    except ImportError as error:
        raise RunError("tuning needs optuna: pip install 'glad-distill[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path, about: Mapping[str, Any]) -> Any:
    """The study in ``folder``, made or found; ``RunError`` naming what differs from what was asked there before."""
    optuna = load_optuna()
    import sqlalchemy.exc
    import sqlalchemy.pool

    folder.mkdir(parents=True, exist_ok=True)
    path, about = folder / "study.db", json.loads(json.dumps(about))  # as it comes back
    try:
        # Without a pool every connection is closed when it has been used, so that none outlives the search.
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path.absolute()}", engine_kwargs={"poolclass": sqlalchemy.pool.NullPool}
        )
        study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True)
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise RunError(f"{path} cannot be used ({cause}): choose another folder with --out") from error
    before = study.user_attrs.get("about")
    if before is None:
        study.set_user_attr("about", about)
    elif different := [
        f"{key} {before.get(key)!r} there, {about.get(key)!r} now"
        for key in sorted(before.keys() | about.keys())
        if before.get(key) != about.get(key)
    ]:
        raise RunError(f"{folder} holds another search ({'; '.join(different)}): choose another folder with --out")
    return study


def goes_on(value: float, others: Sequence[float]) -> bool:
    """Whether ``value`` is among the best half of itself and the ``others``, of which one is always kept."""
    better = sum(other > value for other in others)
    return better < max(1, (len(others) + 1) // KEEP)


class Search:
    """Trials of ``space`` on ``rungs``, numbers of iterations in rising order, kept in ``study`` and ``folder``.

    ``measure`` gives accuracies, as tasks of ``engine``; every rung is evaluated with ``seeds`` seeds of networks.
    ``width`` trials are proposed together, from those before them, and measured at once: what a search finds depends on
    it, and not on which of them is done first. ``on_rung`` is called when a trial has come a rung further,
    ``on_trial`` when one has ended.
    """

    def __init__(
        self,
        study: Any,
        space: SearchSpace,
        measure: Measure,
        rungs: Sequence[int],
        folder: Path,
        *,
        seed: int = 0,
        seeds: int = 1,
        on_rung: Callable[["Search", Trial], None] = lambda search, row: None,
        on_trial: Callable[["Search"], None] = lambda search: None,
        clock: Callable[[], float] = time.monotonic,
        engine: Engine | None = None,
        width: int = 1,
    ) -> None:
        self.study, self.space, self.measure = study, space, measure
        self.rungs, self.folder, self.seed, self.seeds = list(rungs), folder, seed, seeds
        self.on_rung, self.on_trial, self.clock = on_rung, on_trial, clock
        self.engine, self.width = engine or InProcess(), width
        self.optuna = load_optuna()

    def rows(self) -> list[Trial]:
        """All trials so far."""
        fresh = self.study.user_attrs.get("fresh", {})
        states = {"COMPLETE": "finished", "PRUNED": "stopped", "FAIL": "failed"}
        return [
            Trial(
                trial.number,
                states.get(trial.state.name, "unfinished"),
                dict(trial.params),
                dict(sorted(trial.intermediate_values.items())),
                sum(trial.user_attrs.get("seconds", {}).values()),
                trial.user_attrs.get("reason", ""),
                fresh.get(str(trial.number)),
            )
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.name != "WAITING"
        ]

    def spent(self) -> float:
        """Seconds in all measurements so far, those of earlier processes included."""
        return sum(row.seconds for row in self.rows())

    def run(self, minutes: float | None = None, trials: int | None = None) -> None:
        """Go on until ``minutes`` of measuring are over or ``trials`` have ended, those of earlier calls included.

        A trial that no time is left for stays unfinished; the next call begins with it. Raises ``DistillationError``
        when trial after trial fails.
        """
        while wave := self._next(minutes, trials):
            if not self._climb(wave, minutes):
                return
            self.on_trial(self)
            failed = [row for row in self.rows()[-MOST_FAILURES:] if row.state == "failed"]
            if len(failed) == MOST_FAILURES:
                raise DistillationError(f"{MOST_FAILURES} trials failed in a row, the last: {failed[-1].reason}")

    def _next(self, minutes: float | None, trials: int | None) -> list[Any]:
        """The trials that were cut, and new ones up to a whole wave; none when there is no budget for them."""
        running = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,))
        wave = [self.optuna.trial.Trial(self.study, found._trial_id) for found in running]
        while not wave or len(self.rows()) % self.width:
            count = len(self.rows())
            if (trials is not None and count >= trials) or not self._fits(minutes, 0):
                break
            self.study.sampler = self._sampler(count)
            if count == 0:
                self.study.enqueue_trial(self.space.default(), skip_if_exists=True)
            trial = self.study.ask()
            self.space.suggest(trial)  # before any of the wave is measured
            wave.append(trial)
        return wave

    def _sampler(self, number: int) -> Any:
        """TPE that draws by seed and trial alone."""
        seed = int(torch.randint(2**31, (), generator=rng_for(self.seed, "tune", number)))
        return self.optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP, multivariate=False, constant_liar=False
        )

    def _fits(self, minutes: float | None, rung: int) -> bool:
        """Whether there is time for a rung, going by the first trial's where that is known."""
        if minutes is None:
            return True
        expected = self.pace()[rung] if rung < len(self.pace()) else 0.0
        return 0 < 60 * minutes - self.spent() >= expected

    def pace(self) -> list[float]:
        """Seconds of the first trial's rungs, as far as it came."""
        found = self.study.get_trials(deepcopy=False)[:1]
        seconds = found[0].user_attrs.get("seconds", {}) if found else {}
        return [seconds[str(rung)] for rung in self.rungs if str(rung) in seconds]

    def trial_folder(self, number: int) -> Path:
        """Where a trial's run lies."""
        return self.folder / "trials" / f"{number:03d}"

    def _climb(self, wave: Sequence[Any], minutes: float | None) -> bool:
        """Take trials from rung to rung, side by side: False when no time is left for the next."""
        values = {}
        for trial in wave:  # of one that was cut, what it had
            self.study.sampler = self._sampler(trial.number)
            values[trial.number] = self.space.suggest(trial)
        left = list(wave)
        for rung, iterations in enumerate(self.rungs):
            rows = self.rows()
            missing = [trial for trial in left if iterations not in rows[trial.number].accuracies]
            if missing and not self._fits(minutes, rung):
                return False
            failed = self._measure(missing, values, iterations)
            left = [trial for trial in left if trial.number not in failed and self._goes_on(trial, iterations)]
        return True

    def _goes_on(self, trial: Any, iterations: int) -> bool:
        """Whether a trial climbs on after ``iterations``; one that does not is finished or stopped."""
        rows = self.rows()
        found = rows[trial.number].accuracies[iterations]
        others = [row.accuracies[iterations] for row in rows[: trial.number] if iterations in row.accuracies]
        last, going = iterations == self.rungs[-1], True
        if last:
            self.study.tell(trial, found)
        elif trial.number and not goes_on(found, others):
            shutil.rmtree(self.trial_folder(trial.number), ignore_errors=True)  # nothing will go on from it
            self.study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)
            going = False
        self.on_rung(self, self.rows()[trial.number])
        return going and not last

    def _measure(self, trials: Sequence[Any], values: Mapping[int, Values], iterations: int) -> set[int]:
        """Note the accuracies after ``iterations``; the numbers of trials that failed, noted with the reason."""
        keys = [(values[t.number], iterations, self.trial_folder(t.number), range(self.seeds)) for t in trials]
        failed = set()
        for position, found in self.engine.run(self._work(measure_timed), keys):
            trial = trials[position]
            trial.set_user_attr("seconds", {**trial.user_attrs.get("seconds", {}), str(iterations): found.seconds})
            if not found.reason:
                trial.report(found.accuracy, iterations)
                continue
            failed.add(trial.number)
            trial.set_user_attr("reason", found.reason)
            self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
            self.on_rung(self, self.rows()[trial.number])
        return failed

    def _work(self, function: Callable[..., Any]) -> TaskKind:
        """Tasks that measure a trial."""
        reopen = partial(Measuring, self.measure)
        return TaskKind(function, describe, Measuring(self.measure, self.clock), reopen)

    def compare(self) -> None:
        """Evaluate the best trials and the default settings once more, by networks with seeds that none of them saw.

        The best of many accuracies is partly luck, and this luck is not fresh seeds'.
        """
        fresh = dict(self.study.user_attrs.get("fresh", {}))
        seeds = range(self.seeds, self.seeds + FRESH)
        rows = [row for row in finalists(self.rows()) if str(row.number) not in fresh]
        keys = [(row.values, self.rungs[-1], self.trial_folder(row.number), seeds) for row in rows]
        for position, accuracy in self.engine.run(self._work(measure_again), keys):
            fresh[str(rows[position].number)] = accuracy
            self.study.set_user_attr("fresh", fresh)


def finalists(rows: Sequence[Trial]) -> list[Trial]:
    """The default settings and the best others of those that finished."""
    finished = sorted((row for row in rows if row.state == "finished"), key=lambda row: -(row.accuracy or 0))
    return [row for row in finished if not row.number] + [row for row in finished if row.number][:FINALISTS]


def best_of(rows: Sequence[Trial]) -> Trial | None:
    """The best finished trial: by fresh seeds where they are known, the default settings where nothing beats them."""
    known = [row for row in finalists(rows) if row.fresh is not None]
    if known:
        return max(known, key=lambda row: (row.fresh or 0.0, -row.number))
    return max(finalists(rows), key=lambda row: (row.accuracy or 0.0, -row.number), default=None)
