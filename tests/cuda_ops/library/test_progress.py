"""What is shown while operators are compiled, by whoever builds and whoever waits. No test depends on time."""

import io
import sys
import threading
import time

import forked
import pytest
from tiny_operators import compilations, make_compiler

from cuda_ops import _progress
from cuda_ops._progress import BuildProgress, State, expected


class Terminal(io.StringIO):
    def isatty(self):
        return True


def clock(*times):
    """A clock that shows these, and the last of them from then on."""
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def at_once(monkeypatch):
    """States are shown as fast as they can be."""
    monkeypatch.setattr(_progress, "REDRAW", 0.001)
    monkeypatch.setattr(_progress, "REPEAT", 0.001)


def watched(stream, enough):
    """An event that is set as soon as ``stream`` has got ``enough``."""
    seen, write = threading.Event(), stream.write

    def noted(text):
        write(text)
        if enough in stream.getvalue():
            seen.set()

    stream.write = noted
    return seen


@pytest.mark.parametrize(("load", "files", "seconds"), [(0.0, 2, 15), (0.5, 1, 15), (6.0, 2, 60), (6.0, 1, 52)])
def test_a_busy_machine_is_expected_to_take_longer(monkeypatch, load, files, seconds):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert expected(15, files) == seconds


def test_a_state_counts_files_and_seconds():
    state = State("glad: compiling", iter([0, 5, 0]).__next__, 6, clock(100.0, 100.4, 134.6))
    assert str(state) == "glad: compiling: 0 of 6 files, 0 s"
    assert str(state) == "glad: compiling: 5 of 6 files, 35 s"
    assert str(state) == "glad: compiling: 5 of 6 files, 35 s"  # whatever has been cleared away since


@pytest.mark.parametrize("what", ["compiling", "waiting"])
def test_a_file_gets_a_line_now_and_then(at_once, what):
    stream = io.StringIO()
    seen = watched(stream, "1 of 6 files, 480 s\n")
    with getattr(BuildProgress("cpu", 35, stream, clock(0.0, 15.0, 480.0)), what)(lambda: 1, 6):
        assert seen.wait(60)
    first, second, third, *_, last = stream.getvalue().splitlines()
    begin = {
        "compiling": "glad: compiling the cpu operators for this machine, once (about 35 s, as busy as it is)",
        "waiting": "glad: another process compiles the cpu operators for this machine; waiting for it",
    }[what]
    name = {"compiling": "glad: compiling the cpu operators", "waiting": "glad: waiting for the cpu operators"}[what]
    assert (first, second, third) == (begin, f"{name}: 1 of 6 files, 15 s", f"{name}: 1 of 6 files, 480 s")
    assert last == third
    assert "\r" not in stream.getvalue()


def test_a_terminal_has_one_line_that_is_written_over(at_once):
    stream = Terminal()
    seen = watched(stream, "2 of 6 files, 9 s")
    with BuildProgress("cuda", 90, stream, clock(0.0, 9.0)).compiling(lambda: 2, 6):
        assert seen.wait(60)
    announcement, line, end = stream.getvalue().split("\n")
    assert announcement == "glad: compiling the cuda operators for this machine, once (about 90 s, as busy as it is)"
    assert {*line.split("\r")} == {"", "glad: compiling the cuda operators: 2 of 6 files, 9 s"} and end == ""


def test_a_short_build_shows_no_states_in_a_file():
    stream = io.StringIO()
    with BuildProgress("cpu", 1, stream).compiling(lambda: pytest.fail("asked at once"), 6):
        pass
    assert stream.getvalue().count("\n") == 1


def test_a_failure_ends_the_line_and_goes_through(at_once):
    stream = Terminal()
    seen = watched(stream, "3 of 6 files")
    with (
        pytest.raises(KeyboardInterrupt),
        BuildProgress("cpu", 1, stream, clock(0.0)).compiling(lambda: 3, 6),
    ):
        assert seen.wait(60)
        raise KeyboardInterrupt
    assert stream.getvalue().endswith("\rglad: compiling the cpu operators: 3 of 6 files, 0 s\n")
    assert not [thread for thread in threading.enumerate() if "progress" in thread.name]


def test_without_stderr_the_build_goes_on_unseen(at_once, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with BuildProgress("cpu", 1).compiling(lambda: 0, 6):
        pass
    stream = io.StringIO()
    asked = threading.Event()
    with BuildProgress("cpu", 1, stream).compiling(lambda: (asked.wait(60), 0)[1], 6):
        stream.close()
        asked.set()


OBTAIN = """
import sys
from pathlib import Path
from cuda_ops import _build, _cache, _progress
_progress.REPEAT = 0.01
plan = _build.cpu_plan(Path(sys.argv[1]), local=True)
print(_cache.obtain(plan, _progress.BuildProgress("cpu", 1)).read_text())
"""


def wait_for(process, text):
    """Until ``process`` has shown ``text``; fail where it ends without."""
    limit = time.monotonic() + forked.PATIENCE
    while text not in process.stderr:
        assert process.runs() and time.monotonic() < limit, f"no {text!r} in {process.stderr!r}"
        time.sleep(0.005)


def test_who_builds_and_who_waits_both_see_the_files_grow(tmp_path, csrc, environ):
    """The second of two files is held back until both processes have shown that the first is ready."""
    hold = tmp_path / "hold"
    hold.touch()
    (csrc / "cpu" / "kernels.cpp").touch()
    body = f"case \"$*\" in *kernels.cpp*) while [ -e '{hold}' ]; do sleep 0.01; done;; esac"
    make_compiler(tmp_path / "bin", body=body)
    builder = forked.start(OBTAIN, csrc, **environ)
    try:
        wait_for(builder, "glad: compiling the cpu operators for this machine, once (about 1 s")
        waiter = forked.start(OBTAIN, csrc, **environ)
        wait_for(waiter, "glad: another process compiles the cpu operators for this machine; waiting for it\n")
        wait_for(builder, "glad: compiling the cpu operators: 1 of 2 files, ")
        wait_for(waiter, "glad: waiting for the cpu operators: 1 of 2 files, ")
    finally:
        hold.unlink()
    assert [(process.returncode, process.stdout) for process in (builder, waiter)] == [(0, "made\n\n")] * 2
    assert compilations(tmp_path / "bin") == 2
    assert "once (about" not in waiter.stderr
