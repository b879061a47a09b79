"""``glad doctor``: what works, what does not, and what mends it."""

from importlib import import_module

import pytest
from click.testing import CliRunner

import glad
from cuda_ops import self_check
from glad.cli import main


def doctor(*arguments):
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def test_all_works_here_and_nothing_is_left_behind(tmp_path):
    result = doctor("--runs", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("Everything works.\n") and "!!" not in result.output
    assert "same bytes" in result.output and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path, monkeypatch):
    for slow in ("operators", "distillation"):  # which the test above runs
        monkeypatch.setattr(import_module("glad.cli.doctor"), slow, lambda *_: [])
    (tmp_path / "file").touch()
    result = doctor("--runs", tmp_path / "file" / "runs")
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("!!")]
    assert str(tmp_path / "file" / "runs") in line and "--out" in line


def test_a_wrong_operator_and_a_distillation_that_fails_are_lines(tmp_path, monkeypatch):
    def fail(**settings):
        raise RuntimeError("out of luck")

    good = self_check.bias_act
    monkeypatch.setattr(self_check, "bias_act", lambda *a, **k: 2 * good(*a, **k))
    monkeypatch.setattr(glad, "distill", fail)
    result = doctor("--runs", tmp_path)
    broken = [line for line in result.output.splitlines() if line.startswith("!!")]
    assert result.exit_code == 1 and len(broken) == 2
    assert "bias_act" in broken[0] and "GLAD_OPS=reference" in broken[0]
    assert "out of luck" in broken[1]


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused(device):
    result = doctor("--device", device)
    assert result.exit_code == 1 and device in result.output and "Traceback" not in result.output
