"""Fresh networks for a data set."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from glad.data.dataset import ImageData
from glad.networks import blank_network, make_network, require_network
from glad.networks.libraries import library_of


def shape_for(data: ImageData) -> dict[str, Any]:
    """What ``make_network`` is told of ``data``: ``channels``, ``classes`` and ``resolution``."""
    return {"channels": data.channels, "classes": len(data.classes), "resolution": data.resolution}


def network_factory(data: ImageData, name: str, options: Mapping[str, Any], device: torch.device) -> Callable[..., Any]:
    """``network(rng)``: a fresh network for ``data`` on ``device``.

    ``ValueError`` for a network of a library, which is not made for objectives and experts.
    """
    if library_of(name) is not None:
        require_network("network", name, own=True)
    make = partial(make_network, name, **shape_for(data))
    return lambda rng: make(rng=rng, **options).to(device)


def require_fitting(data: ImageData, name: str, options: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless a network of these ``options`` can be built for ``data``; none is drawn."""
    blank_network(name, **shape_for(data), **options)
