"""How the native libraries are compiled: the same commands ahead of time and at first use."""

import hashlib
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cuda_ops._toolchain import (
    BuildError,
    Compiler,
    cuda_archs,
    find_cxx,
    find_isa,
    find_ninja,
    find_nvcc,
    gencode,
    wheel_folder,
)

CSRC = Path(__file__).parent / "csrc"

SOURCES = (".cpp", ".h", ".cu", ".cuh")

# Compiled once per instruction set, into a name space of its own each; a library of all chooses when it runs.
# They are linked last and the most demanding at the very end: of an inline function that several objects contain, the
# linker keeps the first, and that one must run on every processor.
PER_ISA = ("cpu/kernels.cpp",)
ISAS = {
    "baseline": (),
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c", "-mprefer-vector-width=512"),
}

# The stable ABI of torch 2.10: one binary serves this release and all later ones.
OLDEST_TORCH = "2.10"
COMMON = ("-std=c++20", "-DTORCH_TARGET_VERSION=0x020a000000000000", "-DTORCH_STABLE_ONLY")
CXX = ("-fPIC", "-fvisibility=hidden", *COMMON)
NVCC = ("-O3", "-Xcompiler=-fPIC,-fvisibility=hidden", "-DUSE_CUDA", *COMMON)
# Kernels are written in vectors: of what -O3 adds in g++ they need the inlining, and all takes twice as long.
HOT = {
    "g++": (
        "-O2",
        *(f"--param={p}" for p in ("max-inline-insns-single=200", "max-inline-insns-auto=30", "inline-min-speedup=15")),
    ),
    "clang++": ("-O3",),
}
COLD = "-O1"  # what checks arguments


@dataclass(frozen=True)
class BuildPlan:
    """How one shared library is made: ``objects`` maps each object file to the command that makes it."""

    library: str
    compiler: Compiler
    objects: Mapping[str, tuple[str, ...]]
    link: tuple[str, ...]
    csrc: Path
    sources: str  # hash of all source files that take part

    @property
    def key(self) -> str:
        """A hash of all that the library depends on, and not of where the sources lie."""
        parts = (
            self.sources,
            str(self.compiler),
            torch.__version__,
            platform.machine(),
            self.link,
            *self.objects.items(),
        )
        return hashlib.sha256(repr(parts).replace(str(self.csrc), "csrc").encode()).hexdigest()[:24]


def cpu_plan(csrc: Path = CSRC, environ: Mapping[str, str] = os.environ, *, local: bool = False) -> BuildPlan:
    """The library with the schemas and the CPU kernels; ``BuildError`` without a compiler for it.

    It serves all processors of this family or, ``local``, the instruction set alone that this one is to use.
    """
    compiler = find_cxx(environ)
    isas = [*ISAS] if platform.machine().lower() in ("x86_64", "amd64") else [*ISAS][:1]
    if local and len(isas) > 1:
        isas = [find_isa(compiler, ISAS, environ)]
    flags = (*CXX, *_includes(), *((f"-DGLAD_ONLY={isas[0]}",) if len(isas) == 1 else ()))
    names = sorted(source.relative_to(csrc).as_posix() for source in [*csrc.glob("*.cpp"), *csrc.glob("cpu/*.cpp")])
    *others, last = [str(csrc / name) for name in names if name not in PER_ISA]
    once = [word for other in others for word in ("-include", other)]  # torch's headers are then read once
    objects = {"operators.o": (*compiler.command, *flags, COLD, *once, "-c", last, "-o", "operators.o")}
    for isa in isas:
        for name in set(PER_ISA).intersection(names):
            target = _object(name, isa)
            which = (*HOT[compiler.family], f"-DGLAD_ISA={isa}", *ISAS[isa])
            objects[target] = (*compiler.command, *flags, *which, "-c", str(csrc / name), "-o", target)
    library = "libglad_cpu.so"
    link = (*compiler.command, "-shared", "-o", library, *objects, *_libraries("torch_cpu"))
    return BuildPlan(library, compiler, objects, link, csrc, source_hash("cpu", csrc))


def cuda_plan(csrc: Path = CSRC, environ: Mapping[str, str] = os.environ) -> BuildPlan:
    """The library with the CUDA kernels; ``BuildError`` without an nvcc that fits torch, or without its sources."""
    nvcc = find_nvcc(environ)
    host = find_cxx(environ).command
    compiler = (*nvcc.command, *(("-ccbin", host[0]) if len(host) == 1 else ()))
    flags = (*NVCC, *_includes())
    flags = (*flags, *(flag for arch in cuda_archs(nvcc, environ) for flag in gencode(arch)))
    objects = {}
    for source in sorted(csrc.glob("cuda/*.cu")):
        target = _object(source.relative_to(csrc).as_posix())
        objects[target] = (*compiler, *flags, "-c", str(source), "-o", target)
    if not objects:
        raise BuildError(f"there are no CUDA sources in {csrc / 'cuda'}", "install glad with its sources")
    library = "libglad_cuda.so"
    # The CUDA runtime must be the one that torch has loaded: its wheel's, where torch came as a wheel.
    wheel = sorted((wheel_folder(nvcc.major) / "lib").glob("libcudart.so.*"))
    runtime = ("-cudart=none", f"-L{wheel[0].parent}", f"-l:{wheel[0].name}") if wheel else ("-cudart=shared",)
    link = (*compiler, "-shared", "-o", library, *objects)
    link = (*link, *_libraries("torch_cpu", "torch_cuda"), *runtime)
    return BuildPlan(library, nvcc, objects, link, csrc, source_hash("cuda", csrc))


PLANS = {"cpu": cpu_plan, "cuda": cuda_plan}
LOCAL_PLANS: dict[str, Callable[..., BuildPlan]] = {**PLANS, "cpu": partial(cpu_plan, local=True)}


def source_hash(device: str, csrc: Path = CSRC) -> str:
    """A hash of names and contents of the files that ``device``'s library is made of."""
    digest = hashlib.sha256()
    for path in sorted([*csrc.glob("*.*"), *csrc.glob(f"{device}/*.*")]):
        if path.suffix in SOURCES:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(csrc).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _includes() -> tuple[str, ...]:
    include = Path(torch.__file__).parent / "include"
    return f"-I{include}", f"-I{include / 'torch' / 'csrc' / 'api' / 'include'}"


def _libraries(*names: str) -> tuple[str, ...]:
    # No run path: whoever loads the library has loaded torch before.
    return f"-L{Path(torch.__file__).parent / 'lib'}", *(f"-l{name}" for name in names)


def _object(source: str, isa: str = "") -> str:
    return ".".join(filter(None, (source.replace("/", "_"), isa, "o")))


def ninja_file(plan: BuildPlan) -> str:
    """The text of the ``build.ninja`` that makes ``plan.library`` in ninja's working folder."""
    return "\n".join(_ninja_lines(plan))


def _ninja_lines(plan: BuildPlan) -> Iterator[str]:
    yield from ("rule run", "  command = $arguments", "  description = $out", "")
    for target, command in plan.objects.items():
        yield from (f"build {target}: run", f"  arguments = {_escape(command)}", "")
    yield from (f"build {plan.library}: run {' '.join(plan.objects)}", f"  arguments = {_escape(plan.link)}", "")


def _escape(command: tuple[str, ...]) -> str:
    return shlex.join(command).replace("$", "$$")


def build(plan: BuildPlan, folder: Path, log: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Make ``plan.library`` in ``folder`` with what the compilers say going to the file ``log``; return its path.

    ``$MAX_JOBS`` bounds how many compilers run at once. Raises ``BuildError`` with the first error of the compiler.
    """
    command = [find_ninja(environ), "-C", str(folder)]
    if jobs := environ.get("MAX_JOBS"):
        command += ["-j", jobs]
    (folder / "build.ninja").write_text(ninja_file(plan))
    with log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env={**environ, "LC_ALL": "C"})
    if done.returncode:
        cause = f"{plan.compiler} fails: {_first_error(log.read_text(errors='replace'))}\nThe whole log: {log}"
        raise BuildError(cause, "mend the cause, or set CXX to another compiler")
    return folder / plan.library


def _first_error(log: str) -> str:
    """The line of a build's log that says most: the first error, otherwise the last line that is not ninja's."""
    lines = [line for line in log.splitlines() if line.strip()]
    speaking = (line for line in lines if re.search(r"\berror\b|\bfatal\b|undefined reference|cannot find -l", line))
    words = [line for line in lines if not line.startswith(("ninja:", "FAILED:", "["))]
    return next(speaking, words[-1] if words else "no output").strip()
