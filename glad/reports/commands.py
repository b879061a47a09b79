"""The commands that made a run and its results, read back from its files, as a shell takes them."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from glad.evaluation.protocol import FILES, PROTOCOLS
from glad.reports.run_data import RunData
from glad.reports.run_results import RunResults

FILE = "protocol.yaml"
"""Where a protocol is to be kept that was given as an object."""


def report_command(run_data: RunData) -> str:
    """Draws the page."""
    return _join("report", run_data)


def audit_command(run_data: RunData) -> str:
    """Checks the set."""
    return _join("audit", run_data)


def distill_command(run_data: RunData, out: str | None = None) -> str:
    """Makes the run again in the folder ``out``, or continues it."""
    path = run_data.run.path
    return shlex.join(["glad", "distill", "--config", str(path / "config.yaml"), "--out", out or str(path)])


def evaluate_command(run_data: RunData, *extra: str) -> str:
    """Evaluates a run, under the settings that it was evaluated under so far, with more options.

    What is finished under these settings is not done again.
    """
    results = run_data.results
    if results is None:
        return _join("evaluate", run_data, *extra)
    words = [word for network in results.networks for word in ("--networks", network)]
    seeds = list(results.seeds)
    first = seeds == list(range(len(seeds)))
    words += ["--seeds", str(len(seeds)) if first else ",".join(map(str, seeds if len(seeds) > 1 else seeds * 2))]
    return _join("evaluate", run_data, *words, *_settings(results), *extra)


def same_evaluation_command(run_data: RunData, results: RunResults) -> str:
    """Makes all of ``results.json`` again."""
    config = results.config
    words = [word for baseline in config["baselines"] for word in ("--baselines", baseline)]
    words += ["--equal", "bytes"] if config.get("equal") == "bytes" else []
    if config["hybrid"]:
        words += ["--hybrid", ",".join(f"{percent:g}" for percent in config["hybrid"])]
    words += ["--scores"] if config["scores"] else []
    words += ["--cost", "--reach", str(config["reach"])] if config["cost"] else []
    if (config["scores"] or config["cost"]) and not _has_teacher(config):
        words += ["--full-epochs", str(config["full_epochs"])]
    return evaluate_command(run_data, *words)


def protocol_file(results: RunResults) -> str | None:
    """The text of the protocol's file, where the command line has no name for it: it was given as an object."""
    if isinstance(results.config["protocol"], str) and _is_named(results.config["protocol"]):
        return None
    given = results.config["protocol"]
    return yaml.safe_dump(given if isinstance(given, dict) else results.settings["protocol"], sort_keys=False)


def _is_named(protocol: str) -> bool:
    """Whether the command line knows a protocol of that name, or file."""
    return protocol in PROTOCOLS or Path(protocol).suffix in FILES


def _has_teacher(config: Mapping[str, Any]) -> bool:
    return config["label_mode"] == "soft" or config["teacher"] is not None


def _settings(results: RunResults) -> list[str]:
    """The options of ``glad evaluate`` that were given, but for the defaults."""
    config = {**results.config, "protocol": results.config["protocol"] if protocol_file(results) is None else FILE}
    usual = {"split": "test", "protocol": "default", "label_mode": "hard"}
    words = []
    for key in ("epochs", "split", "augmentation", "protocol", "label_mode", "teacher"):
        if config[key] not in (None, usual.get(key)):
            words += [f"--{key.replace('_', '-')}", str(config[key])]
    words += ["--full-epochs", str(config["full_epochs"])] if _has_teacher(config) else []
    rates = config["learning_rate"]
    for rate in [f"{name}={value}" for name, value in rates.items()] if isinstance(rates, dict) else [rates]:
        words += [] if rate is None else ["--lr", str(rate)]
    for network, options in (config["network_options"] or {}).items():
        for name, value in options.items():
            words += ["--network-option", f"{network}.{name}={value}"]
    return words


def _join(command: str, run_data: RunData, *words: str) -> str:
    return shlex.join(["glad", command, str(run_data.run.path), *words])
