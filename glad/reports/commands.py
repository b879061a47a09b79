"""The commands that made a run and its results, read back from its files, as a shell takes them."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from glad.data.augment import ALL
from glad.data.coresets import REAL
from glad.reports.run_data import Facts, Results


def report_command(facts: Facts) -> str:
    """Draws the page."""
    return _joined("report", facts)


def audit_command(facts: Facts) -> str:
    """Checks the set."""
    return _joined("audit", facts)


def distill_command(facts: Facts, out: str | None = None) -> str:
    """Makes the run again in the folder ``out``, or continues it."""
    path = facts.run.path
    return shlex.join(["glad", "distill", "--config", str(path / "config.yaml"), "--out", out or str(path)])


def evaluate_command(facts: Facts, *extra: str) -> str:
    """Evaluates a run, under the settings that it was evaluated under so far, with more options.

    What is finished under these settings is not done again.
    """
    results = facts.results
    if results is None:
        return _joined("evaluate", facts, *extra)
    words = [word for network in results.networks for word in ("--networks", network)]
    seeds = list(results.seeds)
    first = seeds == list(range(len(seeds)))
    words += ["--seeds", str(len(seeds)) if first else ",".join(map(str, seeds if len(seeds) > 1 else seeds * 2))]
    return _joined("evaluate", facts, *words, *_settings(results.settings), *extra)


def same_evaluation_command(facts: Facts, results: Results) -> str:
    """Makes all of ``results.json`` again."""
    names, kinds = [row.name for row in results.rows], {row.kind for row in results.rows}
    picked = [key for key, (shown, _) in REAL.items() if any(n.startswith(shown.partition(" in ")[0]) for n in names)]
    words = []
    for baseline in ["before"] * ("before" in kinds) + picked + ["full"] * ("full" in kinds):
        words += ["--baselines", baseline]
    shares = [match[1] for name in names if (match := re.fullmatch(r"([\d.]+) % of the real images alone", name))]
    words += ["--hybrid", ",".join(shares)] if shares else []
    words += ["--scores"] if results.content.get("scores") else []
    words += _cost(results.content.get("cost") or {}, results.settings)
    return evaluate_command(facts, *words)


def _cost(cost: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The options behind what was measured of costs; epochs on the full data are named where they are others."""
    if not cost:
        return []
    named = [match[1] for name in cost if (match := re.search(r"training images, (\d+) epochs", name))]
    epochs = named[0] if named else str(settings["epochs"])
    return ["--cost", "--reach", str(next(iter(cost.values()))["reach"]), "--full-epochs", epochs]


def _settings(settings: Mapping[str, Any]) -> list[str]:
    """The options of ``glad evaluate`` behind the settings of ``results.json``, but for the defaults."""
    usual = {"split": "test", "augmentation": ALL}
    words = []
    for key in ("epochs", "split", "augmentation", "protocol", "recipe"):
        if settings.get(key) not in (None, usual.get(key)):
            words += [f"--{key}", str(settings[key])]
    if teacher := settings.get("teacher"):
        words += ["--teacher", teacher["network"], "--full-epochs", str(teacher["epochs"])]
    rates = settings.get("lr")
    for rate in [f"{name}={value}" for name, value in rates.items()] if isinstance(rates, dict) else [rates]:
        words += [] if rate is None else ["--lr", str(rate)]
    for network, options in settings.get("network_options", {}).items():
        for name, value in options.items():
            words += ["--network-option", f"{network}.{name}={value}"]
    return words


def _joined(command: str, facts: Facts, *words: str) -> str:
    return shlex.join(["glad", command, str(facts.run.path), *words])
