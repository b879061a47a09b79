"""How the minutes of a training are split between the discriminator's features and the generator.

The features are trained first, for a number of steps. That number is fixed before their first step, from the pace of
a few steps on a copy: with it the training is a function of its settings, and can be repeated to the same bits.
"""

import copy
import statistics
import time
from collections.abc import Callable
from itertools import islice, pairwise

from generators.training.discriminator import Features
from generators.training.gan import Reals, train_features
from generators.training.settings import TrainingSettings
from glad.settings.numbers import ABOVE_ZERO

FEATURE_STEPS = 1800  # where there is time for as many
FEATURE_SHARE = 0.25  # of the minutes, at most, where nobody asked for a number of steps
TIMED = 3  # steps, after one to warm up

Clock = Callable[[], float]
"""Seconds since any moment."""


class TimeBudget:
    """Minutes for all stages of a training, and the step of the generator to stop at, if that is earlier.

    Args:
        minutes: all that may be spent.
        steps: steps of the generator, None for no limit.
        clock: seconds since any moment; replaced in tests.
    """

    def __init__(self, minutes: float, steps: int | None = None, clock: Clock = time.monotonic) -> None:
        if minutes not in ABOVE_ZERO:
            raise ValueError(f"minutes is {minutes}: choose a finite number above 0")
        if steps is not None and steps < 1:
            raise ValueError(f"steps is {steps}: choose at least 1, or leave it out")
        self.minutes, self.steps, self.clock = minutes, steps, clock
        self.began = clock()

    def resume(self, spent: float) -> None:
        """Begin anew, after ``spent`` minutes of earlier calls."""
        self.began = self.clock() - 60 * spent

    @property
    def spent(self) -> float:
        """Minutes spent so far, earlier calls included."""
        return (self.clock() - self.began) / 60

    def left(self, step: int) -> bool:
        """Whether another step of the generator may begin after ``step`` of them."""
        return self.spent < self.minutes and (self.steps is None or step < self.steps)


def seconds_per_step(features: Features, reals: Reals, settings: TrainingSettings, clock: Clock) -> float:
    """The median time of a step of the features' training, in seconds; ``features`` are left as they are."""
    steps = train_features(copy.deepcopy(features), reals, settings, FEATURE_STEPS)
    times = [clock() for _ in islice(steps, TIMED + 1)]
    return statistics.median(later - earlier for earlier, later in pairwise(times))


def plan_feature_steps(
    features: Features, reals: Reals, settings: TrainingSettings, budget: TimeBudget
) -> tuple[int, str]:
    """How many steps the features are trained for, and a line that says how the budget is split.

    Raises ``ValueError`` where the settings ask for so many that nothing is left for the generator.
    """
    pace = seconds_per_step(features, reals, settings, budget.clock)
    steps = settings.feature_steps
    if steps is None:
        steps = max(1, min(FEATURE_STEPS, int(60 * FEATURE_SHARE * budget.minutes / pace)))
    needed = steps * pace / 60
    if needed >= budget.minutes:
        raise ValueError(
            f"{steps:,} steps of the features take about {needed:.1f} min here and leave none of "
            f"{budget.minutes:g} min for the generator: choose more --minutes or fewer --feature-steps"
        )
    return steps, (
        f"{budget.minutes:g} min: about {needed:.1f} for the discriminator's features ({steps:,} steps), "
        f"{budget.minutes - needed:.1f} for the generator"
    )
