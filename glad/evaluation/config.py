"""The settings of an evaluation: what ``glad.evaluate`` and ``glad evaluate`` are asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glad.data.dataset import Splits
from glad.evaluation.protocol import Protocol, resolve_protocol
from glad.networks import require_network
from glad.settings.evaluate import UNRECORDED, EvaluateSettings


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
        for name in (*self.networks, *self.network_options):
            require_network("networks", name)
        require_network("seen", self.seen)
        if self.teacher is not None:
            require_network("teacher", self.teacher, own=True)

    def to_dict(self) -> dict[str, Any]:
        """What results say of the settings, as JSON takes them: enough to ask for the same again."""
        given = {name: value for name, value in self.plain().items() if name not in UNRECORDED}
        if isinstance(self.protocol, Protocol):
            given["protocol"] = self.protocol.to_dict()
        return {**given, "seeds": self.seed_list, "hybrid": self.shares}
