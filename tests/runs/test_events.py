"""TensorBoard's events are there where it is installed; where it is not, a run says so once and is the same."""

import sys
import warnings

import forked
import pytest
from distilled_sets import distill

from glad.runs.events import HOW, Events

SMALL = {"prior": "pixels", "limit": 60, "objective_options": {"batch": 4}, "iterations": 3}


@pytest.fixture
def absent(monkeypatch):
    """A Python without TensorBoard."""
    for name in [*(name for name in sys.modules if name.partition(".")[0] == "tensorboard"), "tensorboard"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def test_events_are_written_where_tensorboard_is_installed(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = distill(tmp_path / "run", **SMALL)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [0]  # of every tenth iteration
    (tag,) = events.Tags()["images"]
    assert [event.step for event in events.Images(tag)] == [0, 3]


def test_without_it_the_run_is_the_same_and_says_how_to_get_it_once(tmp_path, absent):
    with pytest.warns(UserWarning) as said:
        run = distill(tmp_path / "run", **SMALL)
    assert [HOW in str(warning.message) for warning in said] == [True]
    assert not (run.path / "tensorboard").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distill(run.path, **{**SMALL, "iterations": 5})  # goes on, and says nothing
        Events(tmp_path, 1).scalar("loss", 1.0, 1)


def test_nothing_imports_it_at_the_start():
    code = "import sys, glad.api, glad.cli, glad.cli.weights; print('torch.utils.tensorboard' in sys.modules)"
    process = forked.start(f"import sys; sys.modules.pop('torch.utils.tensorboard', None); {code}")
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == "False"
