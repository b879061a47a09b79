"""The settings of a search for the settings of a distillation."""

from collections.abc import Mapping
from dataclasses import dataclass

from glad.settings.fields import spelled
from glad.settings.numbers import ABOVE_ZERO
from glad.settings.spread import TaskSettings


@dataclass(frozen=True, kw_only=True)
class TuneSettings(TaskSettings):
    """What ``glad.tune`` and `glad tune` are asked for, beside the settings of the distillation."""

    out: str = spelled(..., path="folder")
    """Folder of the search, which is continued there."""
    minutes: float | None = None
    """Budget in minutes of distilling and evaluating, earlier calls included; no limit if None."""
    trials: int | None = None
    """Budget in trials, earlier calls included; no limit if None."""
    trial_iterations: int = 100
    """Iterations of a whole trial, if the distillation's are not fewer."""
    networks: tuple[str, ...] | None = None
    """Networks that trials are evaluated with; the one distilled with and another architecture if None."""
    epochs: int = 100
    """Epochs of their training on a trial's set."""
    seeds: int = 1
    """Networks of each kind per evaluation."""
    evaluation_options: Mapping[str, Mapping[str, int]] = spelled(
        {},
        flags=("--evaluation-option",),
        metavar="NETWORK.OPTION=NUMBER",
        old=("judge_options", "judge_option"),
    )
    """Options of these networks, such as resnet18.width=16."""
    knobs: tuple[str, ...] | None = spelled(None, flags=("--knob",))
    """Names of the settings to search, such as layer or lr.w; all that the run has if None."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minutes is None and self.trials is None:
            raise ValueError("a search needs a budget: --minutes N, or --trials N")
        ABOVE_ZERO.require_of(self, "minutes", "trials", "trial_iterations", "epochs", "seeds")
        if self.ray is not None and self.workers is None:
            raise ValueError(
                "a search on Ray needs --workers N: so many trials are proposed at once, on which depends what is found"
            )
