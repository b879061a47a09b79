"""Runs that commit d10c73f made, with the results and the audit of then, still open, go on and are handed on.

``tests/golden/run-d10c73f`` holds a run of codes (DM, evaluated and audited), one of pixels (MTT) and its expert.
``longer.jsonl`` beside each are the metrics of the same run with six iterations in place of four.
"""

import json
import shutil
import warnings

import pytest
import torch
import yaml
from distilled_sets import fails, invoke
from errors import mentions, naming
from fixtures import GOLDEN

import glad
from generators.license import License
from glad.formats.load import load_distilled
from glad.runs.folder import Run
from glad.runs.storage import read_json, read_tensors

OLD = GOLDEN / "run-d10c73f"
EVALUATED = {
    "networks": ["convnet", "vit"],
    "network_options": {"convnet": {"width": 4}, "vit": {"width": 8, "depth": 1}},
    "seeds": 2,
    "baselines": ["random", "before"],
    "epochs": 2,
    "split": "validation",
    "scores": True,
    "device": "cpu",
}


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the folder, as it lay when the runs were made: below where one stands."""
    shutil.copytree(OLD, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


def test_they_say_what_they_said():
    codes, trajectory = Run(OLD / "codes"), Run(OLD / "trajectory")
    assert codes.weights.license == License("apache-2.0", "Apache-2.0", True, True)
    assert codes.weights.sha256 == codes.inputs["hashes"]["weights"] and not codes.weights.file
    assert trajectory.weights is None and codes.step_size is None
    assert trajectory.step_size == float(read_tensors(trajectory.state)[0]["objective/alpha"]) != 0.02
    for run in (codes, trajectory):
        images, labels = run.read_set()
        assert torch.equal(load_distilled(run.path).images, images) and labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["codes", "trajectory"])
def test_they_go_on(old, name):
    before = (old / name / "metrics.jsonl").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = invoke("distill", "--config", f"{name}/config.yaml", "--iterations", "6")
    assert mentions(said, "alpha step_size") == (name == "trajectory")
    assert Run(old / name).step_size is None or "objective/step_size" in read_tensors(Run(old / name).state)[0]
    assert (old / name / "metrics.jsonl").read_text().startswith(before)
    ours, expected = (
        [json.loads(line) for line in (old / name / file).read_text().splitlines()]
        for file in ("metrics.jsonl", "longer.jsonl")
    )
    assert len(ours) == len(expected) == 6
    for one, other in zip(ours, expected, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["image_grad"] == pytest.approx(other["image_grad"], rel=1e-2)


@pytest.mark.parametrize("name", ["codes", "trajectory"])
def test_of_their_results_the_rows_that_all_sets_share_are_not_computed_again(old, name):
    """Random draws of a set's own rows were keyed by its name then: those are trained anew, and the old ones kept."""
    before, trained = read_json(old / name / "results.json"), []
    with pytest.warns(UserWarning, match=naming(f"{name}/results.json trainings earlier")):
        again = glad.evaluate(name, **EVALUATED, on_cell=lambda cell, left: trained.append(cell["row"]))
    owners = {row["id"]: row["owner"] for row in again["rows"]}
    assert {owners[row] for row in trained} == {name}
    shared = [cell["accuracy"] for cell in again["cells"] if owners[cell["row"]] is None]
    assert shared and set(shared) <= {cell["accuracy"] for cell in before["cells"]}
    (earlier,) = read_json(old / name / "results.json")["earlier"]
    assert [cell["accuracy"] for cell in earlier["cells"]] == [cell["accuracy"] for cell in before["cells"]]


@pytest.mark.filterwarnings("ignore:.*(rendered here|but for rounding)")  # another processor, other last bits
def test_they_are_exported_reported_and_published(old):
    invoke("export", "codes", "--format", "npz", "--out", "codes.npz")
    assert load_distilled("codes.npz").labels.tolist() == [0, 1, 2]
    invoke("export", "codes", "--format", "codes", "--out", "codes.safetensors")
    found = load_distilled("codes.safetensors").images
    torch.testing.assert_close(found, Run(old / "codes").read_set()[0], rtol=0, atol=1e-4)
    page = glad.report(["codes", "trajectory"], "page.html").read_text()
    assert "Apache-2.0 (commercial use allowed, passing on allowed)" in page
    card = invoke("push", "codes", "me/codes", "--dry-run")
    assert "license: mit" in card and "Nothing was sent" in card and "| **this set** |" in card
    assert "- memorisation: " in card  # of its audit
    assert "license: mit" in invoke("push", "trajectory", "me/trajectory", "--dry-run")


def test_a_run_without_an_option_that_came_later_is_not_continued_under_its_default(tmp_path):
    experts = str(OLD / "experts")
    settings = ["--classes", "0", "--classes", "1", "--classes", "2", "--limit", "60", "--network-option", "width=4"]
    settings += ["--objective", "ast", "--prior", "pixels", "--experts", experts, "-o", "syn_steps=2"]
    settings += ["-o", "expert_epochs=1", "-o", "max_start_epoch=2", "--out", str(tmp_path / "run"), "--device", "cpu"]
    uncorrected = ["-o", "bias_correction=0"]
    invoke("distill", *settings, *uncorrected, "--iterations", "1")
    path = tmp_path / "run" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    assert config["objective_options"].pop("bias_correction") == 0
    path.write_text(yaml.safe_dump(config))
    assert "'bias_correction': 1" in fails("distill", *settings, "--iterations", "2").replace("1.0", "1")
    invoke("distill", *settings, *uncorrected, "--iterations", "2")
