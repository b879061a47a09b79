"""Dataset distillation through the latent space of a pretrained generator.

``glad.distill(data="fashion-mini", objective="dm", prior="fashion-mini", ipc=1)`` is the whole of it; see
``glad.distill`` and ``glad.evaluate``, and the command ``glad``.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from glad.version import VERSION

__version__ = VERSION
__all__ = ["audit", "distill", "evaluate", "load_distilled", "objective", "push", "report", "tune"]
MODULES = {
    "audit": "auditing",
    "distill": "api",
    "evaluate": "api",
    "load_distilled": "formats.load",
    "objective": "objectives",
    "push": "hub.push",
    "report": "reports",
    "tune": "tuning",
}

if "torch" not in sys.modules:
    # torch's CPU allocator then asks for huge pages: touching large tensors costs half. It is read once, at its start.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from glad.api import distill, evaluate
    from glad.auditing import audit
    from glad.formats.load import load_distilled
    from glad.hub.push import push
    from glad.objectives import objective
    from glad.reports import report
    from glad.tuning import tune


def __getattr__(name: str) -> Any:
    """Import the functions on first use, so that ``import glad.data.dataset`` does not load generators."""
    if name not in __all__:
        raise AttributeError(f"module 'glad' has no attribute {name!r}")
    return getattr(importlib.import_module(f"glad.{MODULES[name]}"), name)
