"""Evaluation: what networks learn from a set of images, beside baselines, costs and paired differences.

The protocol is in ``protocol.py``; ``trial.py`` says what is asked of ``glad.evaluate`` and ``contest.py`` answers it.
"""

from glad.evaluation.protocol import PROTOCOLS, Protocol, accuracy, evaluate_sets, predict, train_network
from glad.evaluation.summary import Cell, summarize

__all__ = [
    "PROTOCOLS",
    "Cell",
    "Protocol",
    "accuracy",
    "evaluate_sets",
    "predict",
    "summarize",
    "train_network",
]
