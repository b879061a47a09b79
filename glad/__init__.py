"""Dataset distillation through the latent space of a pretrained generator.

``glad.distill(data="fashion-mini", objective="dm", prior="fashion-mini", ipc=1)`` is the whole of it; see
``glad.distill`` and ``glad.evaluate``, and the command ``glad``.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["distill", "evaluate", "objective"]

if "torch" not in sys.modules:
    # torch's CPU allocator then asks for huge pages: touching large tensors costs half. It is read once, at its start.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from glad.api import distill, evaluate
    from glad.objectives import objective


def __getattr__(name: str) -> Any:
    """Import the functions on first use, so that ``import glad.data`` does not load generators."""
    if name not in __all__:
        raise AttributeError(f"module 'glad' has no attribute {name!r}")
    from glad import api, objectives

    return getattr(objectives if name == "objective" else api, name)
