"""Tuning: the knobs of a distillation that decide, searched on the validation images with short runs."""

from glad.tuning.tuner import Tuned, tune

__all__ = ["Tuned", "tune"]
