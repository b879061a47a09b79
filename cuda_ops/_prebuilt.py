"""Libraries built ahead of time by ``setup.py``: each lies beside a record of what it was built from."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from cuda_ops._build import CSRC, PLANS, build, source_hash
from cuda_ops._toolchain import cuda_archs, find_nvcc

FOLDER = Path(__file__).parent / "lib"


def library(device: str, folder: Path = FOLDER) -> Path:
    """Where the library of ``device`` lies if it was built."""
    return folder / f"libglad_{device}.so"


def make(device: str, folder: Path, log: Path, csrc: Path = CSRC, environ: Mapping[str, str] = os.environ) -> Path:
    """Build the library of ``device`` ("cpu" or "cuda") into ``folder`` and return its path; ``BuildError`` if not."""
    plan = PLANS[device](csrc, environ)
    record: dict[str, object] = {"sources": plan.sources}
    if device == "cuda":
        record |= {"cuda": torch.version.cuda, "archs": cuda_archs(find_nvcc(environ), environ)}
    target = library(device, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(build(plan, Path(work), log, environ), target)
    target.with_suffix(".json").write_text(json.dumps(record))
    return target


def misfit(device: str, folder: Path = FOLDER, csrc: Path = CSRC) -> str | None:
    """Why the library of ``device`` in ``folder`` is not to be loaded here; None if it is."""
    file = library(device, folder)
    if not file.is_file():
        return "setup.py was not asked to build one"
    try:
        record = json.loads(file.with_suffix(".json").read_bytes())
        if record["sources"] != source_hash(device, csrc):
            return f"the sources have changed since {file} was built"
        return _cuda_misfit(record) if device == "cuda" else None
    except (OSError, ValueError, KeyError) as error:
        return f"{file} has no record of what it was built from ({error!r})"


def _cuda_misfit(record: dict) -> str | None:
    if str(torch.version.cuda).split(".")[0] != record["cuda"].split(".")[0]:
        return f"it was built for CUDA {record['cuda']}, torch is built for {torch.version.cuda}"
    if torch.cuda.is_available():
        for capability in (torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())):
            if not any(_runs_on(arch, capability) for arch in record["archs"]):
                made, there = " ".join(record["archs"]), ".".join(map(str, capability))
                return f"it was built for compute capabilities {made}, a device here has {there}"
    return None


def _runs_on(arch: str, capability: tuple[int, int]) -> bool:
    """Whether code for ``arch`` runs on a device: machine code within one major version, PTX on anything later."""
    number = tuple(int(part.rstrip("af")) for part in arch.removesuffix("+PTX").split("."))
    if arch.endswith(("a", "f")):
        return number == capability
    return number <= capability and (number[0] == capability[0] or arch.endswith("+PTX"))
