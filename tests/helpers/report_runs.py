"""Folders of runs written by hand, so that the tests of the report know every number in them, and a reader of pages."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import torch
import yaml
from PIL import Image

import glad
from glad.evaluation import ResultRow
from glad.evaluation.config import EvaluationConfig
from glad.reports.run_data import read
from glad.rng import rng_for
from glad.runs.folder import Run
from glad.runs.snapshots import write_snapshot
from glad.runs.storage import write_json, write_tensors

MEAN, STD = 0.3, 0.4
NAMES = tuple(f"class {c}" for c in range(100))


def pixels_of(iteration, count, resolution=8, channels=1):
    """The images after ``iteration`` updates: [0, 1] and a little beyond."""
    rng = rng_for("report", iteration)
    return torch.rand(count, channels, resolution, resolution, generator=rng) * 1.2 - 0.1


def make_run(
    path, classes=NAMES[:3], ipc=2, iterations=40, done=None, snapshots=(0, 20, 40), resolution=8, channels=1, **config
):
    """A run of ``done`` iterations (by default all), whose loss is lowest around iteration 20."""
    done, run = iterations if done is None else done, Run(path)
    path.mkdir(parents=True)
    settings = {"data": "toy", "objective": "dm", "prior": "pixels", "network": "convnet", "ipc": ipc, "seed": 3}
    (path / "config.yaml").write_text(yaml.safe_dump({**settings, "iterations": iterations, "zca": False, **config}))
    inputs = {"hashes": {"data": "da7a" * 16, "weights": ""}, "weights": {}, "classes": list(classes)}
    inputs |= {"mean": [MEAN] * channels, "std": [STD] * channels, "training_images": 600}
    write_json(path / "inputs.json", {**inputs, "versions": {"glad": "9.8.7"}, "learning_rates": {"pixels": 0.5}})
    labels = torch.arange(len(classes)).repeat_interleave(ipc)
    for kind, iteration in (("initial", 0), ("synset", iterations)):
        if kind == "initial" or done == iterations:
            images = (pixels_of(iteration, len(labels), resolution, channels) - MEAN) / STD
            run.write_set(kind, images, labels, {"pixels": images.clone()})
    for iteration in (i for i in snapshots if i <= done):
        write_snapshot(path, iteration, pixels_of(iteration, len(labels), resolution, channels), labels)
    for i in range(done):
        run.add_metrics(i, {"loss": 10 + abs(i - 20), "image_grad": 1.0 + i, "grad/pixels": 2.0 ** (-i)})
    write_tensors(run.state, {"labels": labels}, iteration=str(done), seconds="90.5")
    return run


def statistic(mean, std=0.01, n=3):
    return {"mean": mean, "std": std, "n": n}


def results_of(name, ipc=2, own=0.5, random=0.3, seeds=(0, 1, 2), std=0.01, **more):
    """``results.json`` of a set: ConvNet ``own`` and ``random``, a ViT 0.1 below both."""
    rows = [
        ResultRow("set", name),
        ResultRow("before", name),
        ResultRow("random", ipc=ipc),
        ResultRow("full", images=600),
    ]
    accuracies = {row.id: mean for row, mean in zip(rows, (own, own - 0.2, random, 0.8), strict=True)}

    def entry(mean):
        return statistic(mean, std, len(seeds))

    cells = [
        {"row": row, "network": network, "seed": seed, "accuracy": mean, "seconds": 2.0 + 10 * (mean == 0.8)}
        for row, mean in accuracies.items()
        for network in ("convnet", "vit")
        for seed in seeds
    ]
    summary = {
        row: {
            "seen": entry(mean),
            "networks": {"convnet": entry(mean), "vit": entry(mean - 0.1)},
            "cross": entry(mean - 0.1),
        }
        for row, mean in accuracies.items()
    }
    config = EvaluationConfig(
        networks=["vit", "convnet"],
        seeds=seeds,
        epochs=7,
        baselines=["before", "random", "full"],
        learning_rate={"vit": 0.02},
        network_options={"vit": {"depth": 1}},
        cost="cost" in more,
        scores="scores" in more,
    )
    settings = {"protocol": {"epochs": 7}, "split": "test", "label_mode": "hard", "seen": "convnet", "hashes": {}}
    settings |= {"sets": {name: {"hashes": ["0", "1"], "step_size": None}}}
    made = {"format": 2, "settings": settings, "config": config.to_dict(), "seen": "convnet", "seeds": list(seeds)}
    made |= {"rows": [row.to_dict() for row in rows], "networks": ["vit", "convnet"], "cells": cells}
    return {**made, "summary": summary, **more}


def audit_of(count, **more):
    nearest = [
        {"image": i, "class": "class 0", "pixels": {"training_image": 70 + i, "class": "class 1", "ratio": 1.5}}
        for i in range(count)
    ]
    losses = {"classes": [{"class": "class 2", "images": 50, "full": 0.9, "set": 0.6, "loss": 0.3}]}
    verdicts = {"losses": "class 2 loses most.", "prior": "The prior likes bright things."}
    found = {"schema": 1, "verdicts": verdicts, "broken": ["worst_class_loss is to be at most 0.1, and is 0.3"]}
    return {**found, "settings": {"split": "test"}, "losses": losses, "memorisation": {"nearest": nearest}, **more}


class Page(HTMLParser):
    """A page's elements as ``(tag, attributes)``, and its text without scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.parts, self.inside, self.code = [], [], [], {"script": [], "style": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in self.code:
            self.inside.append(tag)
            self.code[tag].append("")

    def handle_endtag(self, tag):
        if tag in self.code:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside:
            self.code[self.inside[-1]][-1] += data
        else:
            self.parts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.parts))

    def pictures(self, kind="png"):
        """The images of a kind: ``png`` of sets, ``svg`` of charts."""
        return [found for found in self.all("img") if found["src"].startswith(f"data:image/{kind}")]

    def all(self, tag, **attributes):
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]

    def film(self, run=1):
        """The frames that the script of run ``run`` shows."""
        place = [found.get("id") for found in self.all("script")].index(f"run-{run}-film-frames")
        return json.loads(self.code["script"][place])


def image_in(uri):
    """The pixels of a ``data:`` URI, uint8 [H, W] or [H, W, 3]."""
    head, _, content = uri.partition(",")
    assert head.startswith("data:image/")
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.array(image)


def page_of(*runs, out=None):
    return Page(glad.report(list(runs), out or runs[0].path / "page.html").read_text())


def data_of(run):
    return read([run])[0]


def put(run, name, content):
    write_json(run.path / name, content)
    return run
