"""What decides on the bits of a run beside its settings: threads, the processor's instructions, convolutions.

Draws are the same on every machine (``generators.draws``); sums are not: a convolution adds in another order under
another number of threads or wider vectors, and its last bits differ; so they do under Winograd's algorithm. What goes
on therefore takes the threads and the convolutions that it began with, and says where the instructions are other ones.
"""

import warnings
from collections.abc import Mapping
from typing import Any, get_args

import torch

from cuda_ops.conv3x3 import Convolutions, use_convolutions, used_convolutions
from glad.runs.storage import RunError

MOST_THREADS = 4096


def arithmetic() -> dict[str, Any]:
    """The threads, the instruction set and the convolutions of this process, as JSON takes them."""
    return {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "conv": used_convolutions(),
    }


def resume_arithmetic(recorded: Mapping[str, Any] | None, what: str) -> None:
    """Take the number of threads and the convolutions that something began with, and say what differs.

    Args:
        recorded: What :func:`arithmetic` gave at the beginning; None where nothing was recorded.
        what: What goes on, for the note: a path.

    Raises:
        RunError: What was recorded is no number of threads, or no kind of convolutions.
    """
    here = arithmetic()
    if recorded:
        _check(recorded, what)
    use_convolutions((recorded or {}).get("conv", "direct"))  # those of earlier versions, which had no others
    if recorded and used_convolutions() != here["conv"]:
        warnings.warn(
            f"{what} began with {used_convolutions()} convolutions and goes on with them, not with {here['conv']}: its "
            "bytes depend on it",
            stacklevel=3,
        )
    if not recorded:
        warnings.warn(
            f"{what} did not record its number of threads: it goes on with {here['threads']} and direct convolutions, "
            "and ends with the bytes of an uninterrupted run if it began with as many",
            stacklevel=3,
        )
        return
    threads = recorded["threads"]
    if threads != here["threads"]:
        warnings.warn(
            f"{what} began with {threads} thread{'s' * (threads > 1)} and goes on with as many, not with "
            f"{here['threads']}: its bytes depend on it",
            stacklevel=3,
        )
        torch.set_num_threads(threads)
    if recorded.get("instructions") != here["instructions"]:
        warnings.warn(
            f"{what} began on a processor with {recorded.get('instructions')} and goes on with {here['instructions']}: "
            "it will not end with the very bytes of an uninterrupted run",
            stacklevel=3,
        )


def _check(recorded: Mapping[str, Any], what: str) -> None:
    stated = recorded if isinstance(recorded, Mapping) else {}  # a damaged file holds anything
    threads, conv = stated.get("threads"), stated.get("conv", "direct")
    if type(threads) is not int or not 1 <= threads <= MOST_THREADS:
        raise RunError(f"{what} is damaged: its number of threads is {threads!r}, not one from 1 to {MOST_THREADS}")
    if conv not in get_args(Convolutions):
        raise RunError(f"{what} is damaged: its convolutions are {conv!r}, not {' or '.join(get_args(Convolutions))}")
