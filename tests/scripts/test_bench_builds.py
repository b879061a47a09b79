"""The benchmark of two checkouts: a row of both, by turns in processes of their own, with the same results."""

import json
from pathlib import Path

import bench_builds
import forked
import torch
from bench_builds import Build, RowJob
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
WORK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1] + "/scripts")
import io
sys.stdin = io.StringIO("0\\n1\\n")
import bench_builds
bench_builds.work(bench_builds.RowJob("expert", 4, 40, 1, 1), Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_process_times_the_rounds_that_it_is_told_and_keeps_the_results(tmp_path):
    done = forked.run(WORK, ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(answer) for answer in answers] == [{"seconds", "mib"}] * 2
    assert all(answer["seconds"] > 0 and answer["mib"] > 50 for answer in answers)
    assert set(torch.load(tmp_path / "results.pt", weights_only=True)) == {"loss", "parameters"}


def test_ratios_are_of_neighboring_rounds_after_one_to_warm_up(monkeypatch, tmp_path):
    turns = []

    class Fake(Build):
        def __init__(self, checkout, job, folder, environ):
            folder.mkdir()
            self.checkout, self.folder, self.seconds, self.mib = checkout, folder, [], 7.0
            torch.save({"loss": torch.tensor([4.0 if checkout.name == "old" else 5.0])}, folder / "results.pt")

        def turn(self, number):
            turns.append((self.checkout.name, number))
            if number:
                self.seconds.append({"old": [3.0, 6.0, 8.0], "new": [3.0, 2.0, 4.0]}[self.checkout.name][number - 1])

        def close(self):
            turns.append((self.checkout.name, "end"))

    monkeypatch.setattr(bench_builds, "Build", Fake)
    cells = bench_builds.measure(RowJob("dm", 4, 40, 1, 1), [tmp_path / "old", tmp_path / "new"], 3, {})
    assert turns[:4] == [("old", 0), ("new", 0), ("old", 1), ("new", 1)] and turns[-1] == ("new", "end")
    assert cells == ["dm", "6", "3", "**2.00**", "1.00 to 3.00", "7", "7", "2e-01"]


def test_help_names_every_row():
    done = CliRunner().invoke(bench_builds.main, ["--help"])
    assert done.exit_code == 0 and all(row in done.output for row in bench_builds.ROWS)
