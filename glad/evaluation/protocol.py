"""The evaluation protocol: how a network is trained from scratch. A protocol is named, read from a file, or made here.

The protocols that ship are in ``PROTOCOLS``. ``register_protocol`` adds one, ``read_protocol`` reads one from a file.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from glad.data.augment import ALL, transform_names
from glad.networks import require_network
from glad.networks.network import NORMS
from glad.registry import Registry, read_option
from glad.settings.numbers import AT_LEAST_ONE, AT_LEAST_ZERO, SHARE

TRAINING_VERSION = 1
"""The version of the code behind an accuracy: finished trainings of another version are not valid, and are done anew.

Raise it when equal settings begin to mean another training: when the training loop, the augmentation, a network's
layers, the distribution of its first weights, or how real images are selected changes. Other random numbers of the same
distribution, or another rounding, are no reason: processors differ in the last bits too.
"""

FILES = (".yaml", ".yml", ".json")
LATER = {"balanced": 0, "takes_step_size": 1}
"""Fields, 0 or 1, that earlier versions did not have, and what they did."""


def cosine(epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate: linear up to 1 in the first half of the epochs, then cosine to 0."""
    half = epochs // 2
    if epoch < half:
        return (epoch + 1) / half
    return 0.5 * (1 + math.cos(math.pi * (epoch - half) / (epochs - half)))


def step(epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate: 1, and a tenth after the middle.

    The release of DC and DSA nearly does: it begins its momentum anew there, an epoch later, and trains an epoch more.
    """
    return 1.0 if epoch <= epochs // 2 else 0.1


SCHEDULES = {"cosine": cosine, "step": step}


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; the defaults are those of every table unless it says otherwise.

    Two architectures are told apart: the seen one is the network that the set was distilled with, and all others are
    cross-architecture. ``ValueError`` names the field that makes no sense.
    """

    epochs: int = 1000
    """Passes over the set."""
    learning_rate_seen: float = 1e-2
    """The peak learning rate of the seen architecture, where the set brings no learned step size."""
    learning_rate_cross: float = 1e-3
    """The peak learning rate of all other architectures."""
    learning_rates: Mapping[str, float] = field(default_factory=lambda: {"vgg11": 1e-4})
    """Exceptions to ``learning_rate_cross``, by network."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 5e-4
    """Of SGD."""
    batch: int = 256
    """Images in an update."""
    augmentation: str = ALL
    """DSA transforms joined by ``_``, or ``none``. Flips are left out where a mirrored image is another class."""
    average_decay: float = 0.995
    """Of the exponential moving average of the weights, which is tested; 0 tests the last weights.

    At most: a training of fewer than 1,000 epochs forgets as large a share of itself, see ``decay_limit``.
    """
    norm: str = "instance"
    """The normalization layers of the networks: ``instance``, ``batch`` or ``none``."""
    schedule: str = "cosine"
    """Of the learning rate: ``cosine`` (a warm-up over half of the epochs, then cosine) or ``step``."""
    balanced: int = 0
    """1 draws batches with as many images of each class, for unequal sets; an epoch stays as long as the set."""
    takes_step_size: int = 1
    """1: the seen architecture takes the step size learned with a set, if there is one; 0: ``learning_rate_seen``."""

    def __post_init__(self) -> None:
        AT_LEAST_ONE.require_of(self, "epochs", "batch", of="a protocol's")
        rates = ("learning_rate_seen", "learning_rate_cross", "learning_rates")
        AT_LEAST_ZERO.require_of(self, *rates, "weight_decay", of="a protocol's")
        SHARE.require_of(self, "momentum", of="a protocol's")
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"a protocol's average_decay lies in [0, 1), and is {self.average_decay}")
        for name, known, value in (("norm", NORMS, self.norm), ("schedule", SCHEDULES, self.schedule)):
            if value not in known:
                raise ValueError(f"a protocol's {name}: {value!r} is unknown; choose from {', '.join(known)}")
        for network in self.learning_rates:
            require_network("a protocol's learning_rates", network)
        for name in LATER:
            if getattr(self, name) not in (0, 1):
                raise ValueError(f"a protocol's {name} is 0 or 1, not {getattr(self, name)!r}")
        transform_names(self.augmentation)

    @property
    def decay_limit(self) -> float:
        """The decay whose memory is a fifth of the epochs, as 0.995 is over the published 1,000."""
        return max(0.0, min(self.average_decay, 1 - 5 / self.epochs))

    def learning_rate(self, network: str, seen: str, step_size: float | None = None) -> float:
        """Return the peak learning rate of ``network`` on a set distilled with ``seen``.

        Args:
            network: The network that is trained.
            seen: The seen architecture: the network that the set was distilled with.
            step_size: The student's, where one was learned along with the set: the seen architecture takes it, unless
                the protocol has ``takes_step_size`` 0.
        """
        if network == seen:
            return step_size if step_size is not None and self.takes_step_size else self.learning_rate_seen
        return self.learning_rates.get(network, self.learning_rate_cross)

    def with_learning_rates(self, rates: Mapping[str, float] | float | None, seen: str) -> "Protocol":
        """Return the protocol with ``rates`` in place of its own: one of all networks, or by network."""
        if rates is None:
            return self
        if not isinstance(rates, Mapping):
            return replace(self, learning_rate_seen=rates, learning_rate_cross=rates, learning_rates={})
        own = rates.get(seen, self.learning_rate_seen)
        return replace(self, learning_rate_seen=own, learning_rates={**self.learning_rates, **rates})

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON takes them: what an accuracy depends on, whatever the protocol is called.

        Fields that earlier versions did not have are there where they change something: older accuracies stay valid.
        """
        fields = {**asdict(self), "learning_rates": dict(self.learning_rates)}
        return {name: value for name, value in fields.items() if value != LATER.get(name)}


PROTOCOLS = Registry(
    "protocol",
    {
        "default": Protocol(),
        "dc": Protocol(epochs=300, learning_rate_cross=1e-2, learning_rates={}, average_decay=0.0, schedule="step"),
        "glad": Protocol(learning_rate_seen=1e-3, takes_step_size=0),
    },
)
"""By name: that of every table; that of the published rows of DC and DSA (Zhao et al., ICLR 2021 and ICML 2021; DC's
without augmentation, DSA's with 1,000 epochs); that of GLaD (Cazenavette et al., CVPR 2023), which trains every network
at 1e-3 (VGG-11 at 1e-4), on a set of MTT too, and is otherwise the first: 1,000 epochs, linear warm-up and cosine,
averaged weights, DSA."""


def register_protocol(name: str, protocol: Protocol) -> Protocol:
    """Give a protocol a name.

    Results are kept by what the protocol says and not by its name: two protocols never share an accuracy.

    Args:
        name: What ``glad.evaluate(protocol=...)`` is to take.
        protocol: The protocol.

    Returns:
        The protocol.

    Raises:
        ValueError: Another protocol has that name, or it is the name of a file.

    Examples:
        >>> short = glad.register_protocol("short", glad.Protocol(epochs=30, learning_rate_cross=0.01))
        >>> "short" in glad.list_protocols()
        True
    """
    if Path(name).suffix in FILES:
        raise ValueError(f"{name!r} is the name of a file: choose a name without {Path(name).suffix}")
    return PROTOCOLS.register(name, protocol)


def list_protocols(pattern: str = "*") -> list[str]:
    """List the protocols known by name.

    Args:
        pattern: Names to keep, such as ``d*``.

    Returns:
        The names in alphabetical order.

    Examples:
        >>> glad.list_protocols("d*")
        ['dc', 'default']
    """
    return PROTOCOLS.names(pattern)


def read_protocol(path: str | Path) -> Protocol:
    """Read a protocol from a YAML or JSON file of ``FIELD: VALUE`` lines; fields that it lacks have their defaults.

    Raises:
        ValueError: The file cannot be read, or has a field that no protocol has, or a value that makes no sense.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the protocol {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"the protocol {path} must hold FIELD: VALUE lines, such as epochs: 300")
    kinds = get_type_hints(Protocol)
    for name in content:
        if name not in kinds:
            near = get_close_matches(str(name), kinds, 1)
            hint = f"did you mean {near[0]}?" if near else f"its fields are {', '.join(kinds)}"
            raise ValueError(f"the protocol {path} sets {name}, which no protocol has; {hint}")
    try:
        return Protocol(**{name: _read_field(name, value, kinds[name]) for name, value in content.items()})
    except ValueError as error:
        raise ValueError(f"the protocol {path}: {error}") from error


def _read_field(name: str, value: Any, kind: Any) -> Any:
    """A field out of a file."""
    return _by_network(name, value) if name == "learning_rates" else read_option(name, value, kind)


def _by_network(name: str, value: Any) -> dict[str, float]:
    """Learning rates by network, out of a file."""
    if not isinstance(value, dict):
        raise ValueError(f"a protocol's {name} go by network, such as {{vgg11: 0.0001}}, and are {value!r}")
    return {str(network): read_option(f"{name}.{network}", rate, float) for network, rate in value.items()}


def resolve_protocol(protocol: str | Path | Protocol) -> tuple[str, Protocol]:
    """Return what results call a protocol, and the protocol: of a name, of a file (``.yaml``, ``.json``), or itself.

    ``ValueError`` for a name that is unknown or a file that makes no sense.
    """
    if isinstance(protocol, Protocol):
        return next((name for name, known in PROTOCOLS.items() if known == protocol), "custom"), protocol
    if str(protocol) in PROTOCOLS:
        return str(protocol), PROTOCOLS[str(protocol)]
    if Path(protocol).suffix in FILES:
        return Path(protocol).name, read_protocol(protocol)
    raise ValueError(
        f"protocol: {str(protocol)!r} is unknown; choose from {', '.join(PROTOCOLS)}, or name a file (my.yaml)"
    )
