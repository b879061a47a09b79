"""Which native libraries serve the operators, and why: found, built or replaced at the first call of an operator.

Importing this module, or an operator's, compiles nothing, loads nothing and needs no CUDA. At the first call come, in
this order, the library made by ``setup.py``, one compiled now and kept for the next process, and the reference in plain
torch, with one warning. ``GLAD_OPS=fused`` makes that warning an error, ``GLAD_OPS=reference`` skips the libraries.
"""

import ctypes
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.torch_version import TorchVersion

from cuda_ops import _build, _cache, _prebuilt, dispatch
from cuda_ops._progress import BuildProgress, expected
from cuda_ops._toolchain import BuildError
from cuda_ops.dispatch import Operator

PREBUILT, JIT, REFERENCE = "prebuilt library", "library compiled here", "reference in plain torch"
INSTALL = "GLAD_BUILD_OPS=1 pip install --no-build-isolation ."

# Seconds that the longest file takes to compile on an idle core, for the line that is shown meanwhile.
SECONDS = {"cpu": 15, "cuda": 45}


class SlowOperatorsWarning(RuntimeWarning):
    """The operators run in plain torch because no native library could be loaded; it says why, once."""


class OperatorsUnavailableError(RuntimeError):
    """``GLAD_OPS=fused`` asks for native libraries, and there are none."""


@dataclass(frozen=True)
class Served:
    """What serves the operators on a device: ``by`` is ``PREBUILT``, ``JIT`` or ``REFERENCE``."""

    by: str
    why: str
    file: Path | None = None
    isa: str | None = None  # the instruction set that the CPU library chose
    remedy: str | None = None  # the command that would make the reference a library


class Libraries:
    """The operators of one name space and what serves them, decided once per device and process."""

    def __init__(
        self,
        namespace: str,
        csrc: Path = _build.CSRC,
        prebuilt: Path = _prebuilt.FOLDER,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.namespace = namespace
        self.csrc = csrc
        self.prebuilt = prebuilt
        self.environ = environ
        self.served: dict[str, Served] = {}
        self._found: dict[str, Served] = {}
        self._operators: list[Operator] = []
        self._registrations: torch.library.Library | None = None
        self._lock = threading.RLock()

    def register(self, operator: Operator) -> None:
        """Note ``operator``; torch learns of it when the libraries are loaded."""
        if self._registrations is not None:
            raise RuntimeError(f"operator {operator.name} comes after the libraries were loaded")
        self._operators.append(operator)

    def load(self, device: str) -> None:
        """Make the operators available in ``torch.ops``, served as well as can be on ``device`` ("cpu", "cuda", ...).

        Raises ``ValueError`` on an unknown ``GLAD_OPS``, and ``OperatorsUnavailableError`` if it is ``fused`` in vain.
        """
        if device in self.served:
            return
        with self._lock:
            for needed in ("cpu", device):  # the CPU library has the schemas of all
                if needed not in self.served:
                    self._settle(needed, self._decide(needed))

    def _settle(self, device: str, served: Served) -> None:
        if device == "cpu":
            self._define(with_schemas=served.by == REFERENCE)
        self.served[device] = served
        if served.remedy:
            text = f"glad: the operators run in plain torch on {device}, several times slower.\n{served.why}\n"
            warnings.warn(f"{text}To mend it: {served.remedy}", SlowOperatorsWarning, stacklevel=5)

    def _decide(self, device: str) -> Served:
        mode = self.environ.get("GLAD_OPS", "")
        if mode not in ("", "fused", "reference"):
            raise ValueError(f"GLAD_OPS must be fused or reference, or not set, not {mode!r}")
        if (isa := self.environ.get("GLAD_ISA", "")) not in ("", *_build.ISAS):
            raise ValueError(f"GLAD_ISA must be {' or '.join(_build.ISAS)}, or not set, not {isa!r}")
        if mode == "reference":
            return Served(REFERENCE, "GLAD_OPS=reference asks for it")
        if device not in self._found:
            self._found[device] = self._find(device)
        served = self._found[device]
        if mode == "fused" and served.by == REFERENCE and device != "meta":
            remedy = f"\nTo mend it: {served.remedy}" if served.remedy else ""
            raise OperatorsUnavailableError(f"GLAD_OPS=fused, but on {device} there are none.\n{served.why}{remedy}")
        return served

    def _find(self, device: str) -> Served:
        """Load a native library for ``device``, or say why there is none."""
        if device not in _build.PLANS:
            return Served(REFERENCE, f"there are kernels for {' and '.join(_build.PLANS)} only")
        needed = _build.OLDEST_TORCH
        if TorchVersion(torch.__version__) < needed:
            why = f"torch {torch.__version__} is too old for the native libraries: {needed} needed"
            return Served(REFERENCE, why, remedy=f'pip install "torch>={needed}"')
        try:
            return self._open_prebuilt(device)
        except (BuildError, OSError) as error:
            no_prebuilt = error
        try:
            return replace(self._compile(device), why=f"no prebuilt library: {no_prebuilt}")
        except (BuildError, OSError) as error:
            remedy = error.remedy if isinstance(error, BuildError) else INSTALL
            why = f"No prebuilt library: {no_prebuilt}\nNo library compiled here: {error}"
            return Served(REFERENCE, why, remedy=remedy)

    def _open_prebuilt(self, device: str) -> Served:
        if unfit := _prebuilt.misfit(device, self.prebuilt, self.csrc):
            raise BuildError(unfit, INSTALL)
        return _open(_prebuilt.library(device, self.prebuilt), PREBUILT, "built ahead of time from these sources")

    def _compile(self, device: str) -> Served:
        plan = _build.LOCAL_PLANS[device](self.csrc, self.environ)
        progress = BuildProgress(device, expected(SECONDS[device], len(plan.objects)))
        file = _cache.obtain(plan, progress, self.environ)
        try:
            return _open(file, JIT, "")
        except OSError:
            # Whole, yet made for another machine that shares this folder: made again once.
            return _open(_cache.obtain(plan, progress, self.environ, rejected=_cache.digest(file)), JIT, "")

    def _define(self, with_schemas: bool) -> None:
        """Tell torch of the operators: schemas if no library has brought them, reference, fake kernel, derivatives."""
        library = torch.library.Library(self.namespace, "FRAGMENT")
        if with_schemas:
            for schema in schemas(self.csrc / "ops.cpp"):
                library.define(schema)
        for operator in self._operators:
            dispatch.register(library, operator)
        self._registrations = library  # its registrations last as long as it


def _open(file: Path, by: str, why: str) -> Served:
    torch.ops.load_library(file)
    symbol = getattr(ctypes.CDLL(str(file)), "glad_cpu_isa", None)
    if symbol is None:
        return Served(by, why, file)
    symbol.restype = ctypes.c_char_p
    return Served(by, why, file, isa=symbol().decode())


def schemas(source: Path) -> Iterator[str]:
    """The operators' schemas as ``source`` writes them: ``m.def("...");``, each in one line."""
    return iter(re.findall(r'^\s*m\.def\("([^"]+)"\);', source.read_text(), re.MULTILINE))


LIBRARIES = Libraries("glad")


def register(operator: Operator) -> None:
    """Note ``operator`` at import; torch learns of it in ``load``."""
    LIBRARIES.register(operator)


def load(device: str) -> None:
    """Make ``torch.ops.glad`` available, served as well as can be on ``device``; see ``Libraries``."""
    LIBRARIES.load(device)


# What ``torch.compiler.assume_constant_result`` does, without importing the compiler: a tracer calls ``load`` while it
# traces, instead of tracing it.
load._dynamo_marked_constant = True  # type: ignore[attr-defined]


def has_kernels(device: str) -> bool:
    """Whether compiled kernels serve the operators on ``device``; loads them if that has not been done."""
    load(device)
    return LIBRARIES.served[device].by != REFERENCE


def status() -> dict[str, Served]:
    """What serves the operators on the devices that have been asked for so far."""
    return dict(LIBRARIES.served)
