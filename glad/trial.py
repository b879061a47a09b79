"""Evaluating runs: which sets and baselines are compared, on what data, and the cells that are already there."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from glad.baselines import REAL, Labelled
from glad.data import ImageData, Splits
from glad.evaluation import PROTOCOLS, Cell, Protocol, evaluate_sets
from glad.networks import NETWORKS
from glad.opening import open_data, strategy_for
from glad.run_folder import Run
from glad.runs import RunError, read_json, write_json

BASELINES = ("before", *REAL, "full")


@dataclass(frozen=True)
class Trial:
    """One evaluation of one or several runs; see ``glad.evaluate``."""

    runs: list[Run]
    networks: list[str]
    seeds: list[int]
    epochs: int | None
    baselines: list[str]
    split: str
    augmentation: str
    lr: float | dict[str, float] | None
    network_options: dict[str, dict[str, int]]
    device: torch.device
    data: Splits | None = None
    protocol_name: str = "default"

    def __post_init__(self) -> None:
        known: dict[str, Iterable[str]] = {
            "baselines": BASELINES,
            "networks": NETWORKS,
            "split": ("test", "validation"),
            "protocol": PROTOCOLS,
        }
        asked = {
            "baselines": self.baselines,
            "networks": [*self.networks, *self.network_options],
            "split": [self.split],
            "protocol": [self.protocol_name],
        }
        for kind, values in asked.items():
            if unknown := [value for value in values if value not in known[kind]]:
                raise ValueError(f"{kind}: {unknown[0]!r} is unknown; choose from {', '.join(known[kind])}")
        if (self.epochs is not None and self.epochs < 1) or not self.seeds or not self.networks or not self.runs:
            raise ValueError("an evaluation needs at least one run, one network, one seed and one epoch")
        if repeated := {run.name for run in self.runs if [r.name for r in self.runs].count(run.name) > 1}:
            raise ValueError(f"runs are told apart by their folder's name; {', '.join(repeated)} occurs twice")

    @cached_property
    def splits(self) -> Splits:
        """The data of all runs; ``RunError`` when they, or what lies on the disk now, differ."""
        splits = open_data(self.runs[0].config, self.data)
        for run in self.runs:
            recorded = run.inputs["hashes"]["data"]
            if recorded != splits.train.digest:
                raise RunError(
                    f"{run.path} was distilled from data {recorded[:12]}, here is {splits.train.digest[:12]}: "
                    "compare runs of one data set, on the data they were made from"
                )
        return splits

    @cached_property
    def tested(self) -> ImageData:
        """The images that accuracy is measured on."""
        images: ImageData = getattr(self.splits, self.split)
        return images

    @property
    def same(self) -> str:
        """The network that the runs were distilled with; ``RunError`` when they differ."""
        names = {run.config["network"] for run in self.runs}
        if len(names) > 1:
            raise RunError(
                f"the runs were distilled with different networks ({', '.join(sorted(names))}): evaluate apart"
            )
        return str(names.pop())

    @property
    def protocol(self) -> Protocol:
        """How networks are trained; ``lr`` replaces the published rates, of all networks or by name."""
        named = PROTOCOLS[self.protocol_name]
        strategy = strategy_for(self.splits.train, self.augmentation)
        published = replace(named, epochs=self.epochs or named.epochs, strategy=strategy)
        if self.lr is None:
            return published
        if not isinstance(self.lr, dict):
            return replace(published, lr_same=self.lr, lr_other=self.lr, lr_by_network={})
        by_network = {**published.lr_by_network, **self.lr}
        return replace(published, lr_same=self.lr.get(self.same, published.lr_same), lr_by_network=by_network)

    @cached_property
    def learned_lr(self) -> dict[str, float]:
        """The step sizes learnt along with the sets, taken by the network distilled with unless ``lr`` names it."""
        if isinstance(self.lr, int | float) or self.same in (self.lr or {}):
            return {}
        rates = {run.name: run.learned_lr for run in self.runs}
        return {name: rate for name, rate in rates.items() if rate is not None}

    def sets(self, seed: int) -> dict[str, Labelled]:
        """What is compared: each run's set, its start, and the baselines, by the name shown in the table."""
        train, sets = self.splits.train, {}
        for run in self.runs:
            sets[run.name] = run.read_set()
            if "before" in self.baselines and run.config["prior"] != "pixels":
                start = run.read_set("initial")
                if not any(torch.equal(start[0], images) for images, _ in sets.values()):  # shared with another run
                    sets[f"{run.name} before optimisation"] = start
        for ipc in sorted({run.config["ipc"] for run in self.runs}):
            for name in (name for name in REAL if name in self.baselines):
                shown, pick = REAL[name]
                sets[f"{shown}, {ipc} per class"] = pick(train, ipc, seed)
        if "full" in self.baselines:
            sets[f"all {len(train)} training images"] = (train.tensor(), train.labels)
        return sets

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a finished cell depends on, beside its own set, network and seed."""
        hashes = {"data": self.splits.train.digest, "tested": self.tested.digest}
        sets = {run.name: [hash_of(run.read_set(kind)[0]) for kind in ("synset", "initial")] for run in self.runs}
        options = {
            "epochs": self.protocol.epochs,
            "split": self.split,
            "augmentation": self.augmentation,
            "lr": self.lr,
        }
        options |= {"learned_lr": self.learned_lr} if self.learned_lr else {}
        options |= {"protocol": self.protocol_name} if self.protocol_name != "default" else {}
        return {**options, "network_options": self.network_options, "hashes": hashes, "sets": sets}

    def _earlier(self) -> list[Cell]:
        """Cells of earlier evaluations under the same settings."""
        settings = self.settings
        cells: dict[tuple[str, str, int], Cell] = {}
        for run in self.runs:
            path = run.path / "results.json"
            content = read_json(path) if path.exists() else {}
            old = content.get("settings", {})
            if all(_agrees(old, settings, key) for key in settings.keys() | old.keys()):
                cells |= {(cell["set"], cell["network"], cell["seed"]): cell for cell in content["cells"]}
        return list(cells.values())

    def run(self, on_cell: Callable[[Cell, int], None] | None) -> dict[str, Any]:
        """Compute what is missing, writing each run's ``results.json`` after every cell."""
        cells, results = self._earlier(), {}
        test = (self.tested.tensor(), self.tested.labels)
        first = self.sets(self.seeds[0])
        wanted = {(s, n, seed) for s in first for n in self.networks for seed in self.seeds}
        left = len(wanted - {(cell["set"], cell["network"], cell["seed"]) for cell in cells})

        def keep(cell: Cell) -> None:
            nonlocal left
            cells.append(cell)
            left -= 1
            self._write({"cells": cells})
            if on_cell is not None:
                on_cell(cell, left)

        for seed in [[seed] for seed in self.seeds] + [self.seeds]:  # seed by seed, then all for the summary
            results = evaluate_sets(
                self.sets(seed[0]),
                test,
                networks=self.networks,
                same=self.same,
                seeds=seed,
                classes=len(self.tested.classes),
                protocol=self.protocol,
                learned_lr=self.learned_lr,
                network_options=self.network_options,
                device=self.device,
                on_cell=keep,
                done=tuple(cells),
            )
        results["split"] = self.split
        self._write(results)
        return results

    def _write(self, results: Mapping[str, Any]) -> None:
        """Give every run the cells of its own sets and of the baselines, and the settings behind them."""
        settings = self.settings
        for run in self.runs:
            others = [other.name for other in self.runs if other.name != run.name]

            def own(name: str, others: list[str] = others) -> bool:
                return not any(name in (other, f"{other} before optimisation") for other in others)

            content = {**results, "cells": [cell for cell in results["cells"] if own(cell["set"])]}
            if "summary" in results:
                content["summary"] = {name: entry for name, entry in results["summary"].items() if own(name)}
            write_json(
                run.path / "results.json",
                {"settings": {**settings, "sets": {run.name: settings["sets"][run.name]}}, **content},
            )


def _agrees(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> bool:
    if key == "sets":
        return all(new["sets"].get(name) == hashes for name, hashes in old.get("sets", {"": None}).items())
    return key in old and key in new and old[key] == new[key]


def hash_of(images: Tensor) -> str:
    """A short hash of a tensor's bytes."""
    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
