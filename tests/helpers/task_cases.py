"""Tasks for tests of engines; other processes import them."""

import os
import signal
import time
import warnings
from functools import partial
from pathlib import Path

import torch

from cuda_ops.conv3x3 import used_convolutions
from glad.tasks.order import TaskKind


class OwnError(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, code, text):
        super().__init__(text)


def square(folder, n):
    return n * n


def state(folder, n):
    """What a task computes with, and where."""
    time.sleep(0.1)  # so that each process has one
    return os.getpid(), torch.get_num_threads(), used_convolutions(), str(Path.cwd())


def remark(folder, n):
    warnings.warn("all say this", stacklevel=1)
    return n


def fail(folder, n):
    if n == 1:
        raise ValueError("one is refused")
    if n == 2:
        raise OwnError(2, "two is refused")
    return n


def kill_once(folder, n):
    """Die, the first time that number 1 is asked for."""
    if n == 1 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def kill(folder, n):
    if n == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def wait(folder, n):
    """Say that it runs, and do so for long."""
    (folder / f"begun-{os.getpid()}").touch()
    time.sleep(600)


def work(function, folder):
    return TaskKind(function, "task {}".format, folder, partial(Path, folder))


def keys(count):
    return [(n,) for n in range(count)]
