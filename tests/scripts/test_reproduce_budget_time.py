"""Curves of accuracy against time: a run is evaluated by stages, known points stay, and the picture is drawn."""

import json

import reproduce_budget as budget
import reproduce_budget_time as script
from click.testing import CliRunner
from few_images import few_held_out


def test_stages_become_points_a_table_and_a_picture(tmp_path, monkeypatch):
    row = "DM, pixels"
    sizes = {"DATA": "fashion-mini", "LIMIT": 200, "WIDTH": {"width": 4}, "STEPS": 1}
    for name, value in sizes.items():
        monkeypatch.setattr(budget, name, value)
    monkeypatch.setitem(budget.ROWS[row], "iterations", 2)
    monkeypatch.setattr(script, "SHARES", (0.5, 1.0))
    file = tmp_path / "budget-time.json"
    kept = {"iterations": 1, "seconds": 100.0, "accuracy": 12.5}
    file.write_text(json.dumps({row: [kept]}))
    with few_held_out():
        made = CliRunner().invoke(script.main, ["--out", str(tmp_path), "--row", row])
    assert made.exit_code == 0, made.output
    made_of = json.loads(file.read_text())
    assert made_of["of"] == {"script": "reproduce_budget_time"}
    first, second = made_of[row]
    assert first == kept and second["iterations"] == 2 and second["seconds"] > 100

    picture = tmp_path / "curves.png"
    drawn = CliRunner().invoke(script.main, ["--out", str(file), "--picture", str(picture)])
    assert drawn.exit_code == 0 and picture.read_bytes().startswith(b"\x89PNG") and "12.5" in drawn.output
