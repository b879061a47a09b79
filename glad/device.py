"""Devices by name, and the memory that the CPU's tensors come from."""

import ctypes
import os
import sys

import torch

KEPT = 256 * 2**20  # bytes
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 32 * 2**20  # bytes; beyond, the C library takes no threshold


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA where there is one. ``ValueError`` when it is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} is not available ({reason}): choose auto, cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        keep_freed_memory()
    return device


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: on a GPU, by torch on this machine (an error without its own class), by Python."""
    own = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    return own or isinstance(error, MemoryError | torch.OutOfMemoryError)


def keep_freed_memory() -> None:
    """Let the C library keep up to 256 MiB that were freed, for what is allocated next.

    Feature maps are some megabytes each. Without this they go back to the system after each layer and come again as
    fresh pages, which takes a tenth of a student's step. Nothing is changed where the environment says how memory is
    allocated, or where the C library is not glibc.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)
