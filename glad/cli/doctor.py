"""``glad doctor``."""

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

SMALL = {"objective_options": {"batch": 16}, "limit": 200, "chunk": 10, "seed": 0}
LEAST_FREE = 2**30  # bytes that a run, its experts or a downloaded generator soon take

Finding = tuple[bool, str]
"""Whether something works, and a line about it that says what mends it where it does not."""


def operators(device: str) -> Iterator[Finding]:
    """Every operator against its reference, on the CPU or on CUDA."""
    from cuda_ops import _library
    from cuda_ops.self_check import check_operators

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _library.SlowOperatorsWarning)  # what it says follows here
        _library.load(device)
    served = _library.status()[device]
    yield True, f"{device} operators: {served.by}{f', {served.isa}' if served.isa else ''}"
    if served.remedy:
        yield True, f"  slower than need be: {served.why.splitlines()[0]}; to mend it: {served.remedy}"
    for one in check_operators(device):
        gain = f"{one.reference / one.seconds:.1f} times the reference's speed"
        line = f"{one.name}: error {one.error:.0e} of the largest value, {gain}"
        advice = "" if one.right else ": WRONG. Set GLAD_OPS=reference, and report this line with `glad info`"
        yield one.right, f"  {line}{advice}"


def distillation(folder: Path, device: str) -> Iterator[Finding]:
    """Two iterations, and the same two with an interruption between them."""
    import torch

    import glad

    def distill(name: str, iterations: int) -> Any:
        run = glad.distill(out=folder / name, iterations=iterations, device=device, **SMALL)  # type: ignore[arg-type]
        return run.read_set()[0]

    began = time.monotonic()
    whole = distill("whole", 2)
    yield bool(whole.isfinite().all()), f"a distillation of two iterations: {time.monotonic() - began:.1f} s"
    distill("halves", 1)
    equal = torch.equal(distill("halves", 2), whole)
    way = "ends with the same bytes" if equal else "ends with OTHER bytes than an uninterrupted one"
    yield equal or device != "cpu", f"a distillation that is interrupted and continued {way}"


def folders(run: Path) -> Iterator[Finding]:
    """Where files are written: the caches, and the folder that runs lie in."""
    from huggingface_hub import constants

    from cuda_ops import _cache

    places = {
        "compiled operators": (_cache.folders()[0], "XDG_CACHE_HOME"),
        "downloaded weights": (Path(constants.HF_HOME), "HF_HOME"),
        "runs": (run, "--out, or another current folder"),
    }
    for name, (place, setting) in places.items():
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place) as file:
                file.write(b"glad")
        except OSError as error:
            yield False, f"{name}: {place} cannot be written ({error.strerror}); choose another with {setting}"
            continue
        free = shutil.disk_usage(place).free
        short = f": little; choose another place with {setting}" if free < LEAST_FREE else ""
        yield True, f"{name}: {place} can be written, {free / 2**30:.1f} GiB free{short}"


@click.command()
@click.option("--device", default="cpu", help="cpu or cuda.")
@click.option("--runs", type=click.Path(path_type=Path, file_okay=False), default="runs", help="Where runs are to lie.")
def doctor(device: str, runs: Path) -> None:
    """Try what glad needs on this machine, and say what mends the rest.

    Every operator runs against its reference, two iterations are distilled, interrupted and continued, and files are
    written where caches and runs lie. Exits with 1 if something does not work.
    """
    from glad.device import pick_device

    pick_device(device)
    there = runs.exists()
    with tempfile.TemporaryDirectory(prefix="glad-doctor-") as folder:
        parts: dict[str, Callable[[], Iterator[Finding]]] = {
            "operators": lambda: operators(device.partition(":")[0]),
            "distillation": lambda: distillation(Path(folder), device),
            "folders": lambda: folders(runs),
        }
        sick = sum(not _report(name, part) for name, part in parts.items())
    if not there and runs.is_dir() and not any(runs.iterdir()):
        runs.rmdir()
    click.echo("Everything works." if not sick else f"{sick} of {len(parts)} parts do not work; see the lines with !!.")
    click.get_current_context().exit(bool(sick))


def _report(name: str, part: Callable[[], Iterator[Finding]]) -> bool:
    """Say what a part finds; whether all of it works. A part that fails altogether is one line too."""
    well = True
    try:
        for fine, line in part():
            click.echo(f"{'ok' if fine else '!!'}  {line}")
            well &= fine
    except Exception as error:
        if os.environ.get("GLAD_DEBUG"):
            raise
        click.echo(f"!!  {name}: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    return well
