"""Ranks on this machine: torchrun, as ``glad distill --ranks N`` starts it."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import torch
import yaml
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from glad.data.splits import open_data
from glad.device import pick_device
from glad.ranks.group import require_classes
from glad.settings.distill import DistillSettings

THREADS = "OMP_NUM_THREADS"


def launch(settings: DistillSettings, ranks: int) -> bool:
    """Run ``settings`` on so many processes of this machine, with a thread each unless OMP_NUM_THREADS says otherwise.

    Args:
        settings: Of the run.
        ranks: Processes.

    Returns:
        Whether it has ended well; otherwise one of them has said why not.

    Raises:
        ValueError: There are more ranks than GPUs or classes.
        SystemExit: A signal came, such as that of Ctrl-C.
    """
    _require_room(settings, ranks)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # each has a level of its own; pages, where a line is enough
    os.environ.setdefault(THREADS, "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    with tempfile.TemporaryDirectory(prefix="glad-ranks-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(settings.plain(), sort_keys=False))
        try:
            elastic_launch(config, sys.executable)("-m", "glad", "distill", "--config", str(file))
        except ChildFailedError:
            return False
        except SignalException as stopped:  # which has been passed on to the ranks; the first one has said it
            raise SystemExit(128 + stopped.sigval) from None
    return True


def _require_room(settings: DistillSettings, ranks: int) -> None:
    """Raise ``ValueError`` before processes start that cannot share the run: each takes memory and seconds."""
    device = pick_device(settings.device)
    if device.type == "cuda":
        there = torch.cuda.device_count() if device.index is None else 1
        if ranks > there:
            named = "this machine" if device.index is None else f"--device {settings.device}"
            raise ValueError(f"--ranks {ranks} need a GPU each, {named} has {there}: take {there} or --device cpu")
    elif ranks > (os.cpu_count() or 1):  # otherwise what they take is little, and data are not opened for it
        require_classes(ranks, len(open_data(settings).train.classes))
