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
from pathlib import Path
from typing import Any

import torch

from glad.distillation import DistillationError
from glad.rng import rng_for
from glad.runs.storage import RunError
from glad.tuning.knobs import SearchSpace, Values

Measure = Callable[[Values, int, Path, Sequence[int]], float]
"""The accuracy of knobs' values after some iterations in a folder, as networks with some seeds find it."""
FAILURES = (DistillationError, torch.OutOfMemoryError, MemoryError)
"""What ends a trial and not the search: it diverged, or took more memory than there is."""
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

    ``measure`` gives accuracies; every rung is evaluated with ``seeds`` seeds of networks. ``on_rung`` is called
    when a trial has come a rung further, ``on_trial`` when one has ended.
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
    ) -> None:
        self.study, self.space, self.measure = study, space, measure
        self.rungs, self.folder, self.seed, self.seeds = list(rungs), folder, seed, seeds
        self.on_rung, self.on_trial, self.clock = on_rung, on_trial, clock
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
        while (trial := self._next(minutes, trials)) is not None:
            if not self._climb(trial, minutes):
                return
            self.on_trial(self)
            failed = [row for row in self.rows()[-MOST_FAILURES:] if row.state == "failed"]
            if len(failed) == MOST_FAILURES:
                raise DistillationError(f"{MOST_FAILURES} trials failed in a row, the last: {failed[-1].reason}")

    def _next(self, minutes: float | None, trials: int | None) -> Any:
        """The trial that was cut, else a new one, else None when there is no budget for it."""
        running = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,))
        if running:
            self.study.sampler = self._sampler(running[0].number)
            return self.optuna.trial.Trial(self.study, running[0]._trial_id)
        count = len(self.rows())
        self.study.sampler = self._sampler(count)
        if (trials is not None and count >= trials) or not self._fits(minutes, 0):
            return None
        if count == 0:
            self.study.enqueue_trial(self.space.default(), skip_if_exists=True)
        return self.study.ask()

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

    def _climb(self, trial: Any, minutes: float | None) -> bool:
        """Take a trial from rung to rung: False when no time is left for the next."""
        values = self.space.suggest(trial)  # of a trial that was cut, what it had
        for rung, iterations in enumerate(self.rungs):
            known = self.rows()[trial.number].accuracies
            if iterations not in known:
                if not self._fits(minutes, rung):
                    return False
                if not self._measure(trial, values, iterations):
                    return True
                known = self.rows()[trial.number].accuracies
            others = [row.accuracies[iterations] for row in self.rows()[: trial.number] if iterations in row.accuracies]
            if iterations == self.rungs[-1]:
                self.study.tell(trial, known[iterations])
            elif trial.number and not goes_on(known[iterations], others):
                shutil.rmtree(self.trial_folder(trial.number), ignore_errors=True)  # nothing will go on from it
                self.study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)
                self.on_rung(self, self.rows()[trial.number])
                return True
            self.on_rung(self, self.rows()[trial.number])
        return True

    def _measure(self, trial: Any, values: Values, iterations: int) -> bool:
        """Note the accuracy after ``iterations``: False when the trial failed, which is noted with its reason."""
        began, failed, accuracy = self.clock(), "", 0.0
        try:
            accuracy = self.measure(values, iterations, self.trial_folder(trial.number), range(self.seeds))
        except FAILURES as error:
            failed = " ".join((str(error) or type(error).__name__).split())
        seconds = {**trial.user_attrs.get("seconds", {}), str(iterations): self.clock() - began}
        trial.set_user_attr("seconds", seconds)
        if not failed:
            trial.report(accuracy, iterations)
            return True
        trial.set_user_attr("reason", failed)
        self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        self.on_rung(self, self.rows()[trial.number])
        return False

    def compare(self) -> None:
        """Evaluate the best trials and the default settings once more, by networks with seeds that none of them saw.

        The best of many accuracies is partly luck, and this luck is not fresh seeds'.
        """
        fresh = dict(self.study.user_attrs.get("fresh", {}))
        seeds = range(self.seeds, self.seeds + FRESH)
        for row in finalists(self.rows()):
            if str(row.number) not in fresh:
                folder = self.trial_folder(row.number)
                fresh[str(row.number)] = self.measure(row.values, self.rungs[-1], folder, seeds)
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
