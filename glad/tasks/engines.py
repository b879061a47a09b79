"""Which engine the settings ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from glad.settings.spread import TaskSettings
from glad.tasks.base import Engine
from glad.tasks.processes import InProcess, Processes


@contextmanager
def open_engine(settings: TaskSettings, folder: Path, device: torch.device) -> Iterator[Engine]:
    """The engine that ``settings`` ask for; its processes end with the block, whatever they do.

    Args:
        settings: How many tasks at once, and whether on Ray.
        folder: Where results go; on Ray all machines must see it.
        device: Where tasks compute.
    """
    if settings.ray is not None:
        from glad.tasks.cluster import RayTasks

        engine: RayTasks | Processes = RayTasks(settings.ray, settings.workers, folder, device)
    elif (settings.workers or 1) > 1:
        engine = Processes(settings.workers or 1, device)
    else:
        yield InProcess(device)
        return
    try:
        yield engine
    finally:
        engine.close()
