"""Small evaluations of a small run."""

from pathlib import Path

import glad
from glad.evaluation.config import EvaluationConfig
from glad.evaluation.resolve import ResolvedEvaluation
from glad.runs.folder import Run

OPTIONS = {"convnet": {"width": 4}, "alexnet": {"width": 4}}
LIMIT = 160  # training images


def evaluate(runs, **changes):
    arguments = {"networks": ["convnet"], "network_options": OPTIONS, "seeds": 2, "epochs": 2, "baselines": []}
    return glad.evaluate(runs, **{**arguments, "split": "validation", "device": "cpu", "full_epochs": 1, **changes})


def resolved(run, **changes):
    """The evaluation itself, before anything is computed."""
    paths = [run.path if isinstance(run, Run) else Path(run)]
    return ResolvedEvaluation(paths, EvaluationConfig(**{"device": "cpu", "network_options": OPTIONS, **changes}))


def untimed(cells):
    return [{key: value for key, value in cell.items() if key != "seconds"} for cell in cells]


def ids(results):
    """The rows that have cells."""
    return list(dict.fromkeys(cell["row"] for cell in results["cells"]))
