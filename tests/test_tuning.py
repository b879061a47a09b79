"""Tuning: the knobs a run has, the search for the best of them, what is written of it, and the command."""

import contextlib
import fcntl
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from click.testing import CliRunner

import glad
from glad import expert_run
from glad.cli import main
from glad.distillation import DistillationError
from glad.experts.files import ExpertError
from glad.runs import RunError
from glad.sources import load_data
from glad.tuning.knobs import Knob, Space, complete, find_space
from glad.tuning.picture import draw, importances
from glad.tuning.report import best_table, verdict
from glad.tuning.search import MOST_FAILURES, Row, Search, best_of, goes_on, open_study
from glad.tuning.tuner import rungs_of

RUNGS = [25, 50, 100]
SMALL = {"limit": 100, "network_options": {"width": 4}, "objective_options": {"batch": 4}, "device": "cpu"}
LAYERS = (None, 1, 3, 5)
SPACE = Space(
    complete({}),
    (
        Knob("layer", None, LAYERS),
        Knob("lr.w", 1.0, (), 1 / 30, 30.0, log=True),
        Knob("lr.f", 1.0, (), 1 / 30, 30.0, log=True, spaces=(True,)),
    ),
    {False: {"w": 0.01}, True: {"w": 0.01, "f": 10.0}},
)


def known(values: dict[str, Any], iterations: int) -> float:
    """A stand-in for distillation and evaluation: best at layer 3 with the rate of w six times the default."""
    off = math.log10(values["lr.w"] / 6) ** 2 + 0.5 * (values["layer"] != 3)
    return (0.8 - 0.2 * off) * (iterations / RUNGS[-1]) ** 0.3


class StandIn:
    """``known``, and what it was asked."""

    def __init__(self, interrupt_at: int | None = None, seconds: float = 1.0) -> None:
        self.asked: list[tuple[int, int, tuple[int, ...]]] = []
        self.interrupt_at, self.seconds, self.now = interrupt_at, seconds, 0.0

    def __call__(self, values: Any, iterations: int, folder: Path, seeds: Any) -> float:
        if len(self.asked) == self.interrupt_at:
            raise KeyboardInterrupt
        self.asked.append((int(folder.name), iterations, tuple(seeds)))
        self.now += self.seconds
        return known(values, iterations)

    def clock(self) -> float:
        return self.now


def search(measure: Any, out: Path, study: Any = None, space: Space = SPACE, **options: Any) -> Search:
    study = study or optuna.create_study(direction="maximize")
    return Search(study, space, measure, RUNGS, out, **{"clock": getattr(measure, "clock", lambda: 0.0), **options})


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("experts")
    plan = expert_run.plan(
        load_data("fashion-mini", limit=100),
        out,
        count=1,
        changes={"epochs": 9, "batch": 50},
        network_options={"width": 4},
        device="cpu",
    )
    expert_run.train_experts(plan)
    return str(out)


def space_of(wanted: Any = None, **settings: Any) -> Space:
    return find_space(complete({"limit": 100, "device": "cpu", **settings}), wanted)


def test_a_generator_has_a_layer_and_rates_and_pixels_a_rate() -> None:
    space = space_of()
    layer, w, f = space.knobs
    assert [knob.name for knob in space.knobs] == ["layer", "lr.w", "lr.f"]
    assert layer.choices == (None, 1, 3, 4, 5, 7)  # of eight layers
    assert (w.low, w.high, w.default, w.log) == (1 / 30, 30, 1, True)
    assert f.spaces == (True,)
    assert space.rates == {False: {"w": 0.03}, True: {"w": 0.03, "f": 1.0}}  # what the embedded weights recommend
    assert [knob.name for knob in space_of(prior="pixels").knobs] == ["lr.pixels"]
    assert space_of(prior="pixels").rates == {False: {"pixels": 1.0}}
    assert space_of(objective="dc").rates[False] == {"w": 0.03}  # the same
    assert space_of(objective="ncfm").rates == {False: {"w": 10.0}, True: {"w": 0.01, "f": 10.0}}  # nothing recommended


def test_the_settings_own_layer_and_rates_are_the_default() -> None:
    space = space_of(prior_options={"layer": "2"}, lr={"w": 0.5})
    assert space.knobs[0].choices == (None, 1, 2, 3, 4, 5, 7)
    assert space.default() == {"layer": 2, "lr.w": 1.0, "lr.f": 1.0}
    assert space.rates == {False: {"w": 0.5}, True: {"w": 0.5, "f": 1.0}}
    assert space.applied(space.default()) == space.settings


def test_values_become_settings() -> None:
    settings = complete({"lr": {"g": 0.25}, "prior_options": {"avg_w": 1}, "objective_options": {"batch": 8}})
    space = Space(settings, SPACE.knobs, SPACE.rates)
    found = space.applied({"layer": 3, "lr.w": 1.23456, "lr.f": 0.1})
    assert found["prior_options"] == {"avg_w": 1, "layer": 3}
    assert found["lr"] == {"g": 0.25, "w": 0.0123, "f": 1.0}
    assert found["objective_options"] == {"batch": 8}
    assert {key for key in found if found[key] != settings[key]} == {"lr", "prior_options"}
    assert space.applied({"layer": None, "lr.w": 2.0})["lr"] == {"g": 0.25, "w": 0.02}
    assert settings["lr"] == {"g": 0.25}  # untouched


@pytest.mark.parametrize("objective", ["mtt", "ast"])
def test_the_window_is_within_what_the_experts_files_hold(objective: str, experts: str) -> None:
    shared = {"objective": objective, "experts": experts, "network_options": {"width": 4}, "prior": "pixels"}
    space = space_of(**shared)
    knobs = {knob.name: knob for knob in space.knobs}
    assert list(knobs) == ["lr.pixels", "syn_steps", "expert_epochs", "max_start_epoch"]
    assert [knobs[name].default for name in list(knobs)[1:]] == [20, 3, 5]
    longest, latest = knobs["expert_epochs"].high, knobs["max_start_epoch"].high
    assert longest == 5 and latest - 1 + longest <= 9  # the last piece ends where the file does
    assert knobs["syn_steps"].low == 5 >= longest and knobs["syn_steps"].high == 80
    assert space.applied({**space.default(), "syn_steps": 40})["objective_options"]["syn_steps"] == 40
    codes = space_of(**{**shared, "prior": "fashion-mini"})
    assert codes.rates[False]["w"] == 3.0  # what the embedded weights recommend in place of 10
    with pytest.raises(ExpertError, match="has 9 epochs"):
        space_of(**shared, objective_options={"max_start_epoch": 9})


def test_some_knobs_can_be_chosen() -> None:
    assert [knob.name for knob in space_of(["lr.w"]).knobs] == ["lr.w"]
    with pytest.raises(ValueError, match="nothing to tune"):
        space_of(["lr.f"])  # which W+ does not have
    assert [knob.name for knob in space_of(["lr.f"], prior_options={"layer": 2}).knobs] == ["lr.f"]
    with pytest.raises(ValueError, match=r"no knob 'lr\.z'; it has layer, lr\.w, lr\.f"):
        space_of(["lr.z"])


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
    def rows(seed: int) -> list[Row]:
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


def test_a_search_that_was_cut_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = StandIn()
    search(whole, tmp_path / "whole", open_study(tmp_path / "whole", {})).run(trials=5)
    cut, asked = tmp_path / "cut", []
    for _ in range(len(whole.asked)):  # a process that measures two rungs and is killed in the third
        measure = StandIn(interrupt_at=2)
        found = search(measure, cut, open_study(cut, {}))
        with contextlib.suppress(KeyboardInterrupt):
            found.run(trials=5)
        asked += measure.asked
        if not measure.asked:
            break
    assert asked == whole.asked  # nothing twice, nothing else
    uncut = search(whole, tmp_path / "whole", open_study(tmp_path / "whole", {}))
    assert found.rows() == uncut.rows()


def test_another_search_is_not_continued(tmp_path: Path) -> None:
    open_study(tmp_path, {"epochs": 3, "networks": ("a", "b")})
    open_study(tmp_path, {"epochs": 3, "networks": ("a", "b")})
    with pytest.raises(RunError, match=r"another search \(epochs 3 there, 4 now\)"):
        open_study(tmp_path, {"epochs": 4, "networks": ("a", "b")})
    (tmp_path / "study.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(RunError, match=r"study\.db cannot be used"):
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

    told: list[str] = []
    found = search(measure, tmp_path, on_rung=lambda search, row: told.append(row.state))
    found.run(trials=8)
    failed = [row for row in found.rows() if row.state == "failed"]
    assert failed and all(row.reason == "iteration 3: term 0 of the objective is not finite" for row in failed)
    assert any(row.state == "finished" for row in found.rows()[1:])
    assert told.count("failed") == len(failed)

    def broken(values: Any, iterations: int, folder: Path, seeds: Any) -> float:
        raise DistillationError("never finite")

    with pytest.raises(DistillationError, match=f"{MOST_FAILURES} trials failed in a row, the last: never finite"):
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
    space = Space(
        SPACE.settings,
        (Knob("lr.w", 1.0, (), 1 / 30, 30.0, log=True), Knob("lr.z", 1.0, (), 1 / 30, 30.0, log=True)),
        {},
    )
    rng = np.random.default_rng(0)
    values = [{"lr.w": float(a), "lr.z": float(b)} for a, b in 10 ** rng.uniform(-1.4, 1.4, (40, 2))]
    rows = [Row(i, "finished", v, {25: -(math.log10(v["lr.w"]) ** 2)}, 0.0) for i, v in enumerate(values)]
    shares = importances(space, rows, 25)
    assert shares["lr.w"] is not None and shares["lr.w"] > 0.8  # best in the middle: a correlation would be 0
    assert shares["lr.z"] is not None and shares["lr.z"] < 0.2
    assert importances(space, rows[:4], 25) == {"lr.w": None, "lr.z": None}
    layered = [Row(i, "stopped", {"layer": LAYERS[i % 4]}, {25: float(i % 4 == 2)}, 0.0) for i in range(12)]
    only = Space(SPACE.settings, SPACE.knobs[:1], SPACE.rates)
    assert importances(only, layered, 25) == {"layer": pytest.approx(1.0)}
    figure = draw(only, layered, layered[2], 25)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["W+", "F_1", "F_3", "F_5"]
    assert {"default", "best", "stopped"} == {text.get_text() for text in figure.axes[0].get_legend().get_texts()}


def test_rungs_are_a_quarter_a_half_and_all() -> None:
    assert rungs_of(100) == [25, 50, 100] and rungs_of(3) == [1, 3] and rungs_of(1) == [1]


def command(out: Path, *options: str) -> list[str]:
    narrow = ["--judge-option", "convnet.width=4", "--judge-option", "vgg11.width=2", "--epochs", "1"]
    run = ["--network-option", "width=4", "-o", "batch=4", "--limit", "100", "--trial-iterations", "2"]
    return ["tune", "--out", str(out), "--device", "cpu", *narrow, *run, *options]


def test_a_search_from_the_command_line_to_a_run(tmp_path: Path) -> None:
    out, runner = tmp_path / "tune", CliRunner()
    result = runner.invoke(main, command(out, "--trials", "2", "--iterations", "4"), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "judged after 1 and 2" in result.output and "layer (W+, F_1" in result.output
    assert "The default settings took" in result.output and "default" in result.output
    trials = json.loads((out / "trials.json").read_text())
    assert [trial["number"] for trial in trials["trials"]] == [0, 1]
    assert trials["trials"][0]["values"] == {"layer": None, "lr.w": 1.0}
    assert (out / "tune.png").read_bytes().startswith(b"\x89PNG")
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["iterations"] == 4 and "out" not in best
    again = runner.invoke(main, command(out, "--trials", "2", "--iterations", "4"), catch_exceptions=False)
    assert "Going on after 2 trials" in again.output
    assert json.loads((out / "trials.json").read_text()) == trials  # seconds included
    run = ["distill", "--config", str(out / "best.yaml"), "--out", str(tmp_path / "run")]
    assert runner.invoke(main, run, catch_exceptions=False).exit_code == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    shared = [key for key in best if not isinstance(best[key], dict)]  # options in there are text on a command line
    assert [config[key] for key in shared] == [best[key] for key in shared]
    tuned = [
        "tune",
        "--config",
        str(tmp_path / "run" / "config.yaml"),
        "--out",
        str(out),
        "--trials",
        "1",
        "--seed",
        "5",
    ]
    assert "holds another search" in " ".join(runner.invoke(main, tuned).output.split())  # and not the run's folder


def test_the_winning_settings_are_written_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: Any) -> Any:
        return lambda values, iterations, folder, seeds: known(values, iterations)

    monkeypatch.setattr("glad.tuning.tuner._measure", measure)
    tuned = glad.tune({**SMALL, "iterations": 2}, out=tmp_path, trials=8, knobs=["layer", "lr.w"])
    assert tuned.beats_default and tuned.best.fresh == tuned.best.accuracy
    text = (tmp_path / "best.yaml").read_text()
    assert text.startswith(f"# glad tune: Trial {tuned.best.number} knows")
    table = best_table(tuned.space, tuned.rows, tuned.best)
    assert table.row_count <= 6 and list(table.columns[0].cells)[0] == "default"
    run = CliRunner().invoke(main, ["distill", "--config", str(tmp_path / "best.yaml"), "--out", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["lr"] == dict(tuned.settings["lr"])
    assert config["prior_options"] == {"layer": str(tuned.best.values["layer"])}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "needs a budget: --minutes N, or --trials N"),
        (["--minutes", "0"], "minutes must be above 0"),
        (["--trials", "2", "--epochs", "0"], "epochs must be above 0"),
        (["--trials", "2", "--prior", "pixel"], "did you mean 'pixels'"),
        (["--trials", "2", "--objective", "mtt"], "follows experts, and there are none"),
        (["--trials", "2", "--knob", "momentum"], "has no knob 'momentum'; it has layer"),
        (["--trials", "2", "--judge-option", "width=3"], "is not NETWORK.OPTION=NUMBER"),
        (["--trials", "2", "--judge-option", "resnet.width=3"], "'resnet' is unknown"),
        (["--minutes", "1e-9"], "were over before the default settings were judged"),
    ],
)
def test_a_mistake_gives_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, command(tmp_path, *options))
    assert result.exit_code != 0 and isinstance(result.exception, SystemExit), result.exception
    assert message in " ".join(result.output.split()) and "Traceback" not in result.output


def test_objects_and_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes no 'iteration'"):
        glad.tune({"iteration": 3}, out=tmp_path, trials=1)
    with pytest.raises(ValueError, match="prior must be a name"):
        glad.tune({"prior": object()}, out=tmp_path, trials=1)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process tunes"):
            glad.tune(SMALL, out=tmp_path, trials=1)


@pytest.mark.slow
def test_a_fixed_budget_beats_the_default_in_earnest(tmp_path: Path) -> None:
    """DataDAM on codes: its published rate of features is the default for W+ too, and there it is far too high."""
    settings = {
        "objective": "datadam",
        "objective_options": {"batch": 16},
        "network_options": {"width": 16},
        "device": "cpu",
    }
    narrow = {"convnet": {"width": 16}, "vgg11": {"width": 8}}
    tuned = glad.tune(settings, out=tmp_path, trials=7, trial_iterations=40, epochs=60, network_options=narrow)
    default, best = tuned.rows[0], tuned.best
    assert tuned.beats_default and best.fresh is not None and default.fresh is not None
    assert best.fresh > default.fresh + 0.02
    assert sum(len(row.accuracies) for row in tuned.rows) < 7 * 3
