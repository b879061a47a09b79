"""Dataset distillation through the latent space of a pretrained generator.

``glad.distill(data="fashion-mini", objective="dm", prior="fashion-mini", ipc=1)`` distills a data set into a run's
folder, ``glad.evaluate(run)`` trains networks on the result and tests them. ``dir(glad)`` lists what else there is; the
command ``glad`` does the same from a shell.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import sys
from typing import TYPE_CHECKING, Any

from glad.version import VERSION

__version__ = VERSION
OLDEST_TORCH = (2, 6)
_MODULES = {
    "audit": "glad.auditing",
    "compress": "glad.formats.compression",
    "distill": "glad.api",
    "evaluate": "glad.api",
    "export": "glad.formats.export",
    "list_formats": "glad.formats",
    "list_networks": "glad.networks",
    "list_objectives": "glad.objectives",
    "list_priors": "glad.priors",
    "list_protocols": "glad.evaluation.protocol",
    "load_data": "glad.data",
    "load_distilled": "glad.formats.load",
    "objective": "glad.objectives",
    "Objective": "glad.objectives.base",
    "Prior": "glad.priors.base",
    "Protocol": "glad.evaluation.protocol",
    "push": "glad.hub.push",
    "register_format": "glad.formats",
    "register_network": "glad.networks",
    "register_objective": "glad.objectives",
    "register_prior": "glad.priors",
    "register_protocol": "glad.evaluation.protocol",
    "render": "glad.formats.export",
    "report": "glad.reports",
    "Run": "glad.runs.folder",
    "Splits": "glad.data",
    "SyntheticSet": "glad.synthetic_set",
    "train_experts": "glad.experts.folder",
    "tune": "glad.tuning",
}
"""Where each public name is defined."""
__all__ = [
    "Objective",
    "Prior",
    "Protocol",
    "Run",
    "Splits",
    "SyntheticSet",
    "audit",
    "compress",
    "distill",
    "evaluate",
    "export",
    "list_formats",
    "list_networks",
    "list_objectives",
    "list_priors",
    "list_protocols",
    "load_data",
    "load_distilled",
    "objective",
    "push",
    "register_format",
    "register_network",
    "register_objective",
    "register_prior",
    "register_protocol",
    "render",
    "report",
    "train_experts",
    "tune",
]

if "torch" not in sys.modules:
    # torch's CPU allocator then asks for huge pages: touching large tensors costs half. It is read once, at its start.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from glad.api import distill, evaluate
    from glad.auditing import audit
    from glad.data import Splits, load_data
    from glad.evaluation.protocol import Protocol, list_protocols, register_protocol
    from glad.experts.folder import train_experts
    from glad.formats import list_formats, register_format
    from glad.formats.compression import compress
    from glad.formats.export import export, render
    from glad.formats.load import load_distilled
    from glad.hub.push import push
    from glad.networks import list_networks, register_network
    from glad.objectives import list_objectives, objective, register_objective
    from glad.objectives.base import Objective
    from glad.priors import list_priors, register_prior
    from glad.priors.base import Prior
    from glad.reports import report
    from glad.runs.folder import Run
    from glad.synthetic_set import SyntheticSet
    from glad.tuning import tune


def find_shadowing() -> str | None:
    """A line about a module of the user's that stands before a package of this project; None where there is none."""
    home = pathlib.Path(__file__).resolve().parents[1]
    for name in ("generators", "cuda_ops"):
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else [spec.origin] if spec.origin else [*(spec.submodule_search_locations or ())]
        found = [pathlib.Path(str(place)).resolve() for place in places]
        if found and not any(path.is_relative_to(home / name) for path in found):
            own = found[0].parent if found[0].name == "__init__.py" else found[0]
            return (
                f"{own} stands before the package {name!r} that comes with glad: rename it, or start in another folder"
            )
    return None


def find_old_torch() -> str | None:
    """A line about a torch that is too old, or none at all; None where all is well. torch is not imported for it."""
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        found = "none" if importlib.util.find_spec("torch") is None else ""
    numbers = [int(number) for number in re.findall(r"\d+", found)[:2]]
    if found == "none" or (numbers and tuple(numbers) < OLDEST_TORCH):
        needed = ".".join(map(str, OLDEST_TORCH))
        return f'glad needs torch {needed} or newer, and here is {found}: pip install "torch>={needed}" torchvision'
    return None


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: ``import glad`` alone loads neither torch nor generators."""
    if name not in _MODULES:
        raise AttributeError(f"module 'glad' has no attribute {name!r}")
    if line := find_shadowing() or find_old_torch():
        raise ImportError(line)
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
