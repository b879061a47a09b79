"""What a disk does not take is said with the file, what is kept and what to do; what a killed writer left is swept."""

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from distilled_sets import distill, fails, invoke

from glad.cli import main
from glad.runs.disk import reason_of, sweep
from glad.runs.folder import Run
from glad.runs.storage import RunError, read_tensors, write_durably

SMALL = {"prior": "pixels", "limit": 60, "objective_options": {"batch": 4}}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk of {} is full or your quota is used up"),
        (errno.EDQUOT, "the disk of {} is full or your quota is used up"),
        (errno.EROFS, "the file system of {} is read-only: take, or copy to, a folder that can be written to"),
        (errno.EACCES, "you have no permission: change that of {}, or take another folder"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_reason_names_the_folder_and_what_to_do(tmp_path, monkeypatch, number, said):
    error = OSError(number, os.strerror(number), str(tmp_path / "new" / "file"))
    assert reason_of(error, tmp_path / "new" / "file").startswith(said.format(tmp_path))

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError) as caught:
        write_durably(tmp_path / "new" / "file", b"")
    shown = f"{tmp_path / 'new' / 'file'}: cannot be written: {said.format(tmp_path)}"
    assert str(caught.value).startswith(shown) and str(caught.value).endswith("; what was there before is kept")
    assert "Errno" not in str(caught.value)


def test_an_error_that_reaches_the_command_names_its_file(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/x")

    monkeypatch.setattr(Run, "begin", refuse)
    result = CliRunner().invoke(main, ["distill", "--prior", "pixels", "--limit", "60", "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "Error: /mnt/x: the file system of / is read-only" in result.output.replace("/mnt is", "/ is")
    assert "Errno" not in result.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is always full")
def test_a_disk_that_fills_up_ends_the_run_and_keeps_its_state(tmp_path):
    metrics = tmp_path / "run" / "metrics.jsonl"

    def fill(iteration, _):
        if iteration == 4:
            metrics.rename(tmp_path / "kept.jsonl")
            metrics.symlink_to("/dev/full")

    with pytest.raises(RunError) as caught:
        distill(tmp_path / "run", iterations=8, save_every=3, on_step=fill, **SMALL)
    message = str(caught.value)
    assert message.startswith(f"{metrics}: cannot be written: the disk of {tmp_path / 'run'} is full")
    assert message.endswith("; the state of the last save is kept in state.safetensors")
    assert read_tensors(tmp_path / "run" / "state.safetensors")[1]["iteration"] == "3"
    metrics.unlink()
    (tmp_path / "kept.jsonl").rename(metrics)
    whole = distill(tmp_path / "whole", iterations=8, **SMALL)
    run = distill(tmp_path / "run", iterations=8, save_every=3, **SMALL)
    for name in ("synset.safetensors", "metrics.jsonl"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def dead():
    """The number of a process that has ended."""
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_what_a_killed_writer_left_is_swept(tmp_path):
    gone, parent = dead(), os.getppid()
    left = [f".config.yaml.{gone}.tmp", f".state.safetensors.{gone}.tmp", f".set.{os.getpid()}.tmp"]
    kept = [
        f".x.{parent}.tmp",
        "config.yaml.tmp",
        f"x.{gone}.tmp",
        ".x.name.tmp",
        f".set.{gone}.old",
        f".x.{10**30}.tmp",
    ]
    for name in (*left, *kept):
        (tmp_path / name).write_text("half")
    (tmp_path / f".export.{gone}.tmp").mkdir()
    (tmp_path / f".export.{gone}.tmp" / "0.png").write_text("half")
    sweep(tmp_path, "config.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*left[1:], *kept, f".export.{gone}.tmp"])
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_run_that_goes_on_and_an_export_sweep_their_own(tmp_path):
    run, gone = distill(tmp_path / "run", **SMALL), dead()
    for name in (f".config.yaml.{gone}.tmp", f".grid_000000.png.{gone}.tmp"):
        (run.path / name).write_text("half")
    (tmp_path / f".set.npz.{gone}.tmp").write_text("half")
    (tmp_path / f".mine.{gone}.tmp").write_text("of somebody else")
    distill(run.path, **SMALL)
    assert not list(run.path.glob(".*.tmp"))
    invoke("export", run.path, "--out", tmp_path / "set.npz")
    assert [path.name for path in tmp_path.glob(".*.tmp")] == [f".mine.{gone}.tmp"]
    assert "exists already" in fails("export", run.path, "--out", tmp_path / "set.npz")
