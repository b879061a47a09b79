"""Rows that lie elsewhere while they are not in use: the bytes of a run whose rows stay, and the memory given back."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
import torch
from errors import naming

import glad
from glad.api import first_set
from glad.ranks.offload import Offload, Scratch
from glad.runs.storage import RunError

SMALL = {
    "data": "fashion-mini", "classes": [0, 1], "limit": 20, "device": "cpu", "sharded": True, "save_every": 1,
    "iterations": 2, "ipc": 2, "network_options": {"width": 4, "depth": 2},
}  # fmt: skip
SHORT = {"syn_steps": 2, "expert_epochs": 1, "max_start_epoch": 1}
BATCH = {"objective_options": {"batch": 4}}
CASES = {
    "by class": {"objective": "dm", "prior": "fashion-mini", **BATCH},
    "prepared": {"objective": "dc", "prior": "pixels", "objective_options": {"batch": 4, "outer": 2, "inner": 1}},
    "together": {"objective": "mtt", "prior": "pixels", "objective_options": SHORT},
    "labels": {"objective": "datm", "prior": "pixels", "labels": "logits",
               "objective_options": {**SHORT, "skip_above": 0.0}},
    "adamw": {"objective": "ncfm", "prior": "pixels", **BATCH},
}  # fmt: skip


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    same = {key: SMALL[key] for key in ("data", "classes", "limit", "device", "network_options")}
    glad.train_experts(out=folder, **same, count=1, recipe_options={"epochs": 2, "batch": 16})
    return str(folder)


def distill(out, experts, case, **options):
    needs = {} if case["objective"] in ("dm", "dc") else {"experts": experts}
    glad.distill(**{**SMALL, **case, **needs, **options}, out=out)
    return digests(out)


def digests(out):
    names = ("initial.safetensors", "synset.safetensors", "metrics.jsonl")
    files = [*(out / name for name in names), *out.glob("rows*")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("name", CASES)
def test_rows_on_the_disk_give_the_same_bytes(tmp_path, experts, name, one_thread):
    assert distill(tmp_path / "a", experts, CASES[name]) == distill(
        tmp_path / "b", experts, CASES[name], offload="disk"
    )
    assert {path.name for path in (tmp_path / "a").iterdir()} == {path.name for path in (tmp_path / "b").iterdir()}


def test_rows_in_the_memory_of_the_host_give_the_same_bytes(tmp_path, experts, monkeypatch, one_thread):
    alone = distill(tmp_path / "a", experts, CASES["adamw"])
    monkeypatch.setattr(first_set, "place_of_rows", lambda _, device: Offload(device))  # as if the device were a GPU
    assert distill(tmp_path / "b", experts, CASES["adamw"]) == alone


def test_a_run_goes_on_with_its_rows_elsewhere(tmp_path, experts, one_thread):
    whole = distill(tmp_path / "whole", experts, CASES["adamw"], iterations=3)
    for iterations, offload in ((1, "disk"), (2, "none"), (3, "disk")):
        moved = distill(tmp_path / "moved", experts, CASES["adamw"], iterations=iterations, offload=offload)
    assert moved == whole
    assert glad.Run(tmp_path / "moved").config["sharded"] is True


def test_latents_gradients_and_moments_lie_in_the_file(tmp_path, experts, monkeypatch):
    made, make = [], Scratch.make
    monkeypatch.setattr(Scratch, "make", lambda self, like: made.append(list(like.shape)) or make(self, like))
    distill(tmp_path, experts, CASES["adamw"], offload="disk", sharded=False)
    class_, whole = [2, 1, 28, 28], [4, 1, 28, 28]  # a value, a gradient and Adam's two moments of each of two classes
    assert sorted(made) == [class_] * 8 + [whole]


def resident():
    """KiB of this process's memory that are pages of files."""
    status = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith(("RssFile", "RssShmem")))


def test_memory_is_given_back_and_the_file_keeps_its_content(tmp_path):
    scratch, before = Scratch(tmp_path / "new"), resident()
    small, large = (scratch.make(torch.empty(size, 2**20).t()) for size in (1, 16))
    assert large.shape == (2**20, 16) and large.stride() == (1, 2**20)
    large.fill_(3.0), small.fill_(2.0)
    assert resident() - before > 60_000
    scratch.rest()
    assert resident() - before < 8_000
    assert bool((large == 3.0).all()) and bool((small == 2.0).all()) and not list((tmp_path / "new").iterdir())


def test_a_set_larger_than_a_block_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("glad.ranks.offload.BLOCK", 2**13)
    scratch = Scratch(tmp_path)
    tensors = [scratch.make(torch.empty(size)).fill_(size) for size in (1024, 1024, 1, 5000, 3)]
    assert [tensor.unique().tolist() for tensor in tensors] == [[1024.0], [1024.0], [1.0], [5000.0], [3.0]]


def test_a_full_disk_is_said_before_the_first_iteration(tmp_path, experts, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match=naming(f"{tmp_path / 'run'} full make room")):
        distill(tmp_path / "run", experts, CASES["by class"], offload="disk")


def test_the_host_is_for_gpus(tmp_path, experts):
    with pytest.raises(ValueError, match=naming("--offload host GPUs --offload disk")):
        distill(tmp_path, experts, CASES["by class"], offload="host")
