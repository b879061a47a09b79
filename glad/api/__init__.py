"""The two functions of the package, ``distill`` and ``evaluate``: from names to finished files.

This is the door: settings end here, below are plain objects.
"""

from glad.api.distilling import distill, run_distillation
from glad.api.evaluating import evaluate, evaluate_runs

__all__ = ["distill", "evaluate", "evaluate_runs", "run_distillation"]
