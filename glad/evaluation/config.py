"""The settings of an evaluation: what ``glad.evaluate`` and ``glad evaluate`` are asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glad.data.dataset import Splits
from glad.evaluation.protocol import Protocol, resolve_protocol
from glad.networks import NETWORKS
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
        teacher = [] if self.teacher is None else [self.teacher]
        choices: dict[str, Iterable[str]] = {
            "networks": [*self.networks, *self.network_options],
            "teacher": teacher,
            "seen": [self.seen],
        }
        for kind, values in choices.items():
            if unknown := [value for value in values if value not in NETWORKS]:
                raise ValueError(f"{kind}: {unknown[0]!r} is unknown; choose from {', '.join(NETWORKS)}")

    def to_dict(self) -> dict[str, Any]:
        """What results say of the settings, as JSON takes them: enough to ask for the same again."""
        given = {name: value for name, value in self.plain().items() if name not in UNRECORDED}
        if isinstance(self.protocol, Protocol):
            given["protocol"] = self.protocol.to_dict()
        return {**given, "seeds": self.seed_list, "hybrid": self.shares}
