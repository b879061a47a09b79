#!/bin/sh
# DD-Ranking's LabelRobustScoreHard fails when it saves its scores, after all of its trainings: the list of scores is
# twice as long as the others, and pandas refuses the table. The scores themselves leave their range: the formula
# (e^a - 1/e) / (e - 1/e), of 0 to 1, is for accuracies in [0, 1], and per cents are put into it. A set whose labels
# are all wrong, on images that are easy, has the score -0.157 in place of 0. Seen with ddranking 0.2.0.
#
#   sh findings/ddranking-hard-label-score-crash.sh                  installs ddranking 0.2.0 into a temporary environment
#   PYTHON=python3 sh findings/ddranking-hard-label-score-crash.sh   uses the ddranking of that Python
#
# Where the package would download CIFAR-10 it is handed images of ten colors. Takes about a minute.
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
import contextlib
import importlib.metadata
import io
import sys

import ddranking
import ddranking.metrics.hard_label as hard_label
import torch

torch.set_num_threads(1)
labels = torch.arange(10).repeat(2)
colors = torch.randn(10, 3, 1, 1, generator=torch.Generator().manual_seed(0)) * 3
images = (colors[labels] + torch.linspace(0, 1, 32)).expand(-1, -1, 32, -1).contiguous()
data = list(zip(images, labels.tolist()))
same = {c: c for c in range(10)}
hard_label.get_dataset = lambda *_: (3, (32, 32), None, None, 10, data, data, data, same, same)
saved, save = {}, hard_label.save_results


def noted(results, path):
    saved.update(results)
    save(results, path)


hard_label.save_results = noted
raised = "nothing"
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    evaluator = ddranking.LabelRobustScoreHard(
        ipc=1, data_aug_func=None, step_size=20, num_eval=1, num_epochs=20, num_workers=0, eval_full_data=True,
        random_data_path="random", save_path="out/scores.csv", device="cpu",
    )
    try:
        evaluator.compute_metrics(image_tensor=images[:10], hard_labels=(labels[:10] + 1) % 10, syn_lr=0.01)
    except ValueError as error:
        raised = str(error)
print("ddranking", importlib.metadata.version("ddranking"))
for name, values in saved.items():
    print(f"{name}: {[round(float(value), 3) for value in values]}")
print("raised:", raised)
outside = any(not 0 <= score <= 1 for score in saved["lrs"])
sys.exit(not (outside and len(saved["lrs"]) == 2 and raised == "All arrays must be of the same length"))
PYTHON_END
