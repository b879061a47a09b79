#!/bin/sh
# DD-Ranking's GeneralEvaluator cannot be made: its constructor reads a name that is defined nowhere (NameError:
# use_torchvision), whatever it is given. LabelRobustScoreHard of the same package works. Seen with ddranking 0.2.0.
#
#   sh findings/ddranking-general-evaluator-undefined-name.sh           installs ddranking 0.2.0 into a temporary environment
#   PYTHON=python3 sh findings/ddranking-general-evaluator-undefined-name.sh     uses the ddranking of that Python
#
# Where the package would download CIFAR-10 it is handed ten images, which the fault does not depend on.
# Exits with 0 where ddranking does as described, and with 1 where it does something else.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet ddranking==0.2.0
    PYTHON=$work/venv/bin/python
fi

cd "$work"
"$PYTHON" - <<'PYTHON_END'
import importlib.metadata
import sys

import torch
import ddranking
import ddranking.metrics.general as general
from ddranking.utils import TensorDataset

images = TensorDataset(torch.zeros(10, 3, 32, 32), torch.arange(10))
same = {c: c for c in range(10)}
general.get_dataset = lambda *_: (3, (32, 32), None, None, 10, images, images, images, same, same)
print("ddranking", importlib.metadata.version("ddranking"))
try:
    ddranking.GeneralEvaluator(data_aug_func=None, num_workers=0, save_path="out/scores.csv", device="cpu")
except NameError as error:
    print("GeneralEvaluator(...) raises NameError:", error)
    sys.exit(error.name != "use_torchvision")
print("GeneralEvaluator(...) is made")
sys.exit(1)
PYTHON_END
