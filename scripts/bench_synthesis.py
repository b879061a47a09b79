"""The whole synthesis, forwards and backwards to its codes, against the published formulation.

python scripts/bench_synthesis.py --size 32 [--threads 2] [--repeat 5] [--out table.md]
python scripts/bench_synthesis.py --size 128 --chunk 2     # of the reference a sample takes 7 GiB

The reference is the same network on the reference operators, with each sample's weights in a grouped convolution.
Every variant runs in a process of its own; they take turns, so that a busy machine slows them alike.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it starts

import click
import torch
import torch.nn.functional as F
from bench_ops import commit, processor
from torch import Tensor

from cuda_ops.filtered_lrelu import filtered_lrelu_ref
from generators import geometry, stylegan_xl, winograd
from generators.mapping import Mapping

LAYERS = {32: 10, 64: 12, 128: 14, 256: 14}  # of the stem, by resolution
CHANNELS = (32768, 512)
VARIANTS = {
    "reference": "reference operators, grouped per-sample weights",
    "direct": "ours, float32, direct convolutions",
    "float32": "ours, float32",
    "bfloat16": "ours, bfloat16 convolutions",
}
EXACT = "exact"  # the reference in float64 on the first sample, from which errors are measured


def grouped_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    demodulate: bool = True,
    gain: Tensor | float = 1.0,
    padding: int = 0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The modulated convolution as published: weights per sample, one group for each."""
    if demodulate:
        weight = weight * weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
        style = style * style.square().mean().rsqrt()
    own = weight * style[:, None, :, None, None]  # [N, O, I, k, k]
    if demodulate:
        own = own * (own.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    n, _, h, w = x.shape
    y = F.conv2d(x.reshape(1, -1, h, w), (own * gain).flatten(0, 1), padding=padding, groups=n)
    return y.unflatten(1, (n, -1))[0]


def make(variant: str, size: int) -> stylegan_xl.Synthesis:
    """The network, the same for all variants but for its type."""
    specs = geometry.stem(size, LAYERS[size], *CHANNELS)
    mapping = Mapping(len(specs) + 1, embedding=(1, 1))
    generator = stylegan_xl.Generator(mapping, stylegan_xl.Synthesis(specs))
    synthesis = generator.initialize(torch.Generator().manual_seed(0)).requires_grad_(False).synthesis
    synthesis.conv_dtype = torch.bfloat16 if variant == "bfloat16" else None
    return synthesis.double() if variant == EXACT else synthesis


def patched(variant: str) -> ExitStack:
    """What ``variant`` replaces in the network."""
    stack = ExitStack()
    if variant in ("reference", EXACT):
        stack.enter_context(patch.object(stylegan_xl, "modulated_conv", grouped_conv))
        stack.enter_context(patch.object(stylegan_xl, "filtered_lrelu", filtered_lrelu_ref))
    if variant == "direct":
        stack.enter_context(patch.object(winograd, "pays", lambda x, weight: False))
    return stack


def render(synthesis: stylegan_xl.Synthesis, ws: Tensor, cotangent: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """Images and the gradient of their product with ``cotangent``, ``chunk`` samples at a time."""
    ws = ws.detach().requires_grad_()
    images = []
    for rows, weights in zip(ws.split(chunk), cotangent.split(chunk), strict=True):
        image = synthesis.synthesize(rows)
        image.backward(weights)
        images.append(image.detach())
    assert ws.grad is not None
    return torch.cat(images), ws.grad


def work(variant: str, size: int, batch: int, threads: int, chunk: int, path: str) -> None:
    """Warm up on the first sample, whose result goes to ``path``; then render once per line of stdin.

    Each of these prints a line of JSON: its seconds, and the process's peak memory.
    """
    torch.set_num_threads(threads)
    synthesis = make(variant, size)
    rng = torch.Generator().manual_seed(1)
    ws = torch.randn(batch, synthesis.num_ws, synthesis.w_dim, generator=rng)
    cotangent = torch.randn(batch, *synthesis.feature_shape(len(synthesis.layers)), generator=rng)
    if variant == EXACT:
        ws, cotangent = ws.double(), cotangent.double()
    with patched(variant):
        torch.save(render(synthesis, ws[:1], cotangent[:1], 1), path)
        print("ready", flush=True)
        for _ in sys.stdin:
            cpu, wall = time.process_time(), time.perf_counter()
            render(synthesis, ws, cotangent, chunk)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(json.dumps({"cpu": cpu, "wall": wall, "rss": rss}), flush=True)


class Worker:
    """A process that renders one variant whenever it is told to."""

    def __init__(self, variant: str, folder: Path, *arguments: int) -> None:
        self.variant, self.path = variant, folder / f"{variant}.pt"
        self.times: list[dict[str, float]] = []
        environment = os.environ | ({"GLAD_OPS": "reference"} if variant in ("reference", EXACT) else {})
        command = [sys.executable, __file__, "--work", json.dumps([variant, *arguments, str(self.path)])]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise click.ClickException(f"{self.variant}: the process ended, exit {self.process.wait()}")
        return line

    def turn(self) -> None:
        """Render once."""
        assert self.process.stdin is not None
        print("render", file=self.process.stdin, flush=True)
        self.times.append(json.loads(self._answer()))

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def median(self, kind: str) -> float:
        """Median of the passes."""
        return statistics.median(entry[kind] for entry in self.times)

    def errors(self, exact: tuple[Tensor, Tensor]) -> list[float]:
        """Relative error of the first sample's image and gradient, in the Euclidean norm."""
        found = torch.load(self.path, weights_only=True)
        return [((a.double() - b).norm() / b.norm()).item() for a, b in zip(found, exact, strict=True)]


def conv_flops(size: int, batch: int) -> float:
    """Operations of the convolutions, direct, forwards and backwards by their input."""
    specs = geometry.stem(size, LAYERS[size], *CHANNELS)
    return sum(
        4.0 * batch * s.in_channels * s.out_channels * s.kernel**2 * (s.in_size + s.kernel - 1) ** 2 for s in specs
    )


def gemm_rate(threads: int, dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of the best of several large matrix products."""
    torch.set_num_threads(threads)
    a, b = torch.randn(2, 2048, 2048).to(dtype)
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        _ = a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * 2048**3 / min(seconds)


def head(threads: int, rates: dict[str, float]) -> str:
    """The machine and the versions, in one line."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    native = "native" if any(flag in info for flag in ("avx512_bf16", "amx_bf16")) else "not native"
    speeds = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items())
    return (
        f"{processor()} ({os.cpu_count()} cores, bfloat16 {native}), {threads} thread(s), "
        f"torch {torch.__version__}, THP_MEM_ALLOC_ENABLE={os.environ['THP_MEM_ALLOC_ENABLE']}, commit {commit()}; "
        f"matrix products reach, in GFLOP/s: {speeds}."
    )


def table(workers: list[Worker], exact: tuple[Tensor, Tensor], flops: float, rate: float) -> str:
    """One row per variant; ratios are medians over rounds of the first variant's time to this one's."""
    lines = [
        "| variant | CPU s | wall s | ratio, CPU | ratio, wall | peak RSS, GiB | image error | gradient error "
        "| convolutions at least, GFLOP/s | of the matrix product's |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for worker in workers:
        pairs = list(zip(workers[0].times, worker.times, strict=True))
        ratios = [statistics.median(a[kind] / b[kind] for a, b in pairs) for kind in ("cpu", "wall")]
        image, gradient = worker.errors(exact)
        speed = flops / worker.median("wall")
        cells = [VARIANTS[worker.variant], f"{worker.median('cpu'):.2f}", f"{worker.median('wall'):.2f}"]
        cells += [f"{ratio:.2f}" for ratio in ratios]
        cells += [f"{worker.times[-1]['rss']:.2f}", f"{image:.1e}", f"{gradient:.1e}"]
        cells += [f"{speed / 1e9:.0f}", f"{100 * speed / rate:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measure(names: list[str], repeat: int, folder: Path, numbers: tuple[int, ...]) -> tuple[list[Worker], Any]:
    """Run the variants in turn; also the exact image and gradient."""
    truth = Worker(EXACT, folder, *numbers)
    truth.close()
    workers = [Worker(name, folder, *numbers) for name in names]
    for _ in range(repeat):
        for worker in workers:
            worker.turn()
    for worker in workers:
        worker.close()
    return workers, torch.load(truth.path, weights_only=True)


@click.command()
@click.option("--size", type=click.Choice([str(size) for size in LAYERS]), default="32", show_default=True)
@click.option("--batch", default=10, show_default=True)
@click.option("--chunk", type=int, help="Samples rendered at a time.  [default: the batch]")
@click.option("--threads", default=1, show_default=True)
@click.option("--repeat", default=3, show_default=True, help="Rounds.")
@click.option("--variant", "names", multiple=True, type=click.Choice(list(VARIANTS)), help="Only these.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write the table to.")
@click.option("--work", "job", hidden=True)
def main(
    size: str, batch: int, chunk: int | None, threads: int, repeat: int, names: tuple[str, ...], out: Path, job: str
) -> None:
    """Measure the variants and print the table."""
    if job:
        work(*json.loads(job))
        return
    numbers = (int(size), batch, threads, chunk or batch)
    with tempfile.TemporaryDirectory() as folder:
        workers, exact = measure(list(names or VARIANTS), repeat, Path(folder), numbers)
        rates = {"float32": gemm_rate(threads), "bfloat16": gemm_rate(threads, torch.bfloat16)}
        flops = conv_flops(int(size), batch)
        title = f"Synthesis at {size} px, batch {batch} in chunks of {chunk or batch}, {flops / 1e12:.2f} TFLOP."
        text = f"{title} {head(threads, rates)}\n\n{table(workers, exact, flops, rates['float32'])}\n"
    click.echo(text)
    if out:
        out.write_text(text)


if __name__ == "__main__":
    main()
