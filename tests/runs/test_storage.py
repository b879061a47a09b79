"""Files of a run are whole whenever the writer dies, and a damaged one is an error with its path."""

import errno
import os
import signal
import time

import forked
import pytest
import torch
from distilled_sets import distill
from errors import naming
from safetensors import safe_open

from glad.runs.storage import (
    RunError,
    optimizer_tensors,
    read_json,
    read_number,
    read_tensors,
    restore_optimizer,
    write_durably,
    write_json,
    write_tensors,
)

TENSORS = {"w": torch.arange(6.0).reshape(2, 3), "labels": torch.tensor([3, 1]), "half": torch.ones(2).half()}


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("before", [b"old", None])
def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch, before):
    path = tmp_path / "state"
    if before is not None:
        write_durably(path, before)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(
        RunError,
        match=naming("state disk full kept"),
    ):
        write_durably(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_content_is_flushed_before_it_gets_its_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "state", []
    write_durably(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.read_bytes()))
    write_durably(path, b"new")
    assert seen == [b"old", b"new"]  # the file under its temporary name, then the folder that holds the new name


WRITER = """
import sys, torch
from itertools import count
from pathlib import Path
from glad.runs.storage import write_json, write_tensors
folder = Path(sys.argv[1])
for i in count():
    write_json(folder / "state.json", [i] * 20_000)
    write_tensors(folder / "state.safetensors", {"x": torch.full([200_000], i)}, iteration=str(i))
    if i == 1:
        print("writing", flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.017])
def test_a_killed_writer_leaves_whole_files(tmp_path, delay):
    writer = forked.start(WRITER, tmp_path)
    while not writer.stdout:
        assert writer.runs(), writer.stderr
        time.sleep(0.001)
    time.sleep(delay)
    writer.kill()
    assert writer.returncode == -signal.SIGKILL
    numbers = read_json(tmp_path / "state.json")
    tensors, metadata = read_tensors(tmp_path / "state.safetensors")
    assert numbers == [numbers[0]] * 20_000
    assert torch.equal(tensors["x"], torch.full([200_000], int(metadata["iteration"])))


def test_json_round_trip(tmp_path):
    content = {"seeds": [0, 1], "accuracy": 0.1 + 0.2, "name": "é", "none": None}
    write_json(tmp_path / "new" / "a.json", content)
    assert read_json(tmp_path / "new" / "a.json") == content


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_without_a_number_is_refused(tmp_path, number):
    with pytest.raises(ValueError, match=naming("JSON")):
        write_json(tmp_path / "a.json", {"loss": number})
    assert not list(tmp_path.iterdir())


def test_tensors_round_trip(tmp_path):
    write_tensors(tmp_path / "a", TENSORS, iteration="3")
    tensors, metadata = read_tensors(tmp_path / "a")
    assert metadata == {"iteration": "3"}
    assert {name: (t.dtype, t.tolist()) for name, t in tensors.items()} == {
        name: (t.dtype, t.tolist()) for name, t in TENSORS.items()
    }


def test_equal_content_gives_equal_bytes(tmp_path):
    strided = {**TENSORS, "w": TENSORS["w"].t().contiguous().t().requires_grad_()}
    metadata = {name: name for name in "abcdef"}
    write_tensors(tmp_path / "a", TENSORS, **metadata)
    write_tensors(tmp_path / "b", dict(reversed(strided.items())), **dict(reversed(metadata.items())))
    write_tensors(tmp_path / "c", TENSORS, **{**metadata, "f": "g"})
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("metadata", [{}, {"b": "é\n\x01", "a": '"'}])
def test_files_are_ordinary_safetensors(tmp_path, metadata):
    write_tensors(tmp_path / "a", TENSORS, **metadata)
    with safe_open(str(tmp_path / "a"), "pt") as file:
        assert (file.metadata() or {}) == metadata
        assert file.get_tensor("w").tolist() == TENSORS["w"].tolist()


@pytest.mark.parametrize("kept", [0, 4, 60, -1])
@pytest.mark.parametrize(("write", "read"), [(write_json, read_json), (write_tensors, read_tensors)])
def test_truncated_files_are_errors_with_their_path(tmp_path, write, read, kept):
    path = tmp_path / "state"
    write(path, TENSORS if write is write_tensors else {"numbers": list(range(50))})
    path.write_bytes(path.read_bytes()[: kept if kept >= 0 else -3])
    with pytest.raises(RunError, match=naming(f"{path}")):
        read(path)


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_missing_and_foreign_files_are_errors_with_their_path(tmp_path, read):
    path = tmp_path / "state"
    with pytest.raises(RunError, match=naming(f"{path}")):
        read(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(RunError, match=naming(f"{path}")):
        read(path)


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, 0.1, momentum=0.5), lambda p: torch.optim.Adam(p, 0.1)])
def test_a_restored_optimizer_goes_on_as_if_never_stopped(tmp_path, make):
    def steps(parameters, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            sum((p**2).sum() for p in parameters).backward()
            optimizer.step()

    straight, cut = ([torch.ones(2).requires_grad_(), torch.full([3], 2.0).requires_grad_()] for _ in range(2))
    steps(straight, make(straight), 5)
    first = make(cut)
    steps(cut, first, 2)
    write_tensors(tmp_path / "state", optimizer_tensors(first))
    second = make(cut)
    restore_optimizer(second, read_tensors(tmp_path / "state")[0])
    steps(cut, second, 3)
    assert [p.tolist() for p in cut] == [p.tolist() for p in straight]


@pytest.mark.parametrize("text", [None, "", "six", "nan", "inf"])
def test_a_number_that_is_none_is_damage(tmp_path, text):
    metadata = {} if text is None else {"iteration": text}
    with pytest.raises(RunError, match=naming(f"{tmp_path} iteration {text!r}")):
        read_number(metadata, "iteration", tmp_path)
    assert read_number({"iteration": "6"}, "iteration", tmp_path) == 6


@pytest.mark.parametrize("name", ["iteration", "seconds"])
def test_a_state_without_its_numbers_is_refused_and_nothing_is_changed(tmp_path, name):
    out = tmp_path / "run"
    run = distill(out, prior="pixels", iterations=1)
    tensors, metadata = read_tensors(run.state)
    write_tensors(run.state, tensors, **{key: value for key, value in metadata.items() if key != name})
    before = run.state.read_bytes()
    with pytest.raises(RunError, match=naming(f"{run.state} {name} None")):
        distill(out, prior="pixels", iterations=2)
    assert run.state.read_bytes() == before
