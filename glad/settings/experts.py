"""The settings of training experts, and the published recipes of their training.

The recipe ``mtt`` is that of Cazenavette et al. (CVPR 2022), ``glad`` the same for fewer epochs (Cazenavette et al.,
CVPR 2023), ``smooth`` that of AST (Shen et al., 2023): its first epochs count less, and its rate falls after the
middle. With a ``penalty`` the slope of the logits is held near one, so that the trajectory bends less.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from glad.settings.data import DSA, Convolutions, DataSettings, changed_words
from glad.settings.fields import Settings, settings_of, spelled
from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ONE, AT_LEAST_ZERO, SHARE, SWITCH
from glad.settings.spread import TaskSettings

FIRST_CLIP, CLIP_STEP = 0.50, 0.05  # of AST's clipping loss: the factor of the first epoch, and its growth per epoch


RecipeName = Literal["mtt", "glad", "smooth"]
Slope = Literal["logits", "label", "loss"]
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe(Settings):
    """How experts are trained; a number that is 0 (a ``drop`` of 1) switches its part off."""

    epochs: int = 50
    """Epochs of training on the real images."""
    learning_rate: float = spelled(1e-2, old=("lr",))
    """Learning rate of SGD."""
    momentum: float = 0.0
    """Momentum of SGD."""
    weight_decay: float = 0.0
    """Weight decay of SGD."""
    batch: int = 256
    """Images in a batch."""
    clipping: int = 0
    """1: the loss of epoch e is multiplied by 0.50, 0.55, ... up to 1."""
    penalty: float = 0.0
    """Weight of the penalty on the slope that the network has at images not augmented. AST's code has it at 2, its
    published script passes none; it costs a second backward pass."""
    drop: float = 1.0
    """Factor of the rate after epoch ``epochs // 2 + 1``, counted from 0, where the momentum starts from zero again."""
    balanced: int = 0
    """1: every batch has as many images of each class; those of small classes come several times in an epoch."""
    slope: Slope = "logits"
    """Of what the penalty holds the slope: ``logits``, their sum, as released, or ``label``, the logit of the true
    class, at 1 in each pixel; or ``loss``, the cross-entropy, at 0 (double backpropagation)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require_of(self, "epochs", "batch", of="experts:")
        ABOVE_ZERO.require_of(self, "learning_rate", "drop", of="experts:")
        SHARE.require_of(self, "momentum", of="experts:")
        AT_LEAST_ZERO.require_of(self, "weight_decay", "penalty", of="experts:")
        SWITCH.require_of(self, "clipping", "balanced", of="experts:")

    @property
    def turn(self) -> int:
        """The first epoch at the dropped rate; epoch 26 of 50 is the last before it, as released."""
        return self.epochs // 2 + 2

    def stored(self) -> dict[str, Any]:
        """The fields as experts' files have them, whose first bytes never change.

        ``lr`` is the learning rate there. ``balanced`` and ``slope``, which earlier versions did not have, are there
        where they are not the default, and ``turn`` where the rate drops: it was an epoch earlier in these versions.
        """
        fields = {"lr" if name == "learning_rate" else name: value for name, value in self.plain().items()}
        defaults = {"balanced": 0, "slope": "logits"}
        stored = {name: value for name, value in fields.items() if value != defaults.get(name, ...)}
        return stored | ({"turn": self.turn} if self.drop != 1 else {})

    def weight(self, epoch: int) -> float:
        """The factor of the loss in ``epoch``."""
        return min(1.0, FIRST_CLIP + CLIP_STEP * epoch) if self.clipping else 1.0


OF_OBJECTIVE = {"ast": "smooth"}
"""The recipe of the experts that an objective follows, where it is not the default."""


class MissingExpertsError(ValueError):
    """A run needs experts, and there are none: ``what`` is missing, and after a colon what mends it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what


def training_command(settings: Any, *options: str) -> str:
    """The command that trains experts for a run of ``settings``: on its data, of its network, with ``options``."""
    words = ["glad", "experts", "train", "--out", settings.experts or "FOLDER", *options]
    if recipe := OF_OBJECTIVE.get(settings.objective):
        words += ["--recipe", recipe]
    shared = {setting.name for setting in settings_of(DataSettings)} | {"network", "network_options"}
    words += changed_words(settings, shared)
    return shlex.join(words)


RECIPES: dict[str, Recipe] = {
    "mtt": Recipe(),
    "glad": Recipe(epochs=15),
    "smooth": Recipe(learning_rate=3e-3, momentum=0.9, weight_decay=1e-3, clipping=1, drop=0.6),
}
"""Published recipes by name."""


@dataclass(frozen=True, kw_only=True)
class ExpertSettings(TaskSettings, DataSettings):
    """What ``glad.train_experts`` and `glad experts train` are asked for."""

    out: str = spelled(..., path="folder")
    """Folder of the experts, one file each; a training that was interrupted is continued there."""
    count: int = 10
    """How many experts the folder is to hold."""
    recipe: RecipeName = "mtt"
    """How they are trained: ``mtt``, ``glad`` (the same for fewer epochs), or ``smooth``, that of AST."""
    recipe_options: Mapping[str, Any] = spelled({}, flags=("-o", "--option"))
    """Values of the recipe that are to be others, such as epochs=20."""
    network: str = "convnet"
    """The network: ``convnet``, ``alexnet``, ``vgg11``, ``resnet18`` or ``vit``. A run that follows the experts has the
    same."""
    network_options: Mapping[str, Any] = spelled({}, flags=("--network-option",))
    """Options of that network, such as width=64."""
    augmentation: str = DSA
    """DSA transforms joined by _, or ``none``."""
    dtype: Dtype = "float32"
    """Number format of the stored parameters."""
    seed: int = 0
    """Seed of the initial networks, the order of the images and the augmentation."""
    conv: Convolutions = "auto"
    """3x3 convolutions on a CPU. ``auto``: by Winograd's algorithm where it is the faster, which rounds otherwise;
    ``direct``: torch's own. What goes on keeps those that it began with."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..."""

    def __post_init__(self) -> None:
        super().__post_init__()
        AT_LEAST_ONE.require_of(self, "count")
