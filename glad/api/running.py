"""From a run that is set up to its finished folder, by one process or shared by ranks."""

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from cuda_ops.conv3x3 import use_convolutions, used_convolutions
from cuda_ops.diagnosis import served_by
from generators.official import sha256
from glad.api.monitor import Monitor
from glad.data.dataset import ImageData
from glad.distillation import DistillationState, Metrics
from glad.distillation import run as iterate
from glad.objectives.description import ObjectiveDescription
from glad.ranks.loop import run as iterate_together
from glad.ranks.state import ShardedState
from glad.runs.arithmetic import arithmetic
from glad.runs.folder import Run
from glad.runs.storage import RunError
from glad.settings.distill import DistillSettings

OnStep = Callable[[int, Metrics], None]
"""Called after each step with its number, from 0 on, and its metrics."""
PATIENCE = 10.0  # seconds that a file of one machine may take to be seen by another


def finish(
    state: DistillationState | ShardedState,
    data: ImageData,
    inputs: dict[str, Any],
    settings: DistillSettings,
    on_step: OnStep | None,
) -> Run:
    """Begin or continue the folder, iterate, and write the set.

    Args:
        state: The run before its first iteration.
        data: The training images.
        inputs: What ``inputs.json`` is to hold.
        settings: With all that was chosen.
        on_step: As in ``glad.distill``.
    """
    run = Run(settings.folder)
    rates = {group["name"]: group["lr"] for group in state.optimizer.param_groups}
    stated = ObjectiveDescription(state.objective)
    inputs = {**inputs, "learning_rates": rates}
    begin = partial(run.begin, settings, inputs, stated.old_names, stated.added_options)
    if isinstance(state, ShardedState):
        operators = served_by(state.ranks.device.type)  # compiled before others wait
        with state.ranks.joined(settings.rank_timeout):
            if _begin_together(state, run, settings, {**inputs, "operators": operators}, begin):
                state.restore(run.state)
            _iterate(state, run, data, settings, on_step)
        return run
    if begin(here=arithmetic(state.synset.label_parameters.device, 1)):
        state.restore(run.state)
    _iterate(state, run, data, settings, on_step)
    return run


def _begin_together(
    state: ShardedState, run: Run, settings: DistillSettings, inputs: dict[str, Any], begin: Callable[..., bool]
) -> bool:
    """Let rank 0 begin or continue the folder, once all ranks have said that they have the same."""
    ranks, stated = state.ranks, ObjectiveDescription(state.objective)
    ranks.agree(
        {
            **{f"version of {name}": version for name, version in inputs["versions"].items()},
            **{f"hash of {name}": digest for name, digest in inputs["hashes"].items()},
            **{f"setting {name}": value for name, value in settings.plain().items() if name != "device"},
            **{f"operators on {device}": served for device, served in inputs["operators"].items()},
            **{name: value for name, value in arithmetic(ranks.device).items() if name not in ("threads", "conv")},
        }
    )
    if ranks.world > 1 and ranks.rank == 0 and not stated.states_by_class:
        warnings.warn(
            f"objective {stated.name} does not say whether it is by_class: all ranks render, and each computes the "
            "whole loss, alike (docs/SCALE.md)",
            stacklevel=2,
        )
    begun = ranks.first_does(
        lambda: {
            "continues": begin(here=arithmetic(ranks.device, ranks.world)),
            "threads": torch.get_num_threads(),
            "conv": used_convolutions(),
            "inputs": sha256(run.path / "inputs.json"),
        }
    )
    torch.set_num_threads(begun["threads"])
    use_convolutions(begun["conv"])
    _require_shared(run, begun["inputs"])
    return bool(begun["continues"])


def _require_shared(run: Run, digest: str) -> None:
    """Raise ``RunError`` unless this rank sees what rank 0 has written into the folder of the run."""
    limit, path = time.monotonic() + PATIENCE, run.path / "inputs.json"
    while not path.exists() or sha256(path) != digest:
        if time.monotonic() > limit:
            raise RunError(
                f"{run.path.absolute()} is not the folder that rank 0 writes to: the ranks of several machines need a "
                "folder that all of them share (--out)"
            )
        time.sleep(0.1)


def _iterate(
    state: DistillationState | ShardedState,
    run: Run,
    data: ImageData,
    settings: DistillSettings,
    on_step: OnStep | None,
) -> None:
    """Iterate to the end, watched, from what is there."""
    writes = not isinstance(state, ShardedState) or state.ranks.rank == 0
    monitor = Monitor(run, data, state.synset, settings.grid_every, state.iteration, settings.iterations, writes)
    if state.iteration == 0:
        monitor.snapshot("initial", 0)

    def step(iteration: int, metrics: Metrics) -> None:
        monitor.record(iteration, metrics)
        if on_step is not None:
            on_step(iteration, metrics)

    def save() -> None:
        state.save(run.state)

    try:
        if isinstance(state, ShardedState):
            iterate_together(state, settings.iterations, settings.seed, save, settings.save_every, step)
        else:
            iterate(state, settings.iterations, settings.seed, save, settings.save_every, step)
        monitor.snapshot("synset", state.iteration)
    finally:
        monitor.close()
