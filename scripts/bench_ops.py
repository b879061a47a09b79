"""Time the operators against the published formulation: median process CPU time, autograd and bias gradient included.

    python scripts/bench_ops.py [--sizes 512x36 ...] [--repeat 7] [--out FILE]
    python scripts/bench_ops.py --threads 2       # what a second thread gains, in wall time, without the reference

Both sides run in this process, one after the other, with the same allocator (THP_MEM_ALLOC_ENABLE=1). Run it on an
otherwise idle machine. "MiB moved" is the least that the forward call has to move, and "of copy" compares it, per
second, with copying a tensor, which moves as much as half of it in and half of it out. "peak" is what a call with its
gradients adds to the process. ``GLAD_OPS=reference`` times the plain-torch fallback in place of the kernels.
"""

import os
import sys

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # before torch starts

import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from cuda_ops import _library, bias_act, filtered_lrelu, upfirdn2d
from cuda_ops.bias_act import bias_act_ref
from cuda_ops.filtered_lrelu import filtered_lrelu_ref
from cuda_ops.upfirdn2d import upfirdn2d_ref
from generators.filters import lowpass

SIZES = ("512x36", "256x52", "128x84", "64x148", "32x276")
BATCH = 10
Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One operator on one size: ours and the published formulation, from the same input."""

    name: str
    x: Tensor
    ours: Operator
    reference: Operator


def cases(size: str, device: str = "cpu", batch: int = BATCH) -> Iterator[Case]:
    """The operators as StyleGAN-XL's layers of this size use them."""
    channels, side = (int(part) for part in size.split("x"))
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, side, side, generator=rng).to(device)
    wide = torch.randn(batch, channels, side + 2, side + 2, generator=rng).to(device)  # as a convolution leaves it
    b = torch.randn(channels, generator=rng).to(device).requires_grad_()
    f, f4 = (t if t is None else t.to(device) for t in (lowpass(12, 2, 12, 32), lowpass(24, 2, 12, 64)))

    def pair(name: str, x: Tensor, ours: Callable[..., Tensor], reference: Callable[..., Tensor], *rest, **named):  # type: ignore[no-untyped-def]
        return Case(name, x, lambda t: ours(t, *rest, **named), lambda t: reference(t, *rest, **named))

    yield pair("bias_act lrelu", x, bias_act, bias_act_ref, b, act="lrelu", clamp=256.0)
    yield pair("upfirdn2d up 2", x, upfirdn2d, upfirdn2d_ref, f, up=2, padding=[6, 5, 6, 5], gain=4.0)
    yield pair("upfirdn2d down 2", x, upfirdn2d, upfirdn2d_ref, f, down=2, padding=5)
    both = (filtered_lrelu, filtered_lrelu_ref)
    yield pair("filtered_lrelu 2/2", wide, *both, f, f, b, up=2, down=2, padding=[9, 8, 9, 8], clamp=256.0)
    if side > 148:  # the reference would need tens of gigabytes
        return
    yield pair("filtered_lrelu 4/2", wide, *both, f4, f, b, up=4, down=2, padding=[-6, -9, -6, -9], clamp=256.0)


def forward(operator: Operator, x: Tensor) -> Callable[[], object]:
    """A call without derivatives."""

    def call() -> Tensor:
        with torch.no_grad():
            return operator(x)

    return call


def both_ways(operator: Operator, x: Tensor) -> Callable[[], object]:
    """A call with gradients by the input and, where there is one, the bias."""
    leaf = x.clone().requires_grad_()
    v = torch.ones_like(operator(leaf))

    def call() -> None:
        leaf.grad = None
        operator(leaf).backward(v)

    return call


def seconds(call: Callable[[], object], repeat: int, clock: Callable[[], float] = time.process_time) -> float:
    """Median time of a call after one to warm up."""
    call()
    times = []
    for _ in range(repeat):
        start = clock()
        call()
        times.append(clock() - start)
    return statistics.median(times)


def peak(call: Callable[[], object]) -> float:
    """The most MiB that the process holds during a call, beyond what it held before; Linux counts them."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return float("nan")

    def mebibytes(name: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(name))

    reset.write_text("5")  # the peak so far becomes the present size
    before = mebibytes("VmRSS")
    call()
    return mebibytes("VmHWM") - before


def against_reference(case: Case, repeat: int) -> list[str]:
    """One line of the table on one thread."""
    y = case.ours(case.x)
    moved = case.x.nbytes + y.nbytes
    cells = [case.name]
    times = {}
    for way in (forward, both_ways):
        ours, reference = way(case.ours, case.x), way(case.reference, case.x)
        times[way] = seconds(ours, repeat)
        slow = seconds(reference, max(repeat // 3, 2))
        cells += [f"{times[way] * 1e3:.1f}", f"{slow * 1e3:.0f}", f"**{slow / times[way]:.1f}**"]
    block = torch.empty(moved // 8)  # a copy of it moves as many bytes as the operator
    copy = seconds(block.clone, repeat)
    memory = [peak(both_ways(side, case.x)) for side in (case.ours, case.reference)]
    of_copy = copy / times[forward]
    return [*cells, f"{moved / 2**20:.0f}", f"{of_copy:.0%}", f"{memory[0]:.0f}", f"{memory[1]:.0f}"]


def against_one_thread(case: Case, repeat: int, threads: int) -> list[str]:
    """One line of the table on several threads; the two sides take turns."""
    cells = [case.name]
    for way in (forward, both_ways):
        call = way(case.ours, case.x)
        times: dict[int, list[float]] = {1: [], threads: []}
        for _ in range(3):
            for count, taken in times.items():
                torch.set_num_threads(count)
                taken.append(seconds(call, repeat, time.perf_counter))
        one, several = (statistics.median(taken) for taken in times.values())
        cells += [f"{one * 1e3:.1f}", f"{several * 1e3:.1f}", f"**{one / several:.2f}**"]
    return cells


COLUMNS = [
    "operator",
    "fwd ms",
    "ref",
    "ratio",
    "fwd+bwd ms",
    "ref",
    "ratio",
    "MiB moved",
    "of copy",
    "peak MiB",
    "ref",
]


def commit(written: str = "") -> str:
    """The commit that runs here, marked where files other than ``written`` differ from it; empty without git."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True)

    name = git("describe", "--always").stdout.strip()
    others = [":/", f":(top,exclude){written}"] if written else [":/"]
    return f"{name}-dirty" if name and git("diff", "--quiet", "HEAD", "--", *others).returncode else name


def head(threads: int) -> Iterator[str]:
    """Where and with what the numbers were measured."""
    _library.load("cpu")
    served = _library.status()["cpu"]
    yield f"`{' '.join(['python', *sys.argv])}` at commit {commit() or 'unknown'}, {time.strftime('%Y-%m-%d')}\n"
    yield f"{processor()}, {os.cpu_count()} cores, {threads} used; torch {torch.__version__}, batch {BATCH}, float32"
    yield f"operators: {served.by}{f', {served.isa}' if served.isa else ''}; THP_MEM_ALLOC_ENABLE=1 on both sides\n"


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@click.command(help=__doc__)
@click.option("--sizes", multiple=True, default=SIZES, show_default=True, help="CHANNELSxSIDE, may be repeated.")
@click.option("--threads", default=1, show_default=True)
@click.option("--repeat", default=7, show_default=True, help="Calls per median; the reference takes a third.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table there too.")
def main(sizes: tuple[str, ...], threads: int, repeat: int, out: Path | None) -> None:
    """Print one table per size."""
    torch.set_num_threads(threads)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        click.echo(line)

    for line in head(threads):
        say(line)
    timed = [[f"{way} ms, 1 thread", f"{threads} threads", "ratio"] for way in ("fwd", "fwd+bwd")]
    columns = COLUMNS if threads == 1 else ["operator", *timed[0], *timed[1]]
    for size in sizes:
        say(f"\n### {size}²\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
        for case in cases(size):
            cells = against_reference(case, repeat) if threads == 1 else against_one_thread(case, repeat, threads)
            say(f"| {' | '.join(cells)} |")
    if out:
        out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
