"""The student networks of the field by name.

Each is a ``Network`` with ``embed`` and ``stages``, differentiable twice, without dropout, and a function of the
generator it is given.
"""

import inspect
from collections.abc import Callable
from typing import TypeVar, get_type_hints

import torch

from glad.networks.alexnet import alexnet
from glad.networks.convnet import convnet
from glad.networks.network import Network
from glad.networks.resnet import resnet18
from glad.networks.vgg import vgg11
from glad.networks.vit import vit
from glad.registry import Registry, read_option

__all__ = ["NETWORKS", "Network", "list_networks", "make_network", "register_network"]

Builder = TypeVar("Builder", bound=Callable[..., Network])

NETWORKS: Registry[Callable[..., Network]] = Registry(
    "network", {"convnet": convnet, "alexnet": alexnet, "vgg11": vgg11, "resnet18": resnet18, "vit": vit}
)
"""Functions that build a network, by name."""


def register_network(name: str) -> Callable[[Builder], Builder]:
    """Decorate a function that builds a network, to make it known as ``name``.

    It takes ``channels``, ``classes``, ``resolution`` and ``norm``, and options with defaults, and returns a
    ``Network``, whose ``initialize(rng)`` draws every weight.

    Args:
        name: What ``glad.distill(network=...)`` is to take.

    Returns:
        A decorator that registers the function and returns it.

    Raises:
        ValueError: Another network has that name.

    Examples:
        >>> from glad.networks.convnet import convnet
        >>> @glad.register_network("shallow")
        ... def shallow(channels, classes, resolution, norm, width: int = 64):
        ...     sizes = {"channels": channels, "classes": classes, "resolution": resolution}
        ...     return convnet(**sizes, norm=norm, width=width, depth=2)
        >>> rng = torch.Generator().manual_seed(0)
        >>> network = glad.networks.make_network("shallow", channels=1, classes=10, resolution=28, rng=rng)
        >>> network(torch.zeros(3, 1, 28, 28)).shape
        torch.Size([3, 10])
    """
    return NETWORKS.registering(name)


def list_networks(pattern: str = "*") -> list[str]:
    """List the networks known by name.

    Args:
        pattern: Names to keep, such as ``v*``.

    Returns:
        The names in alphabetical order.

    Examples:
        >>> glad.list_networks("v*")
        ['vgg11', 'vit']
    """
    return NETWORKS.names(pattern)


def make_network(
    name: str,
    *,
    channels: int,
    classes: int,
    resolution: int,
    rng: torch.Generator,
    norm: str = "instance",
    **options: int,
) -> Network:
    """Build a network with fresh weights, float32 on the CPU, for images [N, channels, resolution, resolution].

    Every weight is drawn from ``rng``: equal seeds give equal bits, and torch's global generator is neither read nor
    moved.

    Args:
        name: A registered name, or ``module:function``.
        channels: Of the images.
        classes: Number of logits.
        resolution: Side of the images in pixels, 16 to 512.
        rng: A CPU generator.
        norm: ``instance``, ``batch`` or ``none``, for the networks that normalize channels. AlexNet has no
            normalization and ViT its own.
        options: Those of the builder, above all ``width``, the channels of the first stage.

    Returns:
        The network.

    Raises:
        ValueError: The name, norm or option is unknown, or the resolution is outside the range.
    """
    build = NETWORKS.find(name)
    known = inspect.signature(build).parameters.keys() - {"channels", "classes", "resolution", "norm"}
    if unknown := options.keys() - known:
        raise ValueError(f"network {name} has no option {min(unknown)!r}; known: {', '.join(sorted(known))}")
    hints = get_type_hints(build)
    options = {key: read_option(f"{name}.{key}", value, hints.get(key, int)) for key, value in options.items()}
    if not 16 <= resolution <= 512:
        raise ValueError(f"networks take 16 to 512 pixels a side, not {resolution}")
    with torch.device("meta"):  # torch's own initialization would draw from the global generator
        network = build(channels=channels, classes=classes, resolution=resolution, norm=norm, **options)
    network.to_empty(device="cpu")
    network.initialize(rng)
    return network
