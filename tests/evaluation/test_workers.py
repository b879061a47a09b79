"""Cells in several processes: the same bits as in one, and one cell lost with a worker that is killed."""

import os
import signal

import pytest
import torch
from errors import naming

from glad.evaluation import Protocol, workers
from glad.evaluation.training import Job
from glad.evaluation.workers import compute
from glad.rng import rng_for
from glad.runs.storage import RunError

CPU = torch.device("cpu")
NAMES = ("a", "b")


def blobs(n, seed=0):
    labels = torch.arange(n) % 3
    images = torch.randn(n, 1, 16, 16, generator=rng_for(seed, "blobs"))
    return images, labels


SETS = {"a": blobs(9), "b": (blobs(6, 1)[0], torch.full([6, 3], 1 / 3))}  # hard and soft labels
TEST = blobs(30, 2)


def jobs(options=None):
    protocol = Protocol(epochs=2, batch=4, augmentation="color_crop")
    return [Job(name, "convnet", seed, 0.01, protocol, options or {"width": 4}) for name in NAMES for seed in (0, 1)]


def data(job):
    return SETS[job.key[0]]


def untimed(cells):
    return sorted(
        ({key: value for key, value in cell.items() if key != "seconds"} for cell in cells),
        key=lambda cell: (cell["row"], cell["seed"]),
    )


def test_two_workers_give_the_bits_of_one_process(one_thread):
    alone = list(compute(jobs(), data, TEST, 3, CPU))
    assert [cell["row"] for cell in alone] == ["a", "a", "b", "b"]
    assert untimed(compute(jobs(), data, TEST, 3, CPU, workers=2)) == untimed(alone)


def test_each_set_is_written_once(tmp_path):
    names = workers._write(tmp_path, jobs(), data, TEST)
    assert names == ["set-0", "set-0", "set-1", "set-1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set-0", "set-1", "test"]
    for name, path in (("a", "set-0"), ("b", "set-1")):
        images, labels = workers._load(tmp_path / path)
        assert torch.equal(images, SETS[name][0]) and torch.equal(labels, SETS[name][1])


@pytest.mark.slow  # seconds of imports in each process
def test_what_a_worker_raises_is_raised(one_thread):
    with pytest.raises(ValueError, match=naming("network convnet 'widht'")):
        list(compute(jobs({"widht": 4}), data, TEST, 3, CPU, workers=2))


@pytest.mark.slow  # seconds of imports in each process
def test_a_killed_worker_loses_its_cell_and_no_other(one_thread, monkeypatch):
    give, killed = workers._Worker.give, []

    def deadly(self, job, file):
        if job.key == ("a", "convnet", 1) and not killed:
            killed.append(self.process.pid)
            os.kill(self.process.pid, signal.SIGKILL)
        give(self, job, file)

    monkeypatch.setattr(workers._Worker, "give", deadly)
    found = []
    with pytest.raises(RunError) as raised:
        for cell in compute(jobs(), data, TEST, 3, CPU, workers=2):
            found.append(cell)
    message = "killed while training on a, convnet, seed 1 (signal 9): the same command computes what is missing"
    assert str(raised.value) == message
    assert [(cell["row"], cell["seed"]) for cell in untimed(found)] == [("a", 0), ("b", 0), ("b", 1)]
    assert len(killed) == 1


def test_threads_are_shared(monkeypatch):
    stated = []
    monkeypatch.setattr(workers, "_Worker", lambda settings: stated.append(settings["threads"]) or 1 / 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for count in (2, 3, 20):
        with pytest.raises(ZeroDivisionError):
            list(compute(jobs() * 5, data, TEST, 3, CPU, workers=count))
    assert stated == [4, 2, 1]
