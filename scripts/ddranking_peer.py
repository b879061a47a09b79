"""One half of compare_ddranking.py, which starts it: trainings by DD-Ranking's package, in the Python that has it.

The loop is the package's own (``LabelRobustScoreHard``): network, optimizer, schedule, augmentation, and a test every
ten epochs of which the best counts. Handed in are the images and labels of training and test, where the package would
download the official CIFAR-10; the seed, where it would take the clock; and what every test found is noted.

    python ddranking_peer.py INPUT.safetensors SETTINGS.json OUTPUT.json
"""

import importlib.metadata
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

DSA = {"flip": 0.5, "rotate": 15.0, "scale": 1.2, "crop": 0.125, "cutout": 0.5}
COLOR = {"brightness": 1.0, "saturation": 2.0, "contrast": 0.5}


def measure(tensors: dict[str, torch.Tensor], settings: dict[str, Any]) -> dict[str, Any]:
    """Test accuracies in [0, 1] of every test of every seed."""
    import ddranking.metrics.hard_label as peer
    from ddranking.utils import TensorDataset

    train = TensorDataset(tensors["images"], tensors["labels"])
    test = TensorDataset(tensors["test_images"], tensors["test_labels"])
    classes, side = int(tensors["test_labels"].max()) + 1, tensors["images"].shape[-1]
    same = {c: c for c in range(classes)}
    data = (3, (side, side), None, None, classes, train, test, test, same, same)
    peer.get_dataset = lambda *_: data
    tests: list[float] = []
    validate = peer.validate

    def noted(**arguments: Any) -> Any:
        found = validate(**arguments)
        tests.append(float(found) / 100)
        return found

    peer.validate = noted
    with tempfile.TemporaryDirectory() as folder:
        evaluator = peer.LabelRobustScoreHard(
            dataset="CIFAR10",
            ipc=len(train) // classes,
            model_name="ConvNet-3",
            data_aug_func="dsa",
            aug_params={**DSA, **COLOR},
            optimizer="sgd",
            lr_scheduler="step",
            step_size=settings["epochs"] // 2,
            num_epochs=settings["epochs"],
            im_size=(side, side),
            num_workers=0,
            save_path=f"{folder}/scores.csv",
            device="cpu",
        )
    found, best = {}, {}
    for seed in settings["seeds"]:
        tests.clear()
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        image_path = None
        given = (tensors["images"], image_path, tensors["labels"], settings["learning_rate"], "syn")
        best[seed] = float(evaluator._compute_hard_label_metrics_helper(*given)[0]) / 100
        found[seed] = list(tests)
    return {"version": importlib.metadata.version("ddranking"), "tests": found, "best": best}


if __name__ == "__main__":
    torch.set_num_threads(1)
    source, asked, out = sys.argv[1:]
    Path(out).write_text(json.dumps(measure(load_file(source), json.loads(Path(asked).read_text()))))
