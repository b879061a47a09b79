"""Random calls of the CPU kernels in a program of its own, built under sanitizers, with bugs planted on demand.

The program is ``cpu_sweep.cpp``. Bugs are planted into a copy of the kernels' sources, each behind a number that the
program is given, so that one build has them all and none of them runs at 0.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cuda_ops._build import CSRC, ISAS

OPERATORS = ("operators.cpp", "conv3x3.cpp")  # on torch's tensors
PROGRAM = Path(__file__).with_suffix(".cpp")
FAMILIES = ("upfirdn2d", "filtered_lrelu", "bias_act", "norm_pool", "winograd", "narrow_conv")
OVERFLOW, RACE, UNDEFINED = "heap-buffer-overflow", "ThreadSanitizer: data race", "runtime error: "
UNINITIALIZED = "MemorySanitizer: use-of-uninitialized-value"
MEMORY, THREADS, CLANG_MEMORY = "address,undefined", "thread", "memory"  # what -fsanitize= takes
X86 = platform.machine().lower() in ("x86_64", "amd64")


@dataclass(frozen=True)
class Bug:
    """One that the sanitizer must name in ``report``: in ``file``, ``right`` becomes ``wrong`` when it is planted."""

    family: str
    report: str
    file: str
    right: str
    wrong: str

    @property
    def sanitizers(self) -> str:
        return {RACE: THREADS, UNINITIALIZED: CLANG_MEMORY}.get(self.report, MEMORY)


# In `wrong`, BUG is 1 when this bug is planted and 0 else.
BUGS = {
    "row written one below": Bug(
        *("upfirdn2d", OVERFLOW, "upfirdn2d.h"),
        "[=](int64_t o, V s) { out[o] = s; });\n        to.write(y, out);",
        "[=](int64_t o, V s) { out[o] = s; });\n        to.write(y + BUG, out);",
    ),
    "stripe one row too long": Bug(
        *("upfirdn2d", RACE, "upfirdn2d.h"),
        "end = p_.y.h * (tile + 1) / p_.tiles;",
        "end = std::min(p_.y.h, p_.y.h * (tile + 1) / p_.tiles + BUG);",
    ),
    "ring one turn too far": Bug(
        *("filtered_lrelu", OVERFLOW, "filtered_lrelu.h"), "(m & (ring_ - 1)) *", "((m & (ring_ - 1)) + BUG * ring_) *"
    ),
    "streamed stripe one row too long": Bug(
        *("filtered_lrelu", RACE, "filtered_lrelu.h"),
        "end = p_.y.h * (tile + 1) / p_.tiles;",
        "end = std::min(p_.y.h, p_.y.h * (tile + 1) / p_.tiles + BUG);",
    ),
    "lane beyond the vector": Bug(
        *("filtered_lrelu", UNDEFINED + "index", "planes.h"),
        "for (int l = 0; l < L; ++l) values[l] = plane",
        "for (int l = 0; l < L + BUG; ++l) values[l] = plane",
    ),
    "scratch not cleared": Bug(
        *("filtered_lrelu", UNINITIALIZED, "planes.h"),
        "std::memset(static_cast<void*>(data_.get()), 0, count * sizeof(V));",
        "if (!BUG) std::memset(static_cast<void*>(data_.get()), 0, count * sizeof(V));",
    ),
    "rest of a chunk one too long": Bug(
        *("bias_act", OVERFLOW, "bias_act.h"),
        "Element<T>::write(part, load<V>(x_ + k));\n      std::copy_n(part, n - k, y + k);",
        "Element<T>::write(part, load<V>(x_ + k));\n      std::copy_n(part, n - k + BUG, y + k);",
    ),
    "chunk one element too long": Bug(
        *("bias_act", RACE, "kernels.cpp"), "(p).run(begin, end);", "(p).run(begin, std::min(end + BUG, p.count));"
    ),
    "no entry of the bias": Bug(
        *("bias_act", UNDEFINED + "division by zero", "bias_act.h"),
        "(i + k) / p_.bias_stride % p_.bias_count;",
        "(i + k) / p_.bias_stride % (p_.bias_count * !BUG);",
    ),
    "pooled row one too long": Bug(
        *("norm_pool", OVERFLOW, "norm_pool.h"),
        "j < p_.w / 2; ++j) y[j] = T(0.25)",
        "j < p_.w / 2 + BUG; ++j) y[j] = T(0.25)",
    ),
    "plane of the neighbor": Bug(
        *("norm_pool", RACE, "kernels.cpp"),
        "i = begin; i < end; ++i) task.run(i);\n  };\n  p.type",
        "i = begin - (BUG && begin > 0); i < end; ++i) task.run(i);\n  };\n  p.type",
    ),
    "last pixels one too many": Bug(
        *("winograd", OVERFLOW, "channel_vectors.h"),
        "std::copy_n(part, count, x + l * plane_ + q);",
        "std::copy_n(part, count + BUG, x + l * plane_ + q);",
    ),
    "block of tiles one row too long": Bug(
        *("winograd", RACE, "winograd.h"),
        "std::min((i + 1) * p_.rows, p_.n * down_)",
        "std::min((i + 1) * p_.rows + BUG, p_.n * down_)",
    ),
    "pixels of a row one too many": Bug(
        *("narrow_conv", OVERFLOW, "narrow_conv.h"),
        "std::copy_n(part, count, to);",
        "std::copy_n(part, count + BUG, to);",
    ),
    "image of the neighbor": Bug(
        *("narrow_conv", RACE, "narrow_conv.h"),
        "    int64_t k = 0;\n",
        "    int64_t k = 0;\n    if (BUG && image > 0) rows<1>(padded, image - 1, 0);\n",
    ),
}
NUMBERS = {name: number for number, name in enumerate(BUGS, 1)}


@dataclass(frozen=True)
class Build:
    """How the program is built: ``compiler`` is a command, ``sanitizers`` what ``-fsanitize=`` takes."""

    compiler: str
    sanitizers: str
    optimize: str = "-O0"
    every_isa: bool = False  # else the plain one
    planted: bool = True  # whether bugs are in it

    def flags(self) -> tuple[str, ...]:
        check = (f"-fsanitize={self.sanitizers}", "-fno-sanitize-recover=all")
        return ("-std=c++20", "-g1", "-pthread", self.optimize, *check)


def require(build: Build, folder: Path) -> None:
    """Skip the test where the compiler, or the sanitizer's library, is missing."""
    if not shutil.which(build.compiler):
        pytest.skip(f"there is no {build.compiler}")
    source, program = folder / "empty.cpp", folder / f"empty-{Path(build.compiler).name}-{build.sanitizers}"
    source.write_text("int main() {}\n")
    command = [build.compiler, f"-fsanitize={build.sanitizers}", str(source), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, check=False)
    if built.returncode or subprocess.run([program], capture_output=True, check=False).returncode:
        pytest.skip(f"no program of {build.compiler} runs under -fsanitize={build.sanitizers} here")


def program(build: Build, folder: Path) -> Path:
    """The program of ``build``, kept in ``folder`` from run to run for as long as its sources are the same."""
    require(build, folder)
    sources = {path.name: path.read_text() for path in sorted((CSRC / "cpu").iterdir()) if path.name not in OPERATORS}
    sources[PROGRAM.name] = PROGRAM.read_text()
    sources = _with_bugs(sources) if build.planted else sources
    digest = hashlib.sha256(repr((build, _version(build.compiler), sources)).encode()).hexdigest()[:16]
    target = folder / f"cpu-sweep-{digest}"
    if not target.exists():
        scratch = folder / f"{target.name}.{os.getpid()}"
        scratch.mkdir()
        for name, text in sources.items():
            (scratch / name).write_text(text)
        _compile(build, scratch).replace(target)
        shutil.rmtree(scratch)
    return target


def _with_bugs(sources: dict[str, str]) -> dict[str, str]:
    """The sources with every bug in them, each behind its number; ``AssertionError`` where the code is another now."""
    changed = dict(sources)
    for name, bug in BUGS.items():
        assert changed[bug.file].count(bug.right) == 1, f"{name}: its code is not in {bug.file} once"
        wrong = bug.wrong.replace("BUG", f"planted({NUMBERS[name]})")
        changed[bug.file] = changed[bug.file].replace(bug.right, wrong)
    head = "#pragma once\nextern int glad_planted;\ninline bool planted(int bug) { return glad_planted == bug; }\n"
    return {**changed, "kernels.h": head + changed["kernels.h"].replace("#pragma once\n", "")}


def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def _compile(build: Build, folder: Path) -> Path:
    isas: dict[str, Sequence[str]] = dict(ISAS) if build.every_isa and X86 else {"baseline": ()}
    only = () if len(isas) > 1 else ("-DGLAD_ONLY=baseline",)
    units = [("choose.cpp", "choose", only), (PROGRAM.name, "program", ())]
    units += [("kernels.cpp", isa, (f"-DGLAD_ISA={isa}", *flags)) for isa, flags in isas.items()]
    for source, name, flags in units:
        command = [build.compiler, *build.flags(), *flags, "-c", source, "-o", f"{name}.o"]
        subprocess.run(command, cwd=folder, check=True)
    objects = [f"{name}.o" for _, name, _ in units]
    subprocess.run([build.compiler, *build.flags(), *objects, "-o", "sweep"], cwd=folder, check=True)
    return folder / "sweep"


def run(file: Path, family: str, calls: int, bug: int = 0, isa: str = "") -> subprocess.CompletedProcess[str]:
    """Make ``calls`` random calls of ``family``; the program prints the instruction set that it used."""
    options = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1", "GLAD_ISA": isa}
    command = [str(file), family, str(calls), str(bug)]
    return subprocess.run(command, env=options, capture_output=True, text=True, check=False, timeout=600)
