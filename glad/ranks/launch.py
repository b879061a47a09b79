"""Ranks on this machine: torchrun, as ``glad distill --ranks N`` starts it."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import yaml
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from glad.settings.distill import DistillSettings

THREADS = "OMP_NUM_THREADS"


def launch(settings: DistillSettings, ranks: int) -> bool:
    """Run ``settings`` on so many processes of this machine, with a thread each unless OMP_NUM_THREADS says otherwise.

    Args:
        settings: Of the run.
        ranks: Processes.

    Returns:
        Whether it has ended well; otherwise one of them has said why not.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # pages, where one line is enough
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
    return True
