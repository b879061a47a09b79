"""Ranks for long: every objective on every number of ranks, torchrun under SIGKILL, a rank that is late, a cut link."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
import rank_jobs
import torch
from errors import mentions
from processes_end import await_end
from test_ranks import CODES, EXPERTS, PIXELS, digest

import glad
from glad.runs.storage import read_tensors

pytestmark = pytest.mark.slow
SHORT = {"syn_steps": 2, "expert_epochs": 1, "max_start_epoch": 2}
OBJECTIVES = {
    "dm": {"objective_options": {"batch": 4}},
    "dc": {"objective_options": {"batch": 4, "outer": 2, "inner": 1}},
    "datadam": {"objective_options": {"batch": 4}},
    "cf": {"objective_options": {"batch": 4, "frequencies": 8}},
    "mtt": {"objective_options": SHORT},
    "ast": {"objective_options": SHORT},
}
MORE = {
    "logits": {"objective": "datm", "labels": "logits", "objective_options": {**SHORT, "skip_above": 0.0}},
    "norm": {"objective": "dm", "network_options": {"width": 4, "depth": 2, "norm": "batch"}},
    "generator": {"objective": "cf", "prior": CODES, "prior_options": {"learn_g": 1}},
    "unequal": {"objective": "dm", "balance": "proportional", "ipc": 3, "classes": [0, 1, 2, 3, 4]},
    "chosen": {"objective": "dm", "initialization": "nearest", "prior": CODES, "candidates": 4},
}
WORLDS = (1, 2, 3, 4)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(forked, "PATIENCE", 3000)


def every(folder):
    """Runs by name: each objective on pixels and on codes, and what else goes another way."""
    runs = {f"{name}-{prior}": {"objective": name, "prior": prior, **options}
            for name, options in OBJECTIVES.items() for prior in (PIXELS, CODES)}  # fmt: skip
    few = {"prior": PIXELS, "objective_options": {"batch": 4}, "learning_rate": 0.1}
    runs |= {name: {**few, **options} for name, options in MORE.items()}
    for run in runs.values():
        if run["objective"] in ("mtt", "ast", "datm"):
            run["experts"] = str(folder / "experts")
    del runs["logits"]["learning_rate"]
    return runs


def test_every_objective_gives_the_same_bytes_on_one_to_four_ranks(tmp_path):
    small = {key: rank_jobs.SMALL[key] for key in ("data", "classes", "limit", "network_options", "device")}
    glad.train_experts(out=tmp_path / "experts", **small, **EXPERTS)
    runs = every(tmp_path)
    groups = [
        (world, [{**run, "out": str(tmp_path / f"{name}-{world}")} for name, run in runs.items()]) for world in WORLDS
    ]
    results, _, errors = rank_jobs.perform(groups, tmp_path / "processes")
    said = {run: line for run, line in results[0].items() if isinstance(line, str)}
    assert not said, errors[0]
    different = [
        name for name in runs if len({tuple(digest(tmp_path, f"{name}-{world}").values()) for world in WORLDS}) > 1
    ]
    assert not different
    assert read_tensors(tmp_path / "generator-2" / "state.safetensors")[0].keys() > {"digests"}


COMMAND = ["distill", "--objective", "dm", "--prior", PIXELS, "--limit", "40", "--device", "cpu", "-o", "batch=4",
           "--network-option", "width=4", "--save-every", "1", "--rank-timeout", "300"]  # fmt: skip


def children(pid):
    """The processes that ``pid`` started and that run."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def iterations(out):
    """Saved iterations of a run so far."""
    try:
        return int(read_tensors(out / "state.safetensors")[1]["iteration"])
    except (RuntimeError, KeyError):
        return 0


def test_twenty_killed_ranks_under_torchrun_change_no_byte(tmp_path):
    kills, chance = 20, random.Random(0)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [*COMMAND, "--iterations", "300"]
    with (tmp_path / "log").open("w") as log:
        torchrun = subprocess.Popen(
            [*launch, "--max-restarts", "60", "-m", "glad", *options, "--out", str(tmp_path / "killed")],
            stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        done = 0
        for number in range(kills):
            while iterations(tmp_path / "killed") <= done and torchrun.poll() is None:
                time.sleep(0.05)
            time.sleep(0.3 * chance.random())
            done = iterations(tmp_path / "killed")
            if ranks := children(torchrun.pid):
                os.kill(chance.choice(ranks), signal.SIGKILL)
            assert torchrun.poll() is None, f"ended before kill {number}: {(tmp_path / 'log').read_text()[-2000:]}"
        assert torchrun.wait() == 0, (tmp_path / "log").read_text()[-2000:]
    whole = glad.distill(
        objective="dm", prior=PIXELS, limit=40, device="cpu", objective_options={"batch": 4}, iterations=300,
        network_options={"width": 4}, save_every=1, sharded=True, out=tmp_path / "whole",
    )  # fmt: skip
    assert torch.equal(whole.read_set()[0], glad.Run(tmp_path / "killed").read_set()[0])
    assert digest(tmp_path, "whole") == digest(tmp_path, "killed")


def test_ranks_of_the_command_line_and_the_one_line_about_a_killed_one(tmp_path):
    options = [sys.executable, "-m", "glad", *COMMAND, "--out", str(tmp_path / "run"), "--ranks", "2"]
    with subprocess.Popen(
        [*options, "--iterations", "4000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        while not iterations(tmp_path / "run"):
            time.sleep(0.05)
        os.kill(children(command.pid)[1], signal.SIGKILL)
        _, errors = command.communicate()
    assert command.returncode == 1
    lines = [line for line in errors.splitlines() if line.startswith("Error")]
    assert len(lines) == 1 and mentions(lines[0], "rank 1 of 2 died same command"), errors
    ended = subprocess.run(
        [*options, "--iterations", str(iterations(tmp_path / "run") + 1)], capture_output=True, text=True, check=True
    )
    assert ended.stdout.count("finished") == 1 and "Error" not in ended.stderr


def test_ranks_stop_saved_when_the_command_that_started_them_is_killed(tmp_path):
    out, long = f"--out={tmp_path / 'run'}", ["--iterations=100000", "--save-every=99999"]
    arguments = [sys.executable, "-m", "glad", *COMMAND, out, "--ranks=2", *long]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as command:
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            assert command.poll() is None
            time.sleep(0.05)
        ranks = children(command.pid)
        command.kill()
    await_end(ranks, 60)
    assert int(read_tensors(tmp_path / "run" / "state.safetensors")[1]["iteration"]) > 0


def test_a_rank_that_is_late_is_named(tmp_path):
    run = {"objective": "dm", "prior": PIXELS, "objective_options": {"batch": 4}, "out": str(tmp_path / "late")}
    groups = [(2, [{**run, "quirk": "late", "rank_timeout": 5.0, "iterations": 4}])]
    results, _, _ = rank_jobs.perform(groups, tmp_path / "processes")
    assert mentions(results[0]["late@2"], "says rank 1 of 2 within 5 s rank-timeout")
    assert results[1]["late@2"].startswith(("says rank 0 of 2", "silent"))  # the store may have ended with rank 0


def ip(*words):
    return subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def links():
    """Three network namespaces joined by a bridge: their names and the ends of their links on this side."""
    names = [f"glad{os.getpid()}n{n}" for n in range(3)]
    tried = ip("netns", "add", names[0]) if shutil.which("ip") else None
    if tried is None or tried.returncode:
        pytest.skip(f"network namespaces are not allowed: {tried.stderr if tried else 'there is no ip'}")
    bridge, found = f"gb{os.getpid()}", []
    ip("link", "add", bridge, "type", "bridge")
    ip("link", "set", bridge, "up")
    for n, name in enumerate(names):
        ip("netns", "add", name)
        here, there = f"gv{os.getpid()}n{n}", f"e{n}"
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("link", "set", here, "master", bridge)
        ip("link", "set", here, "up")
        for words in (("addr", "add", f"10.231.7.{n + 1}/24", "dev", there), ("link", "set", there, "up"),
                      ("link", "set", "lo", "up")):  # fmt: skip
            ip("-n", name, *words)
        found.append((name, here))
    yield found
    for name in names:
        ip("netns", "del", name)
    ip("link", "del", bridge)


def start(links, out, steps):
    """A rank in each namespace."""
    started = []
    for rank, (name, _) in enumerate(links):
        place = {"RANK": rank, "LOCAL_RANK": 0, "WORLD_SIZE": 3, "MASTER_ADDR": "10.231.7.1", "MASTER_PORT": 29511}
        environ = {**os.environ, **{key: str(value) for key, value in place.items()}, "OMP_NUM_THREADS": "1"}
        environ |= {"GLOO_SOCKET_IFNAME": f"e{rank}", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "glad", *COMMAND[:-1], "20", "--out", str(out)]
        started.append(
            subprocess.Popen([*command, "--iterations", str(steps)], env=environ, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        )  # fmt: skip
    return started


def test_a_cut_link_ends_every_rank_and_the_run_goes_on_over_a_mended_one(links, tmp_path):
    ranks = start(links, tmp_path / "cut", 4000)
    while iterations(tmp_path / "cut") < 2:
        assert all(rank.poll() is None for rank in ranks), [rank.communicate()[1] for rank in ranks]
        time.sleep(0.05)
    ip("link", "set", links[2][1], "down")
    errors = [[line for line in rank.communicate()[1].splitlines() if line.startswith("Error")] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [1, 1, 1]
    assert (
        len(errors[0] + errors[1]) == 1 and "rank 2 of 3 has died, or cannot be reached" in (errors[0] + errors[1])[0]
    )
    assert len(errors[2]) == 1 and "rank 0 of 3 has died, or its machine cannot be reached" in errors[2][0]
    ip("link", "set", links[2][1], "up")
    steps = iterations(tmp_path / "cut") + 2
    assert [(rank.wait(), rank.communicate()[1]) for rank in start(links, tmp_path / "cut", steps)][0][0] == 0
    whole = glad.distill(
        objective="dm", prior=PIXELS, limit=40, device="cpu", objective_options={"batch": 4}, iterations=steps,
        network_options={"width": 4}, save_every=1, sharded=True, out=tmp_path / "whole",
    )  # fmt: skip
    assert torch.equal(whole.read_set()[0], glad.Run(tmp_path / "cut").read_set()[0])
