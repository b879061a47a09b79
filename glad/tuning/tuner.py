"""A search from its settings to its files: the knobs (``knobs.py``), the search (``search.py``), what is written of it.

No test image is seen.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glad.device import pick_device
from glad.networks import require_network
from glad.runs.folder import MAY_CHANGE
from glad.runs.image_grid import save_figure
from glad.runs.storage import RunError
from glad.settings.distill import DistillSettings
from glad.settings.tune import TuneSettings
from glad.settings.types import as_tuple
from glad.tasks.base import Engine
from glad.tasks.engines import open_engine
from glad.tuning.knobs import SearchSpace, complete, find_space
from glad.tuning.measuring import TrialEvaluation, TrialMeasure
from glad.tuning.picture import draw
from glad.tuning.report import write_best, write_trials
from glad.tuning.search import KEEP, Search, Trial, best_of, open_study

OTHERS = ("vgg11", "convnet")  # the first that the run does not distill with: both learn quickly
NARROW = {
    "convnet": {"width": 32},
    "alexnet": {"width": 32},
    "vgg11": {"width": 16},
    "resnet18": {"width": 16},
    "vit": {"width": 64},
}
"""Widths of the networks that trials are evaluated with, unless they are given."""
PARTS = (4, 2, 1)  # rungs: a quarter, a half and all of a trial's iterations


@dataclass(frozen=True)
class Tuned:
    """What a search found: its folder, its trials, the best of them, and its settings of ``glad.distill``."""

    folder: Path
    space: SearchSpace
    rows: list[Trial]
    best: Trial
    settings: DistillSettings

    @property
    def beats_default(self) -> bool:
        """Whether the best trial is not the default settings."""
        return self.best.number != 0


def tune(
    settings: Mapping[str, Any] | DistillSettings | None = None,
    *,
    out: str | Path,
    minutes: float | None = None,
    trials: int | None = None,
    trial_iterations: int = 100,
    networks: Sequence[str] | None = None,
    epochs: int = 100,
    seeds: int = 1,
    evaluation_options: Mapping[str, Mapping[str, int]] | None = None,
    knobs: Sequence[str] | None = None,
    workers: int | None = None,
    ray: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    on_rung: Callable[[Search, Trial], None] = lambda search, row: None,
) -> Tuned:
    """Search the settings of ``glad.distill`` that decide, by short runs evaluated on the validation images.

    Trial 0 is the settings as they are. The better half of the trials goes on after a quarter and after a half of the
    iterations. In the end the best trials and trial 0 are evaluated again with other seeds. Writes ``best.yaml``,
    ``trials.json`` and ``tune.png``. The same call continues where it was interrupted, or with a larger budget.

    Args:
        settings: Those of the distillation, as ``glad.settings.distill.DistillSettings`` or a mapping.
        out: The folder of the search.
        minutes: Budget in minutes of distilling and evaluating, earlier calls included.
        trials: Budget in trials. One of the two budgets is needed.
        trial_iterations: Iterations of a whole trial.
        networks: Those that trials are evaluated with; by default the one distilled with and another architecture.
        epochs: Of each network's training on a trial's set.
        seeds: Networks of each kind per evaluation.
        evaluation_options: Options of these networks, such as ``{"convnet": {"width": 64}}``.
        knobs: Names of the settings to search, such as ``["layer", "lr.w"]``; by default all that the run has.
        workers: So many trials are proposed and measured at once, each in a process of its own; by default 1. What is
            found depends on it. Processes of this machine share the threads of this one, and minutes add up.
        ray: ``local``, or the address of a Ray cluster whose machines share ``out`` (docs/SCALE.md); with ``workers``.
        say: Is called with each line that a person may want to read.
        on_rung: Is called with the search and the trial after each evaluation.

    Returns:
        The folder, the trials, the best of them, and its ``settings`` for ``glad.distill``.

    Raises:
        ValueError: For settings, knobs or budgets that do not exist.
        RunError: Where ``out`` holds another search.
        DistillationError: Where trial after trial fails.

    Examples:
        >>> settings = {"ipc": 1, "network_options": {"width": 4}, "objective_options": {"batch": 8}}
        >>> tuned = glad.tune(
        ...     settings, out="tuned", trials=2, trial_iterations=1, epochs=1, knobs=["lr.w"], networks=["convnet"],
        ...     evaluation_options={"convnet": {"width": 4}},
        ... )
        >>> len(tuned.rows), tuned.settings.ipc
        (2, 1)
    """
    asked = TuneSettings(
        out=str(out), minutes=minutes, trials=trials, trial_iterations=trial_iterations, epochs=epochs, seeds=seeds,
        networks=as_tuple(networks), evaluation_options=evaluation_options or {},
        knobs=as_tuple(knobs), workers=workers, ray=ray,
    )  # fmt: skip
    return run_search(complete(settings or {}), asked, say, on_rung)


def run_search(
    settings: DistillSettings,
    asked: TuneSettings,
    say: Callable[[str], None] = lambda line: None,
    on_rung: Callable[[Search, Trial], None] = lambda search, row: None,
) -> Tuned:
    """Search for better ``settings`` as ``asked``; see ``tune``."""
    folder, minutes, trials = Path(asked.out), asked.minutes, asked.trials
    evaluation = _resolve_evaluation(settings.network, asked)
    space = find_space(settings, asked.knobs, evaluation.network_options)
    folder.mkdir(parents=True, exist_ok=True)
    with _hold(folder), open_engine(asked, folder, pick_device(settings.device)) as engine:
        rungs = rungs_of(min(asked.trial_iterations, settings.iterations))
        search = _open(space, evaluation, rungs, folder, engine, asked.workers or 1)
        search.on_rung, search.on_trial = _tell_what_fits(minutes, say, on_rung), _write
        _say_plan(search, evaluation, minutes, trials, say)
        search.run(minutes, trials)
        _require_default(search, minutes)
        say("The best and the default settings, with fresh seeds.")
        search.compare()
        return _finish(search)


def _open(
    space: SearchSpace, evaluation: TrialEvaluation, rungs: Sequence[int], folder: Path, engine: Engine, width: int
) -> Search:
    """The search in ``folder``, made or found."""
    study = open_study(folder, _about(space, evaluation, rungs))
    measure = TrialMeasure(space, evaluation, engine.device if engine.elsewhere else space.settings.device)
    seed, seeds = space.settings.seed, evaluation.seeds
    return Search(study, space, measure, rungs, folder, seed=seed, seeds=seeds, engine=engine, width=width)


def rungs_of(iterations: int) -> list[int]:
    """A quarter, a half and all of ``iterations``, as far as they differ."""
    return sorted({max(1, iterations // part) for part in PARTS})


def _resolve_evaluation(own: str, asked: TuneSettings) -> TrialEvaluation:
    chosen = asked.networks or (own, next(name for name in OTHERS if name != own))
    for name in (*chosen, *asked.evaluation_options):
        require_network("networks", name)
    options = {name: {**NARROW.get(name, {}), **asked.evaluation_options.get(name, {})} for name in chosen}
    return TrialEvaluation(chosen, asked.epochs, asked.seeds, options)


def _about(space: SearchSpace, evaluation: TrialEvaluation, rungs: Sequence[int]) -> dict[str, Any]:
    """What a search and its continuation must have in common."""
    settings = {key: value for key, value in space.settings.plain().items() if key not in MAY_CHANGE}
    hashes = {f"hash of {name}": digest for name, digest in space.hashes.items()}
    searched = [knob.in_words() for knob in space.knobs]
    evaluated = {"networks": evaluation.networks, "epochs": evaluation.epochs, "seeds": evaluation.seeds}
    return {
        **settings,
        **hashes,
        **evaluated,
        "judges' options": evaluation.network_options,  # by the name that searches of earlier versions have
        "rungs": list(rungs),
        "knobs": searched,
    }


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    """Hold the folder; ``RunError`` when another process does."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back when its holder ends
        except BlockingIOError as error:
            raise RunError(f"another process tunes in {folder}: wait for it, or choose another folder") from error
        yield


def _say_plan(
    search: Search, evaluation: TrialEvaluation, minutes: float | None, trials: int | None, say: Callable[[str], None]
) -> None:
    """What will be done, and what has been."""
    *early, last = (str(rung) for rung in search.rungs)
    seen = ", ".join(early) + (" and " if early else "") + last
    budget = ([] if trials is None else [f"{trials} trials"]) + ([] if minutes is None else [f"{minutes:g} minutes"])
    say(f"Up to {' or '.join(budget)} of {last} iterations, evaluated after {seen}; the better half goes on each time.")
    options = ", ".join(f"{name}{_width(evaluation.network_options.get(name, {}))}" for name in evaluation.networks)
    seeds = list(range(evaluation.seeds))
    say(f"Evaluated with {options}; {evaluation.epochs} epochs, seeds {seeds}, validation images only.")
    say(f"Knobs: {'; '.join(knob.in_words() for knob in search.space.knobs)}. Trial 0 is the default.")
    if done := search.rows():
        unfinished = sum(row.state == "unfinished" for row in done)
        rest = f", {'one' if unfinished == 1 else unfinished} of them unfinished" if unfinished else ""
        say(f"Going on after {len(done)} trials{rest}, {search.spent() / 60:.1f} minutes.")


def _width(options: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else ""


def _tell_what_fits(
    minutes: float | None, say: Callable[[str], None], on_rung: Callable[[Search, Trial], None]
) -> Callable[[Search, Trial], None]:
    """``on_rung``, and after the first trial how many the time is enough for."""

    def stated(search: Search, row: Trial) -> None:
        on_rung(search, row)
        pace = search.pace()
        if row.number or row.state != "finished":
            return
        trial = sum(seconds / KEEP**rung for rung, seconds in enumerate(pace))  # as many as halving lets through
        line = f"The default settings took {sum(pace):.0f} s, others will take about {trial:.0f} s each"
        if minutes is not None:
            line += f": about {max(0, (60 * minutes - search.spent()) // max(trial, 1e-9)):.0f} fit"
        say(f"{line}. The comparison in the end comes on top.")

    return stated


def _require_default(search: Search, minutes: float | None) -> None:
    """``RunError`` where the budget ended before there is anything to compare."""
    if all(row.state == "unfinished" for row in search.rows()):
        raise RunError(
            f"{minutes:g} minutes were over before the default settings were evaluated for the last time, after "
            f"{search.rungs[-1]} iterations: the same command with more --minutes goes on"
        )


def _write(search: Search) -> None:
    """Write what is known so far, once a trial came to its end."""
    rows = search.rows()
    best = best_of(rows)
    if best is not None:
        write_trials(search.space, rows, best, search.folder / "trials.json")
        write_best(search.space.apply(best.values), rows, best, search.folder / "best.yaml")


def _finish(search: Search) -> Tuned:
    """Write everything; ``RunError`` where no trial came to its end."""
    rows = search.rows()
    best = best_of(rows)
    if best is None:
        reason = next((row.reason for row in rows if row.reason), "none finished")
        raise RunError(f"no trial came to its end ({reason}): give more --minutes or --trials to go on")
    _write(search)
    save_figure(draw(search.space, rows, best, search.rungs[0]), search.folder / "tune.png")
    return Tuned(search.folder, search.space, rows, best, search.space.apply(best.values))
