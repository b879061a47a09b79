"""Time whole steps of two checkouts of this project by turns: median process CPU time, and the ratio old to new.

    python scripts/bench_builds.py OLD NEW [--only dm ...] [--isa avx2] [--out FILE]

A row is one of ``scripts/bench_objectives.py``, ours alone, as each checkout has it: a ConvNet-3 with instance norm,
10 classes of 3 x 32 x 32, 256 real images per class. Each checkout has a process of its own, both take turns call by
call, with the same draws; "apart" is how far their results are from one another, relatively. Run it on an otherwise
idle machine.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

ROWS = ("dm", "dc", "mtt-adjoint", "expert")
NARROWER = {"GLAD_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@dataclass(frozen=True)
class RowJob:
    """A row and its size."""

    row: str
    width: int
    images: int
    steps: int
    threads: int


def work(job: RowJob, build: Path, folder: Path) -> None:
    """Be the process of one checkout: a call for each line of stdin, the number of its round, a line of JSON for each.

    The results of round 0 go to ``folder``.
    """
    sys.path[:0] = [str(build), str(build / "scripts")]
    import bench_objectives as bench
    import torch

    import glad.device

    torch.set_num_threads(job.threads)
    getattr(glad.device, "keep_freed_memory", lambda: None)()  # as the command does, in checkouts that have it
    workload: Any = getattr(bench, "Workload", getattr(bench, "Setting", None))
    about = workload(job.width, job.images, folder)
    mtt = job.row == "mtt-adjoint"
    answer_turns((bench.mtt_row(about, "adjoint", None, job.steps) if mtt else bench.ROWS[job.row](about)).ours, folder)


def answer_turns(call: Callable[[int], Any], folder: Path, answers: TextIO | None = None) -> None:
    """Make a call for each line of stdin, see ``Turns``; the results of round 0 go to ``results.pt`` in ``folder``.

    Answers go to ``answers``, by default stdout.
    """
    import torch

    for line in sys.stdin:
        number, start = int(line), time.process_time()
        results = call(number)
        seconds = time.process_time() - start
        if number == 0:
            torch.save(results, folder / "results.pt")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(json.dumps({"seconds": seconds, "mib": peak}), file=answers, flush=True)


class Turns:
    """A process that is given the number of a round, makes its call, and answers with a line of JSON.

    The answer has the CPU ``seconds`` of the call and the peak ``mib`` of the process, or an ``error``.
    """

    def __init__(self, name: str, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        folder.mkdir()
        self.name, self.folder = name, folder
        self.seconds: list[float] = []
        self.mib = 0.0
        pipe, environ = subprocess.PIPE, {**os.environ, **environ}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ)

    def turn(self, number: int) -> None:
        """Make the call of round ``number``; round 0 is to warm up and is not counted."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):  # a process that has ended may have said why
            print(number, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise click.ClickException(f"{self.name}: the process ended, exit {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise click.ClickException(f"{self.name}: {answer['error']}")
        self.mib = answer["mib"]
        if number:
            self.seconds.append(answer["seconds"])

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


class Build(Turns):
    """The process of one checkout, and what it took."""

    def __init__(self, checkout: Path, job: RowJob, folder: Path, environ: dict[str, str]) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), str(checkout), str(checkout)]
        command += ["--work", json.dumps([vars(job), str(folder)])]
        super().__init__(str(checkout), command, folder, {**environ, "PYTHONPATH": ""})


def apart(builds: list[Build]) -> float:
    """The largest relative distance of the two checkouts' results."""
    import torch

    old, new = (torch.load(build.folder / "results.pt", weights_only=True) for build in builds)
    return max(float((new[what] - value).norm() / value.norm()) for what, value in old.items())


def measure(job: RowJob, checkouts: list[Path], rounds: int, environ: dict[str, str]) -> list[str]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        builds = [Build(path, job, Path(folder) / str(i), environ) for i, path in enumerate(checkouts)]
        try:
            for number in range(rounds + 1):
                for build in builds:
                    build.turn(number)
        finally:
            for build in builds:
                build.close()
        ratios = [a / b for a, b in zip(*(build.seconds for build in builds), strict=True)]
        cells = [f"{statistics.median(build.seconds):.3g}" for build in builds]
        cells += [f"**{statistics.median(ratios):.2f}**", f"{min(ratios):.2f} to {max(ratios):.2f}"]
        return [job.row, *cells, *(f"{build.mib:.0f}" for build in builds), f"{apart(builds):.0e}"]


def head(checkouts: list[Path], isa: str, threads: int) -> str:
    """Command, commits and machine, in one line."""
    import torch
    from bench_ops import processor

    git = ["git", "describe", "--always", "--dirty"]
    commits = [subprocess.run(git, cwd=path, capture_output=True, text=True).stdout.strip() for path in checkouts]
    return f"{commits[0]} against {commits[1]}; {processor()}, {isa}, {threads} threads, torch {torch.__version__}"


@click.command(help=__doc__, context_settings={"show_default": True})
@click.argument("old", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.option("--only", multiple=True, type=click.Choice(ROWS), help="A row, may be repeated; all by default.")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--isa", type=click.Choice(["best", "avx2"]), default="best", help="Instruction set, torch's too.")
@click.option("--threads", type=click.IntRange(1), default=1)
@click.option("--width", type=click.IntRange(1), default=128, help="Of the ConvNet.")
@click.option("--steps", type=click.IntRange(1), default=20, help="Of MTT's student.")
@click.option("--images", type=click.IntRange(1), default=1024, help="Of the expert's epoch.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table there too.")
@click.option("--work", "job", hidden=True)
def main(
    old: Path,
    new: Path,
    only: tuple[str, ...],
    rounds: int,
    isa: str,
    threads: int,
    width: int,
    steps: int,
    images: int,
    out: Path | None,
    job: str | None,
) -> None:
    if job is not None:
        options, folder = json.loads(job)
        work(RowJob(**options), new, Path(folder))
        return
    environ = {"THP_MEM_ALLOC_ENABLE": "1", "OMP_NUM_THREADS": str(threads), **(NARROWER if isa == "avx2" else {})}
    lines = [head([old, new], isa, threads), ""]
    lines += ["| row | old s | new s | ratio | range | old MiB | new MiB | apart |", "|" + " --- |" * 8]
    for row in only or ROWS:
        cells = measure(RowJob(row, width, images, steps, threads), [old, new], rounds, environ)
        lines.append(f"| {' | '.join(cells)} |")
        click.echo(lines[-1], err=True)
    click.echo("\n".join(lines))
    if out:
        out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
