"""The student networks of the field by name, and those of torchvision and timm to evaluate on.

Each of the field's is a ``Network`` with ``embed`` and ``stages``, differentiable twice, without dropout, and a
function of the generator it is given. Those of libraries (``torchvision:NAME``, ``timm:NAME``) are classifiers.
"""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

import torch

from glad.networks.alexnet import alexnet
from glad.networks.convnet import convnet
from glad.networks.libraries import LIBRARIES, library_builder, library_of
from glad.networks.network import Network
from glad.networks.resnet import resnet18
from glad.networks.vgg import vgg11
from glad.networks.vit import vit
from glad.registry import Registry, read_options

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


def find_network(name: str) -> Callable[..., Any]:
    """Return the function that builds the network ``name``; ``ValueError`` where there is none."""
    if library_of(name) is not None:
        return library_builder(name)
    try:
        return NETWORKS.find(name)
    except ValueError as error:
        library, _, model = name.partition(":")
        near = get_close_matches(library, LIBRARIES, 1)
        if not near or ":" not in name:
            raise
        raise ValueError(f"{error}; did you mean {near[0]}:{model}?") from error


def require_network(kind: str, name: str, own: bool = False) -> None:
    """Raise ``ValueError`` unless the network ``name``, a value of the setting ``kind``, is known.

    With ``own`` it is to be one of ``NETWORKS``: those of libraries are for evaluation alone.
    """
    if own and library_of(name) is not None:
        raise ValueError(
            f"{kind}: {name} is for evaluation alone (glad evaluate --networks): networks of {library_of(name)} may "
            f"have dropout, statistics of batches and no second derivative; choose from {', '.join(NETWORKS)}"
        )
    if ":" in name and not own:
        find_network(name)
    elif name not in NETWORKS:
        near = get_close_matches(name, NETWORKS, 1)
        also = "" if own else "".join(f", {library}:NAME" for library in LIBRARIES)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{kind}: {name!r} is unknown; choose from {', '.join(NETWORKS)}{also}{hint}")


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

    Every weight is drawn from ``rng``: equal seeds give equal bits, and torch's global random stream is neither read
    nor moved.

    Args:
        name: A registered name, ``torchvision:NAME``, ``timm:NAME``, or ``module:function``.
        channels: Of the images.
        classes: Number of logits.
        resolution: Side of the images in pixels, 16 to 512.
        rng: A random stream on the CPU.
        norm: ``instance``, ``batch`` or ``none``, for the networks that normalize channels. AlexNet has no
            normalization; ViT and those of libraries have their own.
        options: Those of the builder, above all ``width``, the channels of the first stage; networks of libraries have
            ``stem``, the side of a first convolution of stride 1 in place of their own, such as 3 for small images.

    Returns:
        The network. Those of libraries have ``forward`` and ``initialize`` alone.

    Raises:
        ValueError: The name, norm or option is unknown, an option makes no sense, or the resolution is outside the
            range.
    """
    network = blank_network(name, channels=channels, classes=classes, resolution=resolution, norm=norm, **options)
    network.to_empty(device="cpu")
    network.initialize(rng)
    return network


def blank_network(
    name: str, *, channels: int, classes: int, resolution: int, norm: str = "instance", **options: int
) -> Network:
    """Build a network without weights, which takes no memory: enough to see that its options fit.

    Args:
        name: As in ``make_network``, as are the others.
        channels: Of the images.
        classes: Number of logits.
        resolution: Side of the images in pixels.
        norm: ``instance``, ``batch`` or ``none``.
        options: Those of the builder.

    Returns:
        The network on torch's device ``meta``.

    Raises:
        ValueError: As of ``make_network``.
    """
    build = find_network(name)
    known = inspect.signature(build).parameters.keys() - {"channels", "classes", "resolution", "norm"}
    if unknown := options.keys() - known:
        raise ValueError(f"network {name} has no option {min(unknown)!r}; known: {', '.join(sorted(known))}")
    options = read_options(name, options, get_type_hints(build), int)
    if not 16 <= resolution <= 512:
        raise ValueError(f"networks take 16 to 512 pixels a side, not {resolution}")
    with torch.device("meta"):  # torch's own initialization would draw from the global random stream
        network: Network = build(channels=channels, classes=classes, resolution=resolution, norm=norm, **options)
    return network
