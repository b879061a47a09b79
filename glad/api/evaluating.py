"""``glad.evaluate``: from settings to results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cuda_ops.conv3x3 import convolutions
from generators.classes import read_class_map
from glad.data.dataset import Splits
from glad.evaluation.config import EvaluationConfig
from glad.evaluation.protocol import Protocol
from glad.evaluation.resolve import ResolvedEvaluation
from glad.evaluation.runner import run_evaluation
from glad.runs.folder import Run
from glad.settings.data import Convolutions
from glad.settings.evaluate import NETWORKS, Baseline, Equal, LabelMode, TestSplit
from glad.settings.sets import Values
from glad.settings.types import as_tuple


def evaluate(
    runs: str | Path | Run | Sequence[str | Path | Run],
    *,
    networks: Sequence[str] = NETWORKS,
    seeds: int | Sequence[int] = 5,
    epochs: int | None = None,
    baselines: Sequence[Baseline] = ("before", "random"),
    equal: Equal = "numbers",
    data: str | Splits | None = None,
    root: str | Path = "data",
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    resolution: int | None = None,
    zca: bool = False,
    drop_duplicates: bool = False,
    values: Values | None = None,
    class_map: Mapping[str, str | int] | str | None = None,
    seen: str = "convnet",
    split: TestSplit = "test",
    augmentation: str | None = None,
    protocol: str | Path | Protocol = "default",
    label_mode: LabelMode = "hard",
    teacher: str | None = None,
    full_epochs: int = 20,
    learning_rate: Mapping[str, float] | float | None = None,
    network_options: Mapping[str, Mapping[str, int]] | None = None,
    hybrid: Sequence[float] | None = None,
    scores: bool = False,
    cost: bool = False,
    reach: float = 0.8,
    conv: Convolutions = "auto",
    workers: int | None = None,
    ray: str | None = None,
    part: str | None = None,
    device: str = "auto",
    on_cell: Callable[[dict[str, Any], int], None] | None = None,
) -> dict[str, Any]:
    """Train networks from scratch on finished ``runs``, or other sets, and test them after the last epoch.

    What is finished is kept in each set's results and not computed again under the same settings.

    Args:
        runs: Folders of one data set, or sets of images with the name of their ``data``, loaded by ``root`` to
            ``drop_duplicates``.
        networks: The networks to train: ``convnet``, ``alexnet``, ``vgg11``, ``resnet18``, ``vit``, or any classifier
            of torchvision or timm with random weights, such as torchvision:mobilenet_v3_small or timm:resnet18.
        seeds: How many seeds (0, 1, ...), or which, such as 0,1,2.
        epochs: Epochs of training on a set; the protocol's if None.
        baselines: What the set is compared with: ``before`` (the same latents before optimization), ``random`` (real
            images, as many), ``kmeans`` (those nearest to k-means centers), ``herding`` (those that herding selects),
            ``full`` (the full data).
        equal: What the real images of baselines have in common with the set. ``numbers``: as many as it has rows, or as
            hold the numbers of its budget. ``bytes``: as many as take its bytes, 8 bits a value, to the nearest number;
            weights of a prior are left out.
        data: The data that sets of images stand for, by name; the run's own if None.
        root: Where data sets lie; this and the next five go with the name of the data.
        classes: The classes to keep, by number or name; all if None.
        limit: At most so many training images; all if None.
        resolution: Resize and crop image files to squares of this side; their own if None.
        zca: Whiten the data.
        drop_duplicates: Leave out training and validation images that are identical to another image; test images stay
            all.
        values: What the floats of a set are that lie outside 0 to 1: ``unit``, ``uint8`` (0 to 255) or ``normalized``
            (by the mean and deviation of the data); asked for where it matters if None.
        class_map: The class of the data, by name or number, that a class of a set stands for; ``guess`` takes classes
            that nothing decides in their order. Classes that are not given are found by name, number or WordNet
            number.
        seen: The seen architecture, which is the network that the set was distilled with, where no set says so.
        split: The images that are tested on: ``test``, or ``validation`` for tuning.
        augmentation: DSA transforms joined by ``_``, or ``none``; the protocol's if None.
        protocol: How networks are trained. ``default``: 1000 epochs, cosine, averaged weights. ``dc``: 300 epochs, step
            decay, as published for DC and, with 1000 epochs, for DSA. ``glad``: the default at a rate of 1e-3 for every
            network (1e-4 for vgg11) on every set, as published for GLaD. Or a YAML or JSON file of a protocol's fields,
            such as `glad protocols default` prints.
        label_mode: ``hard``: the labels of the set. ``soft``: the probabilities that a teacher trained on the full data
            gives each image, for baselines too; they are stored with a run's set, and exported with it. A set that
            brings soft labels keeps them.
        teacher: The network behind soft labels, in whose features herding works too. It is trained once and kept in
            ~/.cache/glad/teachers (GLAD_TEACHER_CACHE); convnet where labels are soft if None.
        full_epochs: Epochs on the full data, for the teacher, the scores and the costs; the baseline full has those of
            the set.
        learning_rate: The peak learning rate, of all networks or by name, such as vit=0.001. The protocol's are for
            1,000 epochs: short trainings need larger ones; the protocol's if None.
        network_options: Options by network, such as resnet18.width=16. Networks of torchvision and timm have ``stem``:
            the side of a first convolution of stride 1 in place of theirs, without the max pooling after it, for small
            images.
        hybrid: Shares of the real images in per cent, such as 1,5,10: each is added to the set, and compared with the
            share alone; no shares if None.
        scores: Measure LRS and ARS of DD-Ranking, of the seen architecture.
        cost: Measure what training takes on the set and on the full data, and when distilling has paid.
        reach: For ``cost``: the share of the full data's accuracy to be reached, above 0 and at most 1.
        conv: 3x3 convolutions on a CPU. ``auto``: by Winograd's algorithm where it is the faster, which rounds
            otherwise; ``direct``: torch's own. Each accuracy says which; finished ones are kept.
        workers: At most so many tasks at once, each in a process of its own. Processes of this machine share the
            threads of this one; 1, and with ray as many as there is room for if None.
        ray: Run the tasks on Ray: ``local`` starts it on this machine, an address such as 10.0.0.1:6379 or ``auto`` is
            that of a cluster whose machines share the folder that is written to (docs/SCALE.md); no Ray if None.
        part: Do only the I-th of N parts, for ranks on one file system; a call without it merges them; all if None.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        on_cell: Called with each new cell, which has the ``label`` of its row, and the number of cells that are left.

    Returns:
        What ``results.json`` holds (see docs/EVALUATION.md), accuracies in [0, 1].

    Raises:
        ValueError: A setting is unknown or cannot be.
        DataError: The data cannot be used.
        RunError: A set is unfinished, damaged or of other data.

    Examples:
        >>> results = glad.evaluate(
        ...     "runs/tiny", networks=["convnet"], network_options={"convnet": {"width": 8}}, seeds=1, epochs=2
        ... )
        >>> list(results["summary"])
        ['set:tiny', 'before:tiny', 'random:1']
        >>> 0 <= results["summary"]["set:tiny"]["seen"]["mean"] <= 1
        True
    """
    config = EvaluationConfig(
        networks=as_tuple(networks), seeds=as_tuple(seeds), epochs=epochs,
        baselines=as_tuple(baselines), equal=equal, data=data, root=str(root), classes=as_tuple(classes),
        limit=limit, resolution=resolution, zca=zca, drop_duplicates=drop_duplicates, values=values,
        class_map=read_class_map(class_map), seen=seen, split=split,
        augmentation=augmentation, protocol=protocol, label_mode=label_mode, teacher=teacher, full_epochs=full_epochs,
        learning_rate=learning_rate, network_options=network_options or {},
        hybrid=as_tuple(hybrid), scores=scores, cost=cost, reach=reach, conv=conv, workers=workers, ray=ray,
        part=part, device=device,
    )  # fmt: skip
    return evaluate_runs(runs, config, on_cell)


def evaluate_runs(
    runs: str | Path | Run | Sequence[str | Path | Run],
    config: EvaluationConfig,
    on_cell: Callable[[dict[str, Any], int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate ``runs`` as ``config`` says; see ``evaluate``."""
    listed = [runs] if isinstance(runs, str | Path | Run) else list(runs)
    if not listed:
        raise ValueError("an evaluation needs at least one run or set of images")
    paths = [run.path if isinstance(run, Run) else Path(run) for run in listed]
    with convolutions(config.conv):
        return run_evaluation(ResolvedEvaluation(paths, config), on_cell)
