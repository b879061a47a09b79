"""TensorBoard events, written where TensorBoard is installed: it is an extra, and nothing here depends on it."""

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from glad.runs.storage import writing

KEPT = "all else that is finished is kept"
HOW = "pip install 'glad-distill[tensorboard]'"


class Events:
    """Curves and pictures in ``folder/tensorboard``; without TensorBoard nothing is written.

    Args:
        folder: Of a run or a training.
        start: The step that it goes on from; later events of an earlier process are dropped. Where TensorBoard is not
            installed, a start at 0 says once how to get it.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._folder = folder / "tensorboard"
        with writing(self._folder, KEPT):
            self._writer = _writer(self._folder, start)
        if self._writer is None and start == 0:
            warnings.warn(f"no curves are written for TensorBoard, which is not installed: {HOW}", stacklevel=3)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add a point to the curve ``name``; ``RunError`` when the disk does not take it."""
        if self._writer is not None:
            with writing(self._folder, KEPT):
                self._writer.add_scalar(name, value, step)

    def images(self, name: str, pixels: Tensor, step: int) -> None:
        """Add images, float [N, C, H, W] in [0, 1]; ``RunError`` when the disk does not take them."""
        if self._writer is not None:
            with writing(self._folder, KEPT):
                self._writer.add_images(name, pixels, step)

    def close(self) -> None:
        """Flush what was added; ``RunError`` when the disk does not take it."""
        if self._writer is not None:
            with writing(self._folder, KEPT):
                self._writer.close()


def _writer(folder: Path, start: int) -> Any:
    """TensorBoard's writer; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # a second to import, and only here
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=start)
