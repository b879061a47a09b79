"""What serves the operators here, and why, in words."""

import warnings
from collections.abc import Iterator

import torch

from cuda_ops import _cache, _library
from cuda_ops._toolchain import BuildError, find_cxx, find_nvcc


def diagnose() -> list[str]:
    """Lines that say what serves the operators on the CPU and on CUDA, why, and where libraries are kept.

    Loads what a first call would load, and so may compile.
    """
    return [*_device("cpu"), *_cuda(), f"compiler: {_compiler()}", f"compiled libraries: {_cache.folders()[0]}"]


def served_by(device: str) -> dict[str, str]:
    """Load the operators for ``device`` (cpu, cuda, ...), as a first call would, and so perhaps compile.

    Returns:
        What serves them, by device: its kind, its instruction set, and the folder of its file, which
        for a library that was compiled here is the hash of sources, compiler and flags.
    """
    _library.load(device)
    found = {}
    for name in {"cpu", device}:
        served = _library.status()[name]
        folder = served.file.parent.name[:12] if served.file else ""
        found[name] = " ".join(filter(None, [served.by, served.isa, folder]))
    return found


def _device(device: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _library.SlowOperatorsWarning)  # its text is what follows
        try:
            _library.load(device)
        except (ValueError, _library.OperatorsUnavailableError) as error:
            yield from f"{device}: {error}".splitlines()
            return
    served = _library.status()[device]
    where = f" ({served.file})" if served.file else ""
    yield f"{device}: {served.by}{f', {served.isa}' if served.isa else ''}{where}"
    yield from (f"  {line}" for line in served.why.splitlines())
    if served.remedy:
        yield f"  to mend it: {served.remedy}"


def _cuda() -> Iterator[str]:
    if torch.cuda.is_available():
        yield from _device("cuda")
    else:
        yield "cuda: not loaded, as there is no device"


def _compiler() -> str:
    try:
        cxx = str(find_cxx())
    except BuildError as error:
        cxx = str(error)
    try:
        nvcc = str(find_nvcc())
    except BuildError as error:
        nvcc = str(error)
    return f"{cxx}; {nvcc}"
