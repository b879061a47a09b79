"""The loop of a sharded run: what ends it, ends it between two iterations and on every rank at once."""

import signal
from collections.abc import Callable

import torch

from glad.distillation import DistillationError, Metrics
from glad.objectives.base import Step
from glad.ranks.state import ShardedState
from glad.runs.interrupts import Interrupts, Terminated


def run(
    state: ShardedState,
    iterations: int,
    seed: int,
    save: Callable[[], None],
    save_every: int,
    on_step: Callable[[int, Metrics], None],
) -> None:
    """Iterate up to ``iterations``; see ``glad.distillation.run``. Every rank must ask.

    A signal that comes to any rank is put off to the end of the iteration, where the ranks tell each other: all save,
    and all stop.
    """
    with Interrupts() as interrupts:
        while state.iteration < iterations:
            step = Step(seed, state.iteration)
            with interrupts.held():
                try:
                    metrics = state.iterate(step)
                except DistillationError:  # of what all ranks have gathered, so on all of them
                    save()
                    raise
                state.iteration += 1
                on_step(step.iteration, metrics)
                came = max(int(number) for number in state.ranks.all_gather(torch.tensor([interrupts.pending])))
                if came or state.iteration % save_every == 0 or state.iteration == iterations:
                    save()
            if came:
                raise Terminated if came == signal.SIGTERM else KeyboardInterrupt
