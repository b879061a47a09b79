"""Tasks in processes of this machine: the same bits as in one, and no task lost with a process that is killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import forked
import pytest
import torch
from errors import naming
from processes_end import await_end
from task_cases import OwnError, fail, keys, kill, kill_once, remark, square, state, wait, work

from cuda_ops.conv3x3 import convolutions
from glad.evaluation import Protocol, cells
from glad.evaluation.cells import compute
from glad.evaluation.training import Job
from glad.rng import rng_for
from glad.runs.storage import RunError
from glad.tasks import order
from glad.tasks.facts import node_name
from glad.tasks.order import carry_out
from glad.tasks.processes import InProcess, Processes

CPU = torch.device("cpu")
NAMES = ("a", "b")


def blobs(n, seed=0):
    labels = torch.arange(n) % 3
    images = torch.randn(n, 1, 16, 16, generator=rng_for(seed, "blobs"))
    return images, labels


SETS = {"a": blobs(9), "b": (blobs(6, 1)[0], torch.full([6, 3], 1 / 3))}  # hard and soft labels
TEST = blobs(30, 2)


@pytest.fixture(scope="module")
def two():
    """Two processes, whose imports take seconds."""
    engine = Processes(2)
    yield engine
    engine.close()


def jobs():
    protocol = Protocol(epochs=2, batch=4, augmentation="color_crop")
    return [Job(name, "convnet", seed, 0.01, protocol, {"width": 4}) for name in NAMES for seed in (0, 1)]


def data(job):
    return SETS[job.key[0]]


def untimed(cells):
    return sorted(
        ({key: value for key, value in cell.items() if key != "seconds"} for cell in cells),
        key=lambda cell: (cell["row"], cell["seed"]),
    )


def test_cells_in_two_processes_have_the_bits_of_one(two, one_thread):
    alone = list(compute(jobs(), data, TEST, 3, CPU, InProcess()))
    assert [cell["row"] for cell in alone] == ["a", "a", "b", "b"]
    assert untimed(compute(jobs(), data, TEST, 3, CPU, two)) == untimed(alone)


def test_each_set_is_written_once(tmp_path):
    names = cells._write(tmp_path, jobs(), data, TEST)
    assert names == ["set-0", "set-0", "set-1", "set-1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set-0", "set-1", "test"]
    for name, path in (("a", "set-0"), ("b", "set-1")):
        images, labels = cells._load(tmp_path / path)
        assert torch.equal(images, SETS[name][0]) and torch.equal(labels, SETS[name][1])


def test_inputs_in_a_shared_folder_are_removed_also_those_of_a_killed_process(tmp_path):
    (tmp_path / f".evaluate-{node_name()}.999999999.tmp").mkdir()
    (tmp_path / ".evaluate-elsewhere.999999999.tmp").mkdir()  # it may run there
    with cells._folder(tmp_path) as folder:
        assert {path.name for path in tmp_path.iterdir()} == {folder.name, ".evaluate-elsewhere.999999999.tmp"}
    assert [path.name for path in tmp_path.iterdir()] == [".evaluate-elsewhere.999999999.tmp"]


def test_tasks_take_threads_convolutions_and_place(two, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.chdir(tmp_path)
    with convolutions("direct"):
        found = dict(two.run(work(state, tmp_path), keys(6)))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert {rest for _, *rest in map(tuple, found.values()) for rest in [tuple(rest)]} == {(3, "direct", str(tmp_path))}
    assert os.getpid() not in {pid for pid, *_ in found.values()}


def test_what_tasks_warn_of_is_said_once(two, tmp_path):
    with pytest.warns(UserWarning, match="all say this") as said:
        assert sorted(two.run(work(remark, tmp_path), keys(4))) == [(n, n) for n in range(4)]
    assert len(said) == 1


def test_the_error_of_a_task_is_raised_once_the_others_are_done(two, tmp_path):
    found = []
    with pytest.raises(ValueError, match="one is refused"):
        for result in two.run(work(fail, tmp_path), [(1,), (0,), (3,), (4,)]):
            found.append(result)
    assert sorted(found) == [(1, 0), (2, 3), (3, 4)]
    with pytest.warns(UserWarning, match="2 tasks failed"), pytest.raises((ValueError, RunError), match="is refused"):
        list(two.run(work(fail, tmp_path), keys(5)))
    assert sorted(two.run(work(square, tmp_path), keys(3))) == [(0, 0), (1, 1), (2, 4)]  # the processes are still good


def test_in_this_process_an_error_is_raised_at_once(tmp_path):
    found = []
    with pytest.raises(ValueError, match="one is refused"):
        for result in InProcess().run(work(fail, tmp_path), keys(5)):
            found.append(result)
    assert found == [(0, 0)]


def test_an_error_that_cannot_be_sent_is_sent_in_words():
    assert isinstance(order._portable(ValueError("plain")), ValueError)
    error = order._portable(OwnError(2, "two is refused"))
    assert type(error) is RunError and str(error) == "OwnError: two is refused"


def test_a_context_is_opened_once_in_a_process(tmp_path, one_thread):
    opened = []

    def reopen():
        opened.append(1)
        return tmp_path

    first = order.Order(square, reopen, 1)
    assert [carry_out(first, (n,)).value for n in range(3)] == [0, 1, 4] and len(opened) == 1
    carry_out(order.Order(square, reopen, 1), (1,))
    assert len(opened) == 2


@pytest.mark.slow  # seconds of imports in each process
def test_a_task_whose_process_is_killed_is_done_again(tmp_path):
    engine = Processes(2)
    try:
        assert sorted(engine.run(work(kill_once, tmp_path), keys(4))) == [(n, n * n) for n in range(4)]
        assert (tmp_path / "killed").exists()
        with pytest.raises(RunError, match=naming("4 times task 1 --workers")):
            list(engine.run(work(kill, tmp_path), keys(2)))
    finally:
        engine.close()


@pytest.mark.slow  # seconds of imports in each process
def test_ctrl_c_ends_what_runs(tmp_path):
    engine = Processes(2)

    def interrupt():
        while len(list(tmp_path.glob("begun-*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(engine.run(work(wait, tmp_path), keys(5)))
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 60
    for path in tmp_path.glob("begun-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.removeprefix("begun-")), 0)


@pytest.mark.slow  # seconds of imports in each process
def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from task_cases import keys, wait, work; "
        "from glad.tasks.processes import Processes; list(Processes(2).run(work(wait, Path(sys.argv[1])), keys(2)))"
    )
    environment = {**os.environ, "PYTHONPATH": forked.OURS}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment) as first:
        while len(begun := list(tmp_path.glob("begun-*"))) < 2:
            assert first.poll() is None
            time.sleep(0.05)
        first.kill()
    await_end([int(path.name.removeprefix("begun-")) for path in begun])
