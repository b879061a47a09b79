"""The networks of an audit as tasks: each is trained where there is room, and kept in a file for the next audit."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from glad.auditing.audited_run import AuditedRun, open_data_of
from glad.data.dataset import Splits
from glad.device import pick_device
from glad.networks import Network
from glad.runs.folder import Run
from glad.settings.audit import AuditSettings
from glad.settings.objects import name_of
from glad.tasks.base import Engine
from glad.tasks.order import TaskKind, await_file, require_data, require_named

OnNetwork = Callable[[int, int, str], None]
"""Is called with (done, total, name) after each network."""


def open_audited(run: Run, settings: AuditSettings, data: Splits | None = None) -> AuditedRun:
    """``run`` with its data, as ``settings`` ask; ``data`` are the splits of a run of an object."""
    return AuditedRun(
        run=run,
        splits=open_data_of(run, data),
        network=settings.network or run.settings.network,
        width=settings.width,
        epochs=settings.epochs,
        set_epochs=settings.set_epochs,
        seeds=list(range(settings.seeds)) if isinstance(settings.seeds, int) else list(settings.seeds),
        images=settings.images,
        learning_rate=settings.learning_rate,
        split=settings.split,
        out=run.path if settings.out is None else Path(settings.out),
        device=pick_device(settings.device),
    )


def train_networks(
    audited: AuditedRun,
    settings: AuditSettings,
    data: Splits | None,
    engine: Engine,
    on_network: OnNetwork | None,
) -> tuple[list[Network], list[Network]]:
    """The networks trained on the full data, and those trained on the set, one of either per seed."""
    setups = audited.training_setups()
    keys = [(setup, seed) for seed in audited.seeds for setup in range(len(setups))]
    kept = {key for key in keys if audited.path(setups[key[0]], key[1]).exists()}
    missing = [key for key in keys if key not in kept]
    done = 0

    def advance(key: tuple[int, int], remark: str = "") -> None:
        nonlocal done
        done += 1
        if on_network is not None:
            on_network(done, len(keys), f"{setups[key[0]].name}, seed {key[1]}{remark}")

    for key in keys:
        if key in kept:
            advance(key, " (kept)")
    if engine.elsewhere and missing:
        require_named(audited.settings.data if data is None else name_of(data))
    there = replace(settings, device=engine.device)
    reopen = partial(_reopen, audited.run.path, there, audited.train.digest)
    work = TaskKind(_train, lambda setup, seed: f"training on {setups[setup].name}, seed {seed}", audited, reopen)
    for position, _ in engine.run(work, missing):
        advance(missing[position])
    found: tuple[list[Network], list[Network]] = ([], [])
    for setup, seed in keys:
        await_file(audited.path(setups[setup], seed))
        found[setup].append(audited.network_for(setups[setup], seed)[0])
    return found


def _reopen(run: Path, settings: AuditSettings, digest: str) -> AuditedRun:
    """The run in another process; ``NodeError`` where its data is other data."""
    audited = open_audited(Run(run), settings)
    require_data(audited.train.digest, digest)
    return audited


def _train(audited: AuditedRun, setup: int, seed: int) -> None:
    audited.network_for(audited.training_setups()[setup], seed)
