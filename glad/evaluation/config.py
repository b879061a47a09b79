"""The settings of an evaluation: what ``glad.evaluate`` and ``glad evaluate`` are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glad.data.dataset import Splits
from glad.evaluation.protocol import Protocol, resolve_protocol
from glad.networks import require_network
from glad.settings.evaluate import UNRECORDED, EvaluateSettings

TEACHER = "convnet"  # where none is named


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(EvaluateSettings):
    """Settings whose networks and protocol exist; data and protocol may be objects.

    The other fields, and what each means, are those of ``glad.settings.evaluate.EvaluateSettings``.
    """

    data: str | Splits | None = None
    """The data that sets of images stand for, by name or loaded; the run's own if None."""
    protocol: str | Path | Protocol = "default"
    """How networks are trained: a protocol, its name (``list_protocols``), or a YAML or JSON file of its fields."""

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_protocol(self.protocol)
        for kind, names in (("networks", self.networks), *self._by_network()):
            for name in names:
                require_network(kind, name)
        require_network("seen", self.seen)
        if self.teacher is not None:
            require_network("teacher", self.teacher, own=True)

    def _by_network(self) -> list[tuple[str, list[str]]]:
        """The settings that go by network, with the names in them."""
        rates = self.learning_rate if isinstance(self.learning_rate, Mapping) else {}
        return [("network_options", [*self.network_options]), ("learning_rate", [*rates])]

    def unused(self) -> list[str]:
        """A line for each setting that names networks which are neither trained nor the teacher; it changes nothing."""
        teacher = [self.teacher or TEACHER] if self.soft or self.teacher is not None else []
        trained = {*self.networks, *teacher}
        named = [(kind, [name for name in names if name not in trained]) for kind, names in self._by_network()]
        return [f"{kind} changes nothing for {', '.join(names)}: not evaluated here" for kind, names in named if names]

    def to_dict(self) -> dict[str, Any]:
        """What results say of the settings, as JSON takes them: enough to ask for the same again."""
        given = {name: value for name, value in self.plain().items() if name not in UNRECORDED}
        if isinstance(self.protocol, Protocol):
            given["protocol"] = self.protocol.to_dict()
        return {**given, "seeds": self.seed_list, "hybrid": self.shares}
