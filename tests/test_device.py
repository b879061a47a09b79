"""Devices by name, and what becomes of freed memory."""

import sys

import forked
import pytest
from errors import naming

from glad.device import pick_device

FAULTS = """
import ctypes
import resource
import torch
from glad.device import M_MMAP_THRESHOLD, pick_device

ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**17)  # glibc's first value, which else grows as memory happens to lie
if {pick}:
    pick_device("cpu")

def maps():
    kept = [torch.ones(2**21) for _ in range(6)]  # 8 MiB each

for _ in range(3):
    maps()
before = resource.getrusage(resource.RUSAGE_SELF)
for _ in range(8):
    maps()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before.ru_minflt)
"""


def test_an_unknown_device_is_named():
    with pytest.raises(ValueError, match=naming("abacus")):
        pick_device("abacus")


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_used_again():
    faults = [int(forked.run(FAULTS.format(pick=pick), ".", THP_MEM_ALLOC_ENABLE="0").stdout) for pick in (0, 1)]
    assert faults[1] * 10 < faults[0]
