"""Ranks as processes of one machine: each takes part in groups of several sizes, one after the other.

A plan is a list of groups, each with its number of ranks and its runs; process n is rank n of every group that has so
many. A run is a dict of arguments of ``glad.distill``, with an entry ``quirk`` for what only some rank does.
"""

import json
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import forked
import torch.distributed as dist

import glad
from glad.api import distilling, running
from glad.ranks import group

START = "import sys, rank_jobs; rank_jobs.serve(int(sys.argv[1]), sys.argv[2])"
SMALL = {
    "data": "fashion-mini", "classes": [0, 1, 2, 3], "limit": 40, "iterations": 2, "device": "cpu", "save_every": 1,
    "network_options": {"width": 4, "depth": 2}, "rank_timeout": 300.0, "sharded": True,
}  # fmt: skip


OTHER = {"other seed": {"seed": 1}, "other data": {"limit": 36}}  # arguments of rank 1
PATCHED = {
    "other version": lambda: patch.object(distilling, "VERSION", "0.0"),
    "other operators": lambda: patch.object(running, "served_by", lambda device: {device: "magic"}),
}


class Told:
    """An objective of one's own that says nothing of classes."""

    def __init__(self, real):
        self.real = real

    def terms(self, images, labels, step):
        for c in labels.unique().tolist():
            goal = self.real(c, 4, step.rng(f"real {c}")).mean(0)
            yield (images[labels == c].mean(0) - goal).square().sum()

    def tensors(self):
        return {}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def perform(groups, folder):
    """Results of every process by run, ``NAME@RANKS``: its notes about ranks, or what was wrong, as a text."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = [{"world": world, "port": free_port(), "runs": runs} for world, runs in groups]
    (folder / "plan.json").write_text(json.dumps(plan))
    count = max(world for world, _ in groups)
    places = {"cwd": folder, "ELSEWHERE": str(folder.parent), "PYTHONWARNINGS": "default"}
    started = [forked.start(START, number, folder, **places) for number in range(count)]
    codes = [process.returncode for process in started]
    files = [folder / f"{number}.json" for number in range(count)]
    results = [json.loads(file.read_text()) if file.exists() else None for file in files]
    return results, codes, [process.stderr for process in started]


def serve(number, folder):
    folder = Path(folder)
    refuse_objects()
    running.PATIENCE = 1.0
    results = {}
    for entry in json.loads((folder / "plan.json").read_text()):
        if number >= entry["world"]:
            continue
        place = {"RANK": number, "WORLD_SIZE": entry["world"], "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": entry["port"]}
        os.environ |= {name: str(value) for name, value in place.items()}
        if entry["world"] == 1:
            del os.environ["RANK"]
        for run in entry["runs"]:
            results[f"{Path(run['out']).name}@{entry['world']}"] = attempt(number, run)
            results["seconds"] = time.process_time()
            (folder / f"{number}.json").write_text(json.dumps(results))
        group._leave()  # so that another can be joined


def refuse_objects():
    """Let every collective of objects raise: they unpickle what another machine sends."""

    def refuse(*_, **__):
        raise AssertionError("a collective of objects")

    for name in [name for name in dir(dist) if "object" in name]:
        setattr(dist, name, refuse)


def attempt(rank, run):
    """Distill; what was wrong, with ``silent`` before it where another rank says it."""
    run = {**SMALL, **run}
    quirk = run.pop("quirk", None)
    if quirk in OTHER and rank == 1:
        run |= OTHER[quirk]
    if quirk == "other folder" and rank == 1:
        os.chdir(os.environ["ELSEWHERE"])

    def watch(iteration, metrics):
        if quirk == "killed" and rank == 1 and iteration == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if quirk == "broken" and rank == 1 and iteration == 1:
            raise MemoryError("no memory left")
        if quirk == "terminated" and rank == 1 and iteration == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if quirk == "late" and rank == 1 and iteration == 1:
            time.sleep(30)

    try:
        with warnings.catch_warnings(record=True) as said, PATCHED.get(quirk if rank == 1 else "", nullcontext)():
            warnings.simplefilter("always")
            glad.distill(**run, on_step=watch)
    except SystemExit as end:
        return f"ends with {end.code}"
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return f"{'silent' if getattr(error, 'silent', False) else 'says'} {error}"
    return [str(note.message) for note in said if "rank" in str(note.message)]
