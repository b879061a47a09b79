"""What machines must have in common so that a task gives the same bytes on each."""

import hashlib
import platform
import socket
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import cuda_ops
import generators
from cuda_ops.diagnosis import served_by

LIBRARIES = ("numpy", "torch", "torchvision", "timm")


@cache
def facts_of(device: str) -> dict[str, str]:
    """Versions, sources, operators and processor of this machine, by name; with CUDA the GPU too.

    Operators are loaded for it, and so perhaps compiled.
    """
    found = {"python": platform.python_version(), "source of glad": _source()}
    found |= {name: _version(name) for name in LIBRARIES}
    found["instructions"] = torch.backends.cpu.get_cpu_capability()
    kind = torch.device(device).type
    if kind == "cuda":
        found["device"] = torch.cuda.get_device_name()
    return found | {f"operators on {name}": served for name, served in served_by(kind).items()}


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What differs, in words: theirs first; nothing where all is the same."""
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    return "; ".join(f"{name} {theirs.get(name)}, here it is {ours.get(name)}" for name in names)


def node_name() -> str:
    """What this machine is called."""
    return socket.gethostname()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _source() -> str:
    """A short hash of all Python files of this project: the version alone does not tell two commits apart."""
    digest = hashlib.sha256()
    packages = [Path(__file__).parents[1], *(Path(part.__path__[0]) for part in (generators, cuda_ops))]
    for folder in packages:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
