"""The settings of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from glad.settings.data import Convolutions
from glad.settings.fields import spelled
from glad.settings.numbers import AT_LEAST_ONE, AT_LEAST_ZERO
from glad.settings.sets import REST, Values
from glad.settings.spread import TaskSettings

Baseline = Literal["before", "random", "kmeans", "herding", "full"]
Equal = Literal["numbers", "bytes"]
LabelMode = Literal["hard", "soft"]
TestSplit = Literal["test", "validation"]
NETWORKS = ("convnet", "alexnet", "vgg11", "resnet18", "vit")
"""The networks of an evaluation that names none."""
UNRECORDED = (
    "data",
    "root",
    "classes",
    "limit",
    "resolution",
    "zca",
    "drop_duplicates",
    "values",
    "class_map",
    "workers",
    "ray",
    "part",
    "device",
)
"""Fields that results do not repeat: where the data are, and how the work was spread."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(TaskSettings):
    """What ``glad.evaluate`` and `glad evaluate` are asked for, beside the sets."""

    networks: tuple[str, ...] = NETWORKS
    """The networks to train: ``convnet``, ``alexnet``, ``vgg11``, ``resnet18``, ``vit``, or any classifier of
    torchvision or timm with random weights, such as torchvision:mobilenet_v3_small or timm:resnet18."""
    seeds: int | tuple[int, ...] = 5
    """How many seeds (0, 1, ...), or which, such as 0,1,2."""
    epochs: int | None = None
    """Epochs of training on a set; the protocol's if None."""
    baselines: tuple[Baseline, ...] = ("before", "random")
    """What the set is compared with: ``before`` (the same latents before optimization), ``random`` (real images, as
    many), ``kmeans`` (those nearest to k-means centers), ``herding`` (those that herding selects), ``full`` (the full
    data)."""
    equal: Equal = "numbers"
    """What the real images of baselines have in common with the set. ``numbers``: as many as it has rows, or as hold
    the numbers of its budget. ``bytes``: as many as take its bytes, 8 bits a value, to the nearest number; weights of a
    prior are left out."""
    data: Any = None
    """The data that sets of images stand for, by name; the run's own if None."""
    root: str = "data"
    """Where data sets lie; this and the next five go with the name of the data."""
    classes: tuple[int | str, ...] | None = None
    """The classes to keep, by number or name; all if None."""
    limit: int | None = None
    """At most so many training images; all if None."""
    resolution: int | None = None
    """Resize and crop image files to squares of this side; their own if None."""
    zca: bool = False
    """Whiten the data."""
    drop_duplicates: bool = False
    """Leave out training and validation images that are identical to another image; test images stay all."""
    values: Values | None = None
    """What the floats of a set are that lie outside 0 to 1: ``unit``, ``uint8`` (0 to 255) or ``normalized`` (by the
    mean and deviation of the data); asked for where it matters if None."""
    class_map: Mapping[str, str | int] = spelled({}, metavar="CLASS=CLASS", alone="guess")
    """The class of the data, by name or number, that a class of a set stands for; ``guess`` takes classes that nothing
    decides in their order. Classes that are not given are found by name, number or WordNet number."""
    seen: str = spelled("convnet", old=("same",))
    """The seen architecture, which is the network that the set was distilled with, where no set says so."""
    split: TestSplit = "test"
    """The images that are tested on: ``test``, or ``validation`` for tuning."""
    augmentation: str | None = None
    """DSA transforms joined by ``_``, or ``none``; the protocol's if None."""
    protocol: Any = spelled("default", metavar="NAME|FILE")
    """How networks are trained. ``default``: 1000 epochs, cosine, averaged weights. ``dc``: 300 epochs, step decay, as
    published for DC and, with 1000 epochs, for DSA. ``glad``: the default at a rate of 1e-3 for every network (1e-4 for
    vgg11) on every set, as published for GLaD. Or a YAML or JSON file of a protocol's fields, such as `glad protocols
    default` prints."""
    label_mode: LabelMode = spelled("hard", old=("recipe",))
    """``hard``: the labels of the set. ``soft``: the probabilities that a teacher trained on the full data gives each
    image, for baselines too; they are stored with a run's set, and exported with it. A set that brings soft labels
    keeps them."""
    teacher: str | None = None
    """The network behind soft labels, in whose features herding works too. It is trained once and kept in
    ~/.cache/glad/teachers (GLAD_TEACHER_CACHE); convnet where labels are soft if None."""
    full_epochs: int = 20
    """Epochs on the full data, for the teacher, the scores and the costs; the baseline full has those of the set."""
    learning_rate: Mapping[str, float] | float | None = spelled(
        None, flags=("--lr", "--learning-rate"), metavar="RATE", old=("lr",)
    )
    """The peak learning rate, of all networks or by name, such as vit=0.001. The protocol's are for 1,000 epochs: short
    trainings need larger ones; the protocol's if None."""
    network_options: Mapping[str, Mapping[str, int]] = spelled(
        {}, flags=("--network-option",), metavar="NETWORK.OPTION=NUMBER"
    )
    """Options by network, such as resnet18.width=16. Networks of torchvision and timm have ``stem``: the side of a
    first convolution of stride 1 in place of theirs, without the max pooling after it, for small images."""
    hybrid: tuple[float, ...] | None = spelled(None, metavar="PERCENTS", commas=True)
    """Shares of the real images in per cent, such as 1,5,10: each is added to the set, and compared with the share
    alone; no shares if None."""
    scores: bool = False
    """Measure LRS and ARS of DD-Ranking, of the seen architecture."""
    cost: bool = False
    """Measure what training takes on the set and on the full data, and when distilling has paid."""
    reach: float = 0.8
    """For ``cost``: the share of the full data's accuracy to be reached, above 0 and at most 1."""
    conv: Convolutions = "auto"
    """3x3 convolutions on a CPU. ``auto``: by Winograd's algorithm where it is the faster, which rounds otherwise;
    ``direct``: torch's own. Each accuracy says which; finished ones are kept."""
    part: str | None = spelled(None, metavar="I/N")
    """Do only the I-th of N parts, for ranks on one file system; a call without it merges them; all if None."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..."""

    def __post_init__(self) -> None:
        if isinstance(self.class_map, str):  # guess, for all that nothing decides
            object.__setattr__(self, "class_map", {REST: self.class_map})
        super().__post_init__()
        if (self.epochs is not None and self.epochs < 1) or not self.seed_list or not self.networks:
            raise ValueError("an evaluation needs at least one network, one seed and one epoch")
        if len(set(seeds := self.seed_list)) < len(seeds):
            twice = next(seed for seed in seeds if seeds.count(seed) > 1)
            raise ValueError(f"{','.join(map(str, seeds))!r} has seed {twice} twice, which is one training")
        AT_LEAST_ONE.require_of(self, "limit", "resolution", "full_epochs")
        AT_LEAST_ZERO.require_of(self, "learning_rate")
        if not 0 < self.reach <= 1:
            raise ValueError(f"reach is {self.reach}: a share of the full data's accuracy, above 0 and at most 1")
        if not all(0 < percent <= 100 for percent in self.shares):
            raise ValueError(f"hybrid is {self.shares}: name shares of the real images in per cent, such as 1,5,10")
        if self.part_numbers is not None and self.cost:
            raise ValueError("cost is measured in one process: leave it to the call without a part")
        if self.teacher is not None and not self.soft and "herding" not in self.baselines:
            raise ValueError("a teacher is for soft labels and the baseline herding: ask for one of them")

    @property
    def seed_list(self) -> list[int]:
        """The seeds, one by one."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def shares(self) -> list[float]:
        """The shares of the real images in per cent."""
        return list(self.hybrid or ())

    @property
    def soft(self) -> bool:
        """Whether labels are soft."""
        return self.label_mode == "soft"

    @property
    def part_numbers(self) -> tuple[int, int] | None:
        """``part`` as (I, N); ``ValueError`` for what is none."""
        if self.part is None:
            return None
        number, slash, count = self.part.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ValueError(f"part is {self.part!r}: name one of several, numbered from 1, such as 2/4")
        return int(number), int(count)
