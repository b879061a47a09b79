"""Compile the CUDA kernels and read what the compiler made of them; needs nvcc and a disassembler, but no GPU.

    python3 scripts/check_cuda.py [--arch 8.0 9.0] [--write docs/cuda-build.md]

Prints a table, and exits with 1 where a kernel spills registers or keeps a stack frame, touches local memory, or has a
hot loop with fewer than 4 multiply-adds per load from shared memory; with 2 where nvcc or nvdisasm is not found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cuda_ops._build import cuda_plan  # noqa: E402
from cuda_ops._toolchain import CUDA_ARCHS, BuildError, Compiler  # noqa: E402

HOT_LOOP = 32  # multiply-adds; loops of fewer are not what a kernel spends its time on
LEAST_RATIO = 4.0  # shared memory serves 32 lanes per clock, the arithmetic units 128
HOT = re.compile(r"_tile_kernel|_stream_kernel")  # kernels that must have such a loop
FORBIDDEN = ("LDL", "STL")


@dataclass
class Loop:
    """Instructions of one loop that contains no other."""

    multiply_adds: int
    shared_loads: int

    @property
    def ratio(self) -> float:
        """Multiply-adds per load from shared memory."""
        return self.multiply_adds / max(self.shared_loads, 1)


@dataclass
class Kernel:
    """What ptxas and the disassembly say of one kernel for one architecture."""

    name: str
    registers: int
    spills: int
    stack: int
    local: int = 0  # loads from and stores to local memory
    loops: list[Loop] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """The lowest ratio of its hot loops; ``None`` where it has none with shared memory."""
        hot = [x.ratio for x in self.loops if x.multiply_adds >= HOT_LOOP and x.shared_loads]
        return min(hot, default=None)

    def faults(self) -> Iterator[str]:
        """What is wrong with it, one sentence each."""
        if self.spills or self.stack:
            yield f"{self.spills} bytes of spills and a stack frame of {self.stack} bytes"
        if self.local:
            yield f"{self.local} accesses to local memory"
        if self.ratio is not None and self.ratio < LEAST_RATIO:
            yield f"{self.ratio:.1f} multiply-adds per load from shared memory in a hot loop, not {LEAST_RATIO:g}"
        if self.ratio is None and HOT.search(self.name):
            yield "no hot loop was recognized"


def find_disassembler() -> str:
    """nvdisasm on PATH, of the ``nvidia-cuda-nvdisasm`` wheel, or of triton's; ``SystemExit`` without any."""
    site = Path(torch.__file__).parents[1]
    wheels = [*sorted(site.glob("nvidia/cu*/bin")), site / "triton" / "backends" / "nvidia" / "bin"]
    for path in (os.environ.get("PATH", ""), *map(str, wheels)):
        if found := shutil.which("nvdisasm", path=path):
            return found
    print("nvdisasm not found: pip install nvidia-cuda-nvdisasm", file=sys.stderr)
    raise SystemExit(2)


def compile_cubins(arch: str, folder: Path) -> tuple[Compiler, str, list[Path]]:
    """Compile every CUDA source for ``arch`` as it ships; the compiler, its report, and the machine code's files."""
    plan = cuda_plan(environ={**os.environ, "TORCH_CUDA_ARCH_LIST": arch})
    report, cubins = "", []
    for target, command in plan.objects.items():
        cubin = folder / f"{target}.{arch}.cubin"
        line = ["-cubin" if word == "-c" else str(cubin) if word == target else word for word in command]
        done = subprocess.run([*line, "-Xptxas=-v"], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            raise SystemExit(f"{shutil.which(command[0])} fails for {arch}")
        report += done.stderr
        cubins.append(cubin)
    return plan.compiler, report, cubins


def read_report(report: str) -> dict[str, Kernel]:
    """The kernels of ``ptxas -v``, by mangled name."""
    pattern = (
        r"Compiling entry function '(\S+)'[^\n]*\n(?:(?!Compiling entry)[^\n]*\n)*?"
        r"\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n[^\n]*Used (\d+) registers"
    )
    return {
        name: Kernel(name, int(registers), int(stores) + int(loads), int(stack))
        for name, stack, stores, loads, registers in re.findall(pattern, report)
    }


def functions(disassembly: str) -> Iterator[tuple[str, list[str]]]:
    """Mangled name and lines of each kernel."""
    for part in disassembly.split("\t.section\t.text.")[1:]:
        yield part.partition(",")[0], part.splitlines()


def innermost_loops(lines: list[str]) -> Iterator[Loop]:
    """Every loop, from a label to a branch back to it, that contains no other loop."""
    labels: dict[str, int] = {}
    spans: set[tuple[int, int]] = set()
    for i, line in enumerate(lines):
        if label := re.match(r"(\.L_\w+):", line):
            labels[label[1]] = i
        elif (branch := re.search(r"\bBRA\b.*`\((\.L_\w+)\)", line)) and branch[1] in labels:
            spans.add((labels[branch[1]], i))
    for begin, end in spans:
        if not any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in spans):
            body = lines[begin:end]
            yield Loop(count(body, "FFMA") + 2 * count(body, "FFMA2"), count(body, "LDS"))


def count(lines: Iterable[str], opcode: str) -> int:
    """Instructions of this opcode, whatever their suffixes and predicates."""
    return sum(bool(re.search(rf"\*/\s+(@!?U?P\d+ )?\s*{opcode}(\.|\s)", line)) for line in lines)


def inspect(arch: str, disassembler: str, folder: Path) -> tuple[Compiler, dict[str, Kernel]]:
    """Compile for ``arch`` and read the result; kernels by readable name."""
    compiler, report, cubins = compile_cubins(arch, folder)
    kernels = read_report(report)
    for cubin in cubins:
        text = subprocess.run([disassembler, "-c", cubin], capture_output=True, text=True, check=True).stdout
        for name, lines in functions(text):
            kernels[name].local = sum(count(lines, opcode) for opcode in FORBIDDEN)
            kernels[name].loops = list(innermost_loops(lines))
    for kernel, name in zip(kernels.values(), readable(list(kernels)), strict=True):
        kernel.name = name
    return compiler, {kernel.name: kernel for kernel in kernels.values()}


def readable(names: list[str]) -> list[str]:
    """Demangled, without name spaces and parameters."""
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    plain = [re.sub(r"\b(glad|c10)::|^void |\(\w+\)(?=\d)", "", line) for line in text.split("\n")]
    return [re.sub(r"\([^()]*\)$", "", line).replace("> >", ">>") for line in plain[: len(names)]]


def table(found: dict[str, dict[str, Kernel]]) -> Iterator[str]:
    """A markdown table: a row per kernel, registers per architecture, the lowest ratio of all."""
    yield f"| kernel | {' | '.join(found)} | FFMA : LDS |"
    yield f"|---|{'---:|' * (len(found) + 1)}"
    for name in sorted(set().union(*found.values())):
        each = [found[arch].get(name) for arch in found]
        ratio = min((k.ratio for k in each if k and k.ratio is not None), default=None)
        cells = [str(k.registers) if k else "" for k in each] + [f"{ratio:.1f}" if ratio is not None else ""]
        yield f"| `{name}` | {' | '.join(cells)} |"


def describe(
    compiler: Compiler, found: dict[str, dict[str, Kernel]], seconds: dict[str, float], faults: list[str]
) -> str:
    """The whole report as markdown."""
    kernels = [kernel for each in found.values() for kernel in each.values()]
    lines = [
        "# What nvcc makes of the CUDA kernels",
        "",
        f"`python3 scripts/check_cuda.py --arch {' '.join(found)}`, nvcc {compiler.version}, "
        f"torch {torch.__version__}.",
        f"{len(kernels)} compilations; spilled bytes: {sum(k.spills for k in kernels)}; stack frames: "
        f"{sum(k.stack > 0 for k in kernels)}; accesses to local memory: {sum(k.local for k in kernels)}.",
        f"Hot loops (innermost, of at least {HOT_LOOP} FFMA) have at least {LEAST_RATIO:g} FFMA per LDS of any width: "
        f"{'no' if any('hot loop' in fault for fault in faults) else 'yes'}.",
        "Processor seconds per architecture, all kernels: "
        + ", ".join(f"{arch} {spent:.0f}" for arch, spent in seconds.items())
        + ".",
        "",
        "Registers per thread, by compute capability, and the lowest ratio of any hot loop:",
        "",
        *table(found),
        *(f"- **{fault}**" for fault in faults),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = [arch.removesuffix("+PTX") for arch in CUDA_ARCHS.split(";")]
    parser.add_argument("--arch", nargs="+", default=everything, help="compute capabilities, such as 8.0 9.0")
    parser.add_argument("--write", type=Path, help="write the report to this file as well")
    arguments = parser.parse_args()
    disassembler = find_disassembler()
    found: dict[str, dict[str, Kernel]] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for arch in arguments.arch:
            start = os.times().children_user + os.times().children_system
            try:
                compiler, found[arch] = inspect(arch, disassembler, Path(folder))
            except BuildError as error:
                print(f"nvcc not found: {error}; {error.remedy}", file=sys.stderr)
                return 2
            seconds[arch] = os.times().children_user + os.times().children_system - start
    faults = [f"{arch} {k.name}: {fault}" for arch in found for k in found[arch].values() for fault in k.faults()]
    report = describe(compiler, found, seconds, faults)
    print(report)
    if arguments.write:
        arguments.write.write_text(report)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
