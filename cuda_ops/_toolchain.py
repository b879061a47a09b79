"""The compilers that build the operators' native libraries: where they are, and whether they will do."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

# The first releases whose -std=c++20 covers what torch's headers use.
OLDEST = {"g++": 11, "clang++": 13}

# One entry per generation that nvcc 13 compiles for; the last one's PTX serves whatever comes later.
CUDA_ARCHS = "7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX"


class BuildError(RuntimeError):
    """Why a native library cannot be built here, in one or two lines, and in ``remedy`` what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.remedy = remedy


@dataclass(frozen=True)
class Compiler:
    """A compiler's command line, its family (``g++``, ``clang++`` or ``nvcc``) and its version."""

    command: tuple[str, ...]
    family: str
    version: str

    def __str__(self) -> str:
        return f"{self.family} {self.version} ({shlex.join(self.command)})"

    @property
    def major(self) -> int:
        """The version's first number."""
        return int(self.version.split(".")[0])


def find_cxx(environ: Mapping[str, str] = os.environ) -> Compiler:
    """``$CXX``, otherwise the first of ``c++``, ``g++`` and ``clang++`` that knows C++20.

    Raises ``BuildError`` where there is none.
    """
    too_old = []
    for command in _cxx_commands(environ):
        compiler = _identify(command, environ)
        if compiler.major >= OLDEST.get(compiler.family, 0):
            return compiler
        too_old.append(compiler)
    if too_old:
        known = " or ".join(f"{family} {major}" for family, major in OLDEST.items())
        old = too_old[0]
        cause = f"{old.family} {old.version} is too old: C++20 needed, set CXX"
        raise BuildError(cause, f"install {known} or newer and set CXX to it")
    raise BuildError("there is no C++ compiler on PATH", "install g++ or clang++, or set CXX")


def _cxx_commands(environ: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    path = environ.get("PATH", "")
    if chosen := shlex.split(environ.get("CXX", "")):
        if not (found := shutil.which(chosen[0], path=path)):
            raise BuildError(f"CXX={environ['CXX']} is not a program", "set CXX to a C++20 compiler, or unset it")
        yield (found, *chosen[1:])
        return
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name, path=path):
            yield (found,)


def _identify(command: tuple[str, ...], environ: Mapping[str, str]) -> Compiler:
    text = _run((*command, "--version"), environ)
    if clang := re.search(r"clang version (\d+(?:\.\d+)*)", text):
        return Compiler(command, "clang++", clang[1])
    if gcc := re.search(r"\) (\d+\.\d+(?:\.\d+)?)", text.partition("\n")[0]):
        return Compiler(command, "g++", gcc[1])
    first = next(iter(text.splitlines()), "it does not say what it is")
    raise BuildError(f"{shlex.join(command)} is neither g++ nor clang++: {first}", "set CXX to one of them")


def find_isa(compiler: Compiler, isas: Mapping[str, tuple[str, ...]], environ: Mapping[str, str] = os.environ) -> str:
    """``$GLAD_ISA`` if this processor has it, otherwise the best that it has of ``isas``, sets with their flags.

    ``compiler`` is asked what the processor has, since both must know an instruction.
    """
    macros = _run((*compiler.command, "-march=native", "-dM", "-E", "-x", "c++", os.devnull), environ).split()
    needed = {isa: [f"__{flag[2:].upper()}__" for flag in flags if "=" not in flag] for isa, flags in isas.items()}
    there = [isa for isa, names in needed.items() if set(names) <= set(macros)]
    return named if (named := environ.get("GLAD_ISA", "")) in there else there[-1]


def _run(command: tuple[str, ...], environ: Mapping[str, str]) -> str:
    # Compilers translate what they say; the patterns here are English.
    env = {**environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=env, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{shlex.join(command)} does not run: {error}", "set CXX, or mend the compiler") from error
    return done.stdout


def find_ninja(environ: Mapping[str, str] = os.environ) -> str:
    """The program of the ``ninja`` package, otherwise the one on ``PATH``; ``BuildError`` without either."""
    path = environ.get("PATH", "")
    with suppress(ImportError):
        path = os.pathsep.join((importlib.import_module("ninja").BIN_DIR, path))
    if found := shutil.which("ninja", path=path):
        return found
    raise BuildError("there is no ninja", "pip install ninja")


def find_nvcc(environ: Mapping[str, str] = os.environ) -> Compiler:
    """The nvcc that fits the running torch: of ``$CUDA_HOME``, on ``PATH``, or of the ``nvidia`` wheels.

    Raises ``BuildError`` where torch is built without CUDA, or no nvcc has torch's major version.
    """
    if not torch.version.cuda:
        raise BuildError("torch is built without CUDA", "install a CUDA build of torch")
    needed = int(torch.version.cuda.split(".")[0])
    others = []
    for path in _nvcc_paths(environ, needed):
        release = re.search(r"release (\d+\.\d+)", _run((path, "--version"), environ))
        found = Compiler((path,), "nvcc", release[1] if release else "0")
        if found.major == needed:
            return found
        others.append(str(found))
    remedy = f"install the CUDA toolkit {needed}.x and set CUDA_HOME to its folder"
    if others:
        raise BuildError(f"torch is built for CUDA {torch.version.cuda}, but there is {', '.join(others)}", remedy)
    raise BuildError("there is no nvcc in CUDA_HOME or on PATH", remedy)


def _nvcc_paths(environ: Mapping[str, str], major: int) -> Iterator[str]:
    home = environ.get("CUDA_HOME")
    folders = (Path(home, "bin") if home else None, environ.get("PATH"), wheel_folder(major) / "bin")
    yield from filter(None, (shutil.which("nvcc", path=str(folder)) for folder in folders if folder))


def wheel_folder(major: int) -> Path:
    """Where the ``nvidia`` wheels that torch depends on put this CUDA version."""
    return Path(torch.__file__).parents[1] / "nvidia" / f"cu{major}"


def cuda_archs(nvcc: Compiler, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The compute capabilities to compile for, such as ``("8.0", "12.0+PTX")``.

    ``$TORCH_CUDA_ARCH_LIST``, otherwise those of the visible devices, otherwise all of ``CUDA_ARCHS`` that ``nvcc``
    knows. Raises ``BuildError`` on an entry that is no capability, or a device that ``nvcc`` does not know.
    """
    if asked := re.findall(r"[^;, ]+", environ.get("TORCH_CUDA_ARCH_LIST", "")):
        for arch in asked:
            if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", arch):
                remedy = f"set it like {CUDA_ARCHS}"
                raise BuildError(f"TORCH_CUDA_ARCH_LIST has {arch!r}, which is no compute capability", remedy)
        return tuple(asked)
    known = set(re.findall(r"compute_(\d+)\b", _run((*nvcc.command, "--list-gpu-arch"), environ)))
    if torch.cuda.is_available():
        devices = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
        for major, minor in devices:
            if f"{major}{minor}" not in known:
                cause = f"nvcc {nvcc.version} does not compile for a device of compute capability {major}.{minor}"
                raise BuildError(cause, "set TORCH_CUDA_ARCH_LIST to one that it knows, with +PTX")
        return tuple(f"{major}.{minor}" for major, minor in sorted(devices))
    return tuple(arch for arch in CUDA_ARCHS.split(";") if arch.removesuffix("+PTX").replace(".", "") in known)


def gencode(arch: str) -> tuple[str, ...]:
    """nvcc's flags for one entry of the list: machine code, and PTX for later devices where it ends in ``+PTX``."""
    number = arch.removesuffix("+PTX").replace(".", "")
    flags = (f"-gencode=arch=compute_{number},code=sm_{number}",)
    return (*flags, f"-gencode=arch=compute_{number},code=compute_{number}") if arch.endswith("+PTX") else flags
