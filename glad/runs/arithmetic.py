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


def arithmetic(device: torch.device | None = None, ranks: int | None = None) -> dict[str, Any]:
    """What this process computes with, as JSON takes it.

    Args:
        device: Where it computes; its name is stated if it is given.
        ranks: How many processes share the work, likewise; bytes do not depend on it.

    Returns:
        ``threads`` and ``instructions`` of the processor, ``conv``, the convolutions, and ``device`` and ``ranks``.
    """
    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "conv": used_convolutions(),
    }
    if device is not None:
        found["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**found, **({} if ranks is None else {"ranks": ranks})}


def resume_arithmetic(recorded: Mapping[str, Any] | None, what: str, here: Mapping[str, Any] | None = None) -> None:
    """Take the number of threads and the convolutions that something began with, and say what differs.

    Args:
        recorded: What :func:`arithmetic` gave at the beginning; None where nothing was recorded.
        what: What goes on, for the note: a path.
        here: What it gives now; asked if None.

    Raises:
        RunError: What was recorded is no number of threads, or no kind of convolutions.
    """
    here = here or arithmetic()
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
    if "device" in recorded and "device" in here and recorded["device"] != here["device"]:
        warnings.warn(
            f"{what} began on {recorded['device']} and goes on with {here['device']}: it will not end with the very "
            "bytes of an uninterrupted run",
            stacklevel=3,
        )
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
