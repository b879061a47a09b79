"""SIGTERM and Ctrl-C end a run between two iterations, with its state saved, one line, and the usual exit status."""

import os
import signal
import threading

import forked
import pytest
from distilled_sets import invoke

from glad.runs.interrupts import STATUS, Interrupts, Terminated
from glad.runs.storage import read_tensors

SMALL = ("--prior", "pixels", "--limit", "60", "--network-option", "width=4", "-o", "batch=4", "--device", "cpu")
LENGTH = ("--iterations", "8", "--save-every", "50")

# A signal in iteration 5: while the objective is at work, or between two iterations.
ENDED = """
import os, signal, sys, torch
from glad.cli import main
from glad.objectives.dm import DM
from glad.api.monitor import Monitor

number, place = int(sys.argv[1]), sys.argv[2]
def send(): os.kill(os.getpid(), number)

terms, record = DM.terms, Monitor.record
def noisy_terms(self, images, labels, step):
    for term in terms(self, images, labels, step):
        yield term
        if place == "terms" and step.iteration == 5: send()
def noisy_record(self, iteration, metrics):
    if place == "record" and iteration == 5: send()
    record(self, iteration, metrics)
DM.terms, Monitor.record = noisy_terms, noisy_record
main(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    invoke("distill", *SMALL, *LENGTH, "--out", out)
    return out


@pytest.mark.parametrize(("place", "done"), [("terms", 5), ("record", 6)])
@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGTERM, 143, "Terminated. What is finished is saved, and the same command continues."),
        (signal.SIGINT, 130, "Interrupted. The same command continues from the last saved state."),
    ],
)
def test_a_signal_saves_every_finished_iteration(tmp_path, whole, place, done, number, status, line):
    arguments = ("distill", *SMALL, *LENGTH, "--out", tmp_path / "run")
    ended = forked.start(ENDED, int(number), place, *arguments, PYTHONWARNINGS="default")
    assert ended.returncode == status, ended.stderr
    assert line in ended.stderr and "Traceback" not in ended.stderr
    assert int(read_tensors(tmp_path / "run" / "state.safetensors")[1]["iteration"]) == done
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == done
    assert not (tmp_path / "run" / "synset.safetensors").exists()
    invoke(*arguments)
    for name in ("synset.safetensors", "metrics.jsonl", "grid_000008.png"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes(), name


def test_from_python_the_process_ends_with_the_status_of_sigterm(tmp_path):
    code = """
import os, signal, sys, glad
glad.distill(prior="pixels", limit=60, network_options={"width": 4}, objective_options={"batch": 4}, device="cpu",
    iterations=8, out=sys.argv[1], on_step=lambda i, _: i == 3 and os.kill(os.getpid(), signal.SIGTERM))
"""
    ended = forked.start(code, tmp_path / "run", PYTHONWARNINGS="default")
    assert ended.returncode == STATUS and "Traceback" not in ended.stderr, ended.stderr
    assert int(read_tensors(tmp_path / "run" / "state.safetensors")[1]["iteration"]) == 4


def test_other_commands_end_with_a_line_too(whole):
    code = """
import os, signal, sys
from glad.cli import main
import glad.evaluation.training as training

def send(*_, **__): os.kill(os.getpid(), signal.SIGTERM)
training.train_network = send
main(sys.argv[1:])
"""
    options = ("--networks", "convnet", "--network-option", "convnet.width=4", "--seeds", "1", "--epochs", "1")
    ended = forked.start(code, "evaluate", whole, *options, "--device", "cpu", PYTHONWARNINGS="default")
    assert ended.returncode == STATUS, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("Terminated. What is finished is saved")


def send(number):
    """Send a signal to this process, and let its handler come."""
    os.kill(os.getpid(), number)
    for _ in range(100):
        pass


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_what_is_held_comes_at_the_end_of_the_block(number, raised):
    before, reached = signal.getsignal(number), []
    with pytest.raises(raised), Interrupts() as interrupts:
        with interrupts.held():
            with interrupts.held():
                send(number)
            reached.append("inner")
            reached.append("end")
        reached.append("after")
    assert reached == ["inner", "end"] and signal.getsignal(number) is before
    with pytest.raises(raised), Interrupts():
        send(number)
    with pytest.raises(ValueError, match="its own"), Interrupts() as interrupts, interrupts.held():
        send(number)
        raise ValueError("its own")
    assert signal.getsignal(number) is before


def test_blocks_in_blocks_and_a_second_signal():
    with pytest.raises(Terminated), Interrupts() as outer:
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(Terminated), Interrupts():
            send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == handler  # the outer block's again
        with outer.held():
            send(signal.SIGTERM)
    assert Terminated().code == STATUS


def test_handlers_of_ones_own_and_other_threads_are_left_alone():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("own"))
    try:
        with Interrupts():
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["own"]
    handlers = []

    def enter():
        with Interrupts():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [before]
