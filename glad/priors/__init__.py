"""Priors: differentiable maps from latents to images.

A prior of one's own is a class with the three methods of ``Prior``, named ``module:Class`` or registered by
``register_prior``. Constructor parameters called ``real``, ``normalize``, ``denormalize``, ``resolution``,
``channels``, ``class_ids``, ``class_counts`` and ``device`` are handed in; the others are its options. What else it can
say of itself is in ``PriorDescription``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from generators import catalog
from generators.license import License
from generators.provenance import Weights
from glad.priors.base import Prior
from glad.priors.ddif import DDiF
from glad.priors.description import PriorDescription
from glad.priors.fred import FreD
from glad.priors.idc import IDC
from glad.priors.pixels import Pixels
from glad.priors.pyramid import Pyramid
from glad.priors.taesd import TAESD
from glad.registry import Registry

__all__ = [
    "IDC",
    "PRIORS",
    "TAESD",
    "DDiF",
    "FreD",
    "License",
    "Pixels",
    "Prior",
    "PriorDescription",
    "Pyramid",
    "Weights",
    "list_priors",
    "register_prior",
]

Made = TypeVar("Made", bound=Callable[..., Any])

PRIORS: Registry[Callable[..., Any]] = Registry(
    "prior", {"pixels": Pixels, "idc": IDC, "fred": FreD, "ddif": DDiF, "pyramid": Pyramid, "taesd": TAESD}
)
"""Priors by name; others are of the catalog, a safetensors file, a file on the Hub, or ``module:Class``."""


def register_prior(name: str) -> Callable[[Made], Made]:
    """Decorate a prior's class, or a function that makes one, to make it known as ``name``.

    Args:
        name: What ``glad.distill(prior=...)`` is to take.

    Returns:
        A decorator that registers the class and returns it.

    Raises:
        ValueError: Another prior, or a generator of the catalog, has that name.

    Examples:
        >>> @glad.register_prior("gray")
        ... class Gray:
        ...     def __init__(self, channels: int, resolution: int, normalize) -> None:
        ...         self.shape, self.normalize = (channels, resolution, resolution), normalize
        ...
        ...     def init(self, classes, rng):
        ...         return {"level": torch.rand(len(classes), generator=rng)}
        ...
        ...     def __call__(self, level):
        ...         return self.normalize(level[:, None, None, None].expand(-1, *self.shape))
        ...
        ...     def tensors(self):
        ...         return {}
        >>> "gray" in glad.list_priors()
        True
    """
    if catalog.is_known(name):
        raise ValueError(f"there is a prior {name!r} already, a generator of the catalog")
    return PRIORS.registering(name)


def list_priors(pattern: str = "*") -> list[str]:
    """List the priors known by name; generators of the catalog are among them.

    Args:
        pattern: Names to keep, such as ``*mini``.

    Returns:
        The names in alphabetical order.

    Examples:
        >>> glad.list_priors("*mini")
        ['clothing-mini', 'digits-mini', 'fashion-mini']
    """
    return sorted({*PRIORS.names(pattern), *Registry("prior", catalog.CATALOG).names(pattern)})
