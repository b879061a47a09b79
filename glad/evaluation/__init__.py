"""Evaluation: what networks learn from a set of images, beside baselines, costs and paired differences.

``config.py`` has the settings of ``glad.evaluate``, ``resolve.py`` makes objects of them and ``runner.py`` carries them
out. How a network is trained is in ``protocol.py`` and ``training.py``, what a table's rows are in ``rows.py``, and how
results are kept in ``results_store.py``.
"""

from glad.evaluation.protocol import PROTOCOLS, Protocol, list_protocols, read_protocol, register_protocol
from glad.evaluation.rows import ResultRow, label_of, rows_of, set_id
from glad.evaluation.summary import Cell, summarize
from glad.evaluation.training import accuracy, evaluate_sets, predict, train_network

__all__ = [
    "PROTOCOLS",
    "Cell",
    "Protocol",
    "ResultRow",
    "accuracy",
    "evaluate_sets",
    "label_of",
    "list_protocols",
    "predict",
    "read_protocol",
    "register_protocol",
    "rows_of",
    "set_id",
    "summarize",
    "train_network",
]
