"""What a person watches while a run goes on: a line of metrics per iteration, curves and pictures."""

import warnings

import torch
from torch import Tensor

from glad.data.dataset import ImageData
from glad.distillation import DistillationError
from glad.ranks.sharded_set import ShardedSet
from glad.runs.events import Events
from glad.runs.folder import Run
from glad.runs.image_grid import grid, save_png
from glad.runs.snapshots import write_snapshot
from glad.synthetic_set import SyntheticSet

CURVE_EVERY = 10
FADED, IN_A_ROW = 1e-6, 10  # of the greatest gradient of the images; iterations below that


class Fading:
    """Says once when the images no longer receive a gradient, which no loss need show: the run goes on for nothing."""

    def __init__(self) -> None:
        self.greatest, self.count = 0.0, 0

    def look(self, iteration: int, gradient: float) -> None:
        """Take note of the norm of the images' gradient in ``iteration``."""
        self.greatest = max(self.greatest, gradient)
        self.count = self.count + 1 if gradient < FADED * self.greatest else 0
        if self.count == IN_A_ROW:
            warnings.warn(
                f"since iteration {iteration + 1 - IN_A_ROW} the images hardly receive a gradient ({gradient:.1e}, "
                f"{self.greatest:.1e} before): the first steps were too large. Start again with lower learning rates "
                "(--lr), or for mtt and ast with a lower step size of the student (-o step_size=)",
                stacklevel=2,
            )


class Monitor:
    """Writes metrics, TensorBoard events, ``grid_*.png`` and ``snapshot_*.safetensors`` into a run's folder.

    Of the ranks of a run each has one, as the set is asked for by all; the first alone writes.
    """

    def __init__(
        self,
        run: Run,
        data: ImageData,
        synset: SyntheticSet | ShardedSet,
        grid_every: int,
        start: int,
        end: int,
        writes: bool = True,
    ) -> None:
        self.run, self.data, self.synset, self.grid_every, self.end = run, data, synset, grid_every, end
        self.fading = Fading()
        self.events: Events | None = None
        if writes:
            run.keep_metrics_before(start)
            self.events = Events(run.path, start)

    def record(self, iteration: int, metrics: dict[str, float]) -> None:
        """Note the metrics of ``iteration``, and draw the set when it is time."""
        if self.events is not None:
            self._note(self.events, iteration, metrics)
        if (iteration + 1) % self.grid_every == 0 and iteration + 1 < self.end:
            self.picture(iteration + 1, *self._rendered())

    def _note(self, events: Events, iteration: int, metrics: dict[str, float]) -> None:
        self.run.add_metrics(iteration, metrics)
        if "image_grad" in metrics:  # none of an iteration that was skipped
            self.fading.look(iteration, metrics["image_grad"])
        if iteration % CURVE_EVERY == 0:
            for name, value in metrics.items():
                events.scalar(name, value, iteration)

    @torch.no_grad()
    def _rendered(self) -> tuple[Tensor, Tensor]:
        """Images and labels of the set as it is now."""
        return self.synset.images(), self.synset.labels.detach()

    def snapshot(self, kind: str, iteration: int) -> None:
        """Write the set as it is now as ``kind`` (``initial`` or ``synset``), and draw it."""
        images, labels = self._rendered()
        if iteration and not bool(images.isfinite().all()):  # before any, the first iteration says what is wrong
            raise DistillationError(
                f"the images are not finite after {iteration} iterations: lower the learning rates (--lr), and choose "
                "another --out"
            )
        latents = self.synset.latents
        if self.events is not None:
            self.run.write_set(kind, images, labels, latents)
        self.picture(iteration, images, labels)

    def picture(self, iteration: int, images: Tensor, labels: Tensor) -> None:
        """Draw normalized ``images`` [N, C, H, W], the set after ``iteration`` updates, and keep a snapshot of them."""
        if self.events is None:
            return
        pixels, labels = self.data.pixels(images).cpu(), labels.cpu()
        save_png(grid(pixels, labels, self.data.classes), self.run.path / f"grid_{iteration:06d}.png")
        write_snapshot(self.run.path, iteration, pixels, labels)
        self.events.images("set", pixels[:100].clamp(0, 1), iteration)

    def close(self) -> None:
        """Flush the curves."""
        if self.events is not None:
            self.events.close()
