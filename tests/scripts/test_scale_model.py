"""The model of a step on more ranks: what it adds up, and its table from the file of what was measured."""

from pathlib import Path

import pytest
import scale_model
from click.testing import CliRunner
from scale_model import Work, convnet, measured, on_paper

MEASURED = Path(__file__).parents[2] / "docs" / "results" / "scale.json"


def test_a_step_is_the_rank_with_most_classes_the_student_and_the_gathers(monkeypatch):
    monkeypatch.setattr(scale_model, "CLASSES", 10)
    work = Work("mtt", 1, of_class=2.0, alike=3.0, gathered=0.0)
    assert work.step(1) == 23.0
    assert work.step(4) == pytest.approx(3 * 2.0 + 3.0 + 3 * scale_model.LATENCY)
    assert work.memory(5) == 2 * work.memory(10) == work.memory(1) / 5


def test_a_gather_takes_as_long_as_a_ring_does():
    work = Work("mtt", 1, 0.0, 0.0, gathered=8e9)
    assert work.gathers(1) == 0.0
    assert work.gathers(8) == pytest.approx(7 * (scale_model.LATENCY + 1e9 / scale_model.INSIDE))
    assert work.gathers(64) == pytest.approx(63 * (scale_model.LATENCY + 0.125e9 / scale_model.BETWEEN))


def test_operations_of_a_network():
    assert convnet(4, width=2, depth=1) == 2 * 9 * 3 * 2 * 16
    assert convnet(4, width=2, depth=2) == convnet(4, width=2, depth=1) + 2 * 9 * 2 * 2 * 4


def test_the_step_on_two_ranks_as_the_model_has_it():
    one, two = ({"step": s, "student": 4.0, "gathers": g} for s, g in ((10.0, 0.0), (8.0, 0.5)))
    assert measured({"1": one, "2": two}) == (7.5, 8.0)


def test_a_damaged_file_is_named_in_a_line(tmp_path):
    (tmp_path / "damaged.json").write_text('{"dm": ')
    result = CliRunner().invoke(scale_model.main, [str(tmp_path / "damaged.json")])
    assert result.exit_code == 1 and len(result.output.splitlines()) == 1 and "damaged.json" in result.output


def test_the_table_of_what_was_measured():
    result = CliRunner().invoke(scale_model.main, [str(MEASURED)])
    assert result.exit_code == 0, result.output
    assert result.output.count("│ 64 ") == len(on_paper()) and "Measured" in result.output
