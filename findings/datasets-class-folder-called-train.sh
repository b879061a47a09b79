#!/bin/sh
# A class folder whose name holds the word of a split is taken for that split: Hugging Face datasets reads a folder of
# images CLASS/*.png with the classes bus, test_tube, train and tree (train is a class of CIFAR-100) as the splits train and
# test, with half of the images and two of the four classes, without a warning. Seen with datasets 5.2.0.
#
#   sh findings/datasets-class-folder-called-train.sh            installs datasets 5.2.0 into a temporary environment
#   PYTHON=python3 sh findings/datasets-class-folder-called-train.sh      uses the datasets of that Python
#
# Exits with 0 where datasets does as described, and with 1 where it does something else.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet datasets==5.2.0 pillow==12.0.0
    PYTHON=$work/venv/bin/python
fi

HF_HOME="$work/home" HF_HUB_OFFLINE=1 "$PYTHON" - "$work/images" <<'PYTHON_END'
import sys
import warnings
from collections import Counter
from pathlib import Path

import datasets
from PIL import Image

classes = ("bus", "test_tube", "train", "tree")
for number, name in enumerate(classes):
    folder = Path(sys.argv[1]) / name
    folder.mkdir(parents=True)
    for i in range(2):
        Image.new("RGB", (8, 8), (60 * number, 100 * i, 0)).save(folder / f"{i}.png")

datasets.disable_progress_bars()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    loaded = datasets.load_dataset("imagefolder", data_dir=sys.argv[1])
print("datasets", datasets.__version__)
print("written: 8 images, 2 in each of", ", ".join(classes))
read = {split: len(part) for split, part in loaded.items()}
print("read:", read)
for split, part in loaded.items():
    print(f"  {split}: columns {part.column_names}")
notes = [str(note.message) for note in said if issubclass(note.category, UserWarning)]
print("warnings:", notes or "none")
sys.exit(not (read == {"train": 2, "test": 2} and not notes))
PYTHON_END
