"""The settings of a distillation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from glad.settings.data import DSA, Convolutions, DataSettings
from glad.settings.experts import MissingExpertsError, training_command
from glad.settings.fields import spelled
from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ONE, AT_LEAST_ZERO, SHARE
from glad.settings.sets import REST

Balance = Literal["equal", "proportional", "sqrt"]
Offload = Literal["none", "host", "disk"]
Labels = Literal["hard", "learned", "logits"]
Initialization = Literal["prior", "representative", "nearest", "correct", "inversion", "fit"]


@dataclass(frozen=True, kw_only=True)
class DistillSettings(DataSettings):
    """What ``glad.distill`` and `glad distill` are asked for, and what ``config.yaml`` of a run holds."""

    objective: str = "dm"
    """The objective: ``dm``, ``dc``, ``mtt``, ``ast``, ``datm``, ``datadam``, ``cf``, ``ncfm``, ``lgm``, or
    module:Class of one's own."""
    prior: str = "fashion-mini"
    """The prior: a generator of `glad weights list` (``fashion-mini`` and other ``-mini`` are embedded),
    FILE.safetensors, org/repo:FILE on the Hub, ``random``, ``pixels``, ``idc``, ``fred``, ``ddif``, ``pyramid``,
    ``taesd``, or module:Class of one's own."""
    ipc: int | None = None
    """Synthetic images per class (rows of latents, of which ``idc`` makes several images each); 1 if None."""
    budget: float | None = None
    """Size of the set in place of ``ipc``: it may store as many numbers per class as so many images have, and has as
    many rows of latents as fit; ``ipc`` decides if None."""
    balance: Balance = "equal"
    """How the images are shared out to the classes: ``equal``, as many of each; ``proportional``, as the training
    images are; ``sqrt``, as their square roots. In all there are as many as with ``equal``, and one of each at
    least."""
    out: str | None = spelled(None, path="folder")
    """Folder of the run; an existing one with the same settings is continued; runs/NAME if None."""
    iterations: int = 1000
    """Updates of the synthetic set."""
    learning_rate: Mapping[str, float] | float | None = spelled(
        None, flags=("--lr", "--learning-rate"), metavar="RATE", old=("lr",)
    )
    """Learning rate of all latents, or by name (``w``, ``f``, ``pixels``, ``g``; ``*`` is any other latent); those of
    the objective and the prior if None."""
    momentum: float = 0.5
    """Momentum of the latents' SGD."""
    prior_options: Mapping[str, Any] = spelled({}, flags=("-p", "--prior-option"))
    """Options of the prior by name."""
    class_map: Mapping[str, str | int] = spelled({}, metavar="CLASS=CLASS", alone="guess")
    """The class of the generator, by name or number, that stands for a class of the data; ``guess`` takes classes that
    no name decides by their number. Classes that are not given are found by name."""
    objective_options: Mapping[str, Any] = spelled({}, flags=("-o", "--set", "--objective-option"))
    """Options of the objective by name; `glad objectives show NAME` lists them."""
    network: str = "convnet"
    """The network to distill with: ``convnet``, ``alexnet``, ``vgg11``, ``resnet18`` or ``vit``."""
    network_options: Mapping[str, Any] = spelled({}, flags=("--network-option",))
    """Options of that network, such as width=64 or norm=batch."""
    augmentation: str = DSA
    """DSA transforms joined by _, or ``none``."""
    experts: str | None = spelled(None, path="folder")
    """Folder of `glad experts train`, which the objectives mtt, ast, datm, ncfm and lgm and a representative
    initialization need; no experts if None."""
    labels: Labels = "hard"
    """``hard``: the number of a class for each image. ``learned``: a weight per class, at first 1 for the image's own
    class and 0 for the others, learned at the learning rate called labels (objectives mtt, ast and datm). ``logits``:
    the softmax of logits that are learned, at first the mean of the experts' for the first images, as in DATM."""
    initialization: Initialization = spelled("prior", old=("start",))
    """First latents. ``prior``: drawn by the prior. ``representative``: the real images (with a generator: drawn
    codes) nearest to the centers of each class among an expert's logits. ``nearest``: drawn codes whose images are
    nearest to such real ones (without experts: to those that k-means on pixels chooses). ``correct``: real images
    drawn from those that an expert classifies right, or codes nearest to them. ``inversion``: codes that render the
    images of ``nearest``. ``fit``: what the prior draws, fitted to real images drawn at random."""
    candidates: int = 100
    """Codes drawn per class for an initialization that chooses some of them."""
    inversion_steps: int = 200
    """Steps of the initializations ``inversion`` and ``fit``, twice as many in F_n."""
    chunk: int = 10
    """Images rendered at a time."""
    memory: float = 2.0
    """GiB for the generator's graphs; beyond it images are rendered twice."""
    seed: int = 0
    """Seed of every draw."""
    conv: Convolutions = "auto"
    """3x3 convolutions on a CPU. ``auto``: by Winograd's algorithm where it is the faster, which rounds otherwise;
    ``direct``: torch's own. What goes on keeps those that it began with."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..."""
    sharded: bool = False
    """Compute class by class, so that the set can be shared out to processes (ranks), with the same bytes on any number
    of them; started by torchrun, a run is."""
    offload: Offload = "none"
    """Where latents, their gradients and moments lie while their class is not in use: ``none``, on the device;
    ``host``, in the memory of the host of a GPU; ``disk``, in a nameless file in the folder of the run. A run with one
    of these is sharded; the bytes are the same."""
    rank_timeout: float = 60.0
    """Seconds that a rank waits for the others before it stops."""
    save_every: int = 50
    """Iterations between saved states."""
    grid_every: int = 100
    """Iterations between pictures."""

    def __post_init__(self) -> None:
        if isinstance(self.class_map, str):  # guess, for all that no name decides
            object.__setattr__(self, "class_map", {REST: self.class_map})
        super().__post_init__()
        self._set_size()
        SHARE.require_of(self, "momentum")
        ABOVE_ZERO.require_of(self, "rank_timeout")
        AT_LEAST_ZERO.require_of(self, "learning_rate", "memory")  # at a rate of 0 a tensor stays as it is
        counts = ("ipc", "candidates", "inversion_steps", "iterations", "chunk", "save_every", "grid_every")
        AT_LEAST_ONE.require_of(self, *counts)
        if self.initialization == "representative" and self.experts is None:
            self._refuse("a representative initialization needs --experts FOLDER")
        for name, value in (("initialization", "correct"), ("labels", "logits")):
            if getattr(self, name) == value and self.experts is None:
                self._refuse(f"{name} {value} needs --experts FOLDER")

    def _refuse(self, what: str) -> NoReturn:
        """Say the command that trains an expert of the run's data and network."""
        raise MissingExpertsError(what, f"train one with `{training_command(self, '--count', '1')}`")

    def _set_size(self) -> None:
        """One of ``ipc`` and ``budget``, and not both."""
        if self.budget is None:
            object.__setattr__(self, "ipc", 1 if self.ipc is None else self.ipc)
        elif self.ipc is not None:
            raise ValueError(f"ipc {self.ipc} and budget {self.budget:g} both say how large a set is: give one of them")
        elif not 0 < self.budget < float("inf"):
            raise ValueError(f"budget must be a number of images above 0, not {self.budget:g}")

    @property
    def folder(self) -> Path:
        """The folder of the run: ``out``, or one named after what it is about."""
        if self.out is not None:
            return Path(self.out)
        parts = [Path(name).stem.replace(":", "-") for name in (self.data, self.objective, self.prior)]
        size = f"ipc{self.ipc}" if self.budget is None else f"budget{self.budget:g}"
        return Path("runs") / "-".join([*parts, size, f"seed{self.seed}"])
