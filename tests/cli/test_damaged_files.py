"""Files of which one value is of another kind: one line that names the file, and nothing is lost."""

import json
import shutil

import pytest
import yaml
from click.testing import CliRunner
from distilled_sets import distill

import glad
from glad.cli import main

EVALUATE = {"networks": ["convnet"], "seeds": 1, "epochs": 1, "network_options": {"convnet": {"width": 4}}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = distill(tmp_path_factory.mktemp("damaged") / "run", iterations=1)
    glad.evaluate(run, baselines=["before"], device="cpu", **EVALUATE)
    return run.path


def refused(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit), result.output
    return result.output.rstrip().rpartition("\n")[2]


CELL = {"row": "set:run", "network": "convnet", "seed": 0, "accuracy": 0.5}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cells", 1e308),
        ("cells", "../x"),
        ("cells", [{}]),
        ("cells", [{**CELL, "seed": "x"}]),
        ("cells", [{**CELL, "accuracy": None}]),
        ("rows", [[]]),
        ("settings", None),
        ("settings", {"sets": {"run": {"hashes": [1]}}, "hashes": {}}),
        ("format", "x"),
    ],
)
def test_damaged_results(finished, tmp_path, key, value):
    run = shutil.copytree(finished, tmp_path / "run")
    content = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**content, key: value}))
    before = (run / "results.json").read_bytes()
    options = ["--networks", "convnet", "--network-option", "convnet.width=4", "--seeds", "1", "--epochs", "1"]
    assert "results.json" in refused("evaluate", run, *options)
    assert (run / "results.json").read_bytes() == before


@pytest.mark.parametrize("hashes", [None, [], "x", {"data": 0.5}, {"data": None}])
def test_damaged_inputs(finished, tmp_path, hashes):
    run = shutil.copytree(finished, tmp_path / "run")
    content = json.loads((run / "inputs.json").read_text())
    (run / "inputs.json").write_text(json.dumps({**content, "hashes": hashes}))
    assert "inputs.json" in refused("distill", "--config", run / "config.yaml", "--out", run, "--iterations", "2")


@pytest.mark.parametrize(
    ("key", "value"),
    [("inversion_steps", [1, "a"]), ("data", ["mnist"]), ("seed", []), ("momentum", [[]]), ("iterations", {"a": 1})],
)
def test_damaged_settings(finished, tmp_path, key, value):
    settings = yaml.safe_load((finished / "config.yaml").read_text())
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({**settings, key: value}))
    said = refused("distill", "--config", tmp_path / "odd.yaml", "--out", tmp_path / "run", "--iterations", "1")
    assert key.replace("_", "-") in said.replace("_", "-")


@pytest.mark.parametrize(
    "line", ['{"loss": 1.0}', '{"iteration": 0, "loss": [1]}', '{"iteration": null}', "[0, 1.0]", "5"]
)
def test_damaged_metrics(finished, tmp_path, line):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "metrics.jsonl").write_text(line + "\n")
    refused("report", str(run))
    refused("distill", "--config", str(run / "config.yaml"), "--out", str(run), "--iterations", "3")


ODD = [
    ("config.yaml", "iterations"),
    *(("inputs.json", key) for key in ("learning_rates", "classes", "mean", "versions")),
]


@pytest.mark.parametrize(("file", "key"), ODD)
@pytest.mark.parametrize("value", [None, [], [[]], ["one"], 0.5])
def test_damaged_values_of_a_report(finished, tmp_path, file, key, value):
    run = shutil.copytree(finished, tmp_path / "run")
    content = yaml.safe_load((run / file).read_text())
    (run / file).write_text(json.dumps({**content, key: value}))
    assert file in refused("report", str(run))
