"""`glad tune`, from the command line to a run."""

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from errors import mentions, naming
from tuning_cases import SMALL, known

import glad
from glad.cli import main
from glad.runs.storage import RunError
from glad.tuning.report import best_table


def command(out: Path, *options: str) -> list[str]:
    narrow = ["--evaluation-option", "convnet.width=4", "--judge-option", "vgg11.width=2", "--epochs", "1"]
    run = ["--network-option", "width=4", "-o", "batch=4", "--limit", "100", "--trial-iterations", "2"]
    return ["tune", "--out", str(out), "--device", "cpu", *narrow, *run, *options]


def test_a_search_from_the_command_line_to_a_run(tmp_path: Path) -> None:
    out, runner = tmp_path / "tune", CliRunner()
    result = runner.invoke(main, command(out, "--trials", "2", "--iterations", "4"), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "evaluated after 1 and 2" in result.output and "layer (W+, F_1" in result.output
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
    assert {key: config[key] for key in best} == best
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

    monkeypatch.setattr("glad.tuning.tuner.TrialMeasure", measure)
    tuned = glad.tune({**SMALL, "iterations": 2}, out=tmp_path, trials=8, knobs=["layer", "lr.w"])
    assert tuned.beats_default and tuned.best.fresh == tuned.best.accuracy
    text = (tmp_path / "best.yaml").read_text()
    assert text.startswith("# glad tune: Validation accuracy ") and f"settings of trial {tuned.best.number}," in text
    table = best_table(tuned.space, tuned.rows, tuned.best)
    assert table.row_count <= 6 and list(table.columns[0].cells)[0] == "default"
    run = CliRunner().invoke(main, ["distill", "--config", str(tmp_path / "best.yaml"), "--out", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["learning_rate"] == tuned.settings.learning_rate
    assert config["prior_options"] == {"layer": tuned.best.values["layer"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--minutes --trials"),
        (["--minutes", "0"], "minutes 0"),
        (["--trials", "2", "--epochs", "0"], "epochs 0"),
        (["--trials", "2", "--prior", "pixel"], "'pixel' 'pixels'"),
        (["--trials", "2", "--objective", "mtt"], "mtt experts"),
        (["--trials", "2", "--knob", "momentum"], "'momentum' layer"),
        (["--trials", "2", "--evaluation-option", "width=3"], "width=3 NETWORK.OPTION=NUMBER"),
        (["--trials", "2", "--evaluation-option", "resnet.width=3"], "'resnet'"),
        (["--trials", "2", "--evaluation-option", "convnet.width=0"], "convnet: width 1 0"),
        (["--minutes", "inf"], "minutes finite 0 inf"),
        (["--minutes", "1e-9"], "default settings"),
    ],
)
def test_a_mistake_gives_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, command(tmp_path, *options))
    assert result.exit_code != 0 and isinstance(result.exception, SystemExit), result.exception
    assert mentions(result.output, message) and "Traceback" not in result.output


def test_objects_and_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=naming("iteration iterations")):
        glad.tune({"iteration": 3}, out=tmp_path, trials=1)
    with pytest.raises(ValueError, match=naming("prior")):
        glad.tune({"prior": object()}, out=tmp_path, trials=1)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match=naming("another process")):
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
    tuned = glad.tune(settings, out=tmp_path, trials=7, trial_iterations=40, epochs=60, evaluation_options=narrow)
    default, best = tuned.rows[0], tuned.best
    assert tuned.beats_default and best.fresh is not None and default.fresh is not None
    assert best.fresh > default.fresh + 0.02
    assert sum(len(row.accuracies) for row in tuned.rows) < 7 * 3
