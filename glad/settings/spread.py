"""The settings of commands whose work is many independent tasks."""

from dataclasses import dataclass

from glad.settings.fields import Settings, spelled
from glad.settings.numbers import AT_LEAST_ONE


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    """Where tasks run: in this process, in processes of this machine, or on Ray."""

    workers: int | None = None
    """At most so many tasks at once, each in a process of its own. Processes of this machine share the threads of this
    one; 1, and with ray as many as there is room for if None."""
    ray: str | None = spelled(None, metavar="ADDRESS|local")
    """Run the tasks on Ray: ``local`` starts it on this machine, an address such as 10.0.0.1:6379 or ``auto`` is that
    of a cluster whose machines share the folder that is written to (docs/SCALE.md); no Ray if None."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require_of(self, "workers")
        if self.ray is not None and (not self.ray or "://" in self.ray):
            raise ValueError(
                f"ray is {self.ray!r}: give local, auto, or HOST:PORT of a cluster, on one of its machines or by `ray "
                "job submit`"
            )
