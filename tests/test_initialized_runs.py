"""Runs that start from chosen images and codes, from the nearest codes and from inversion."""

import pytest
import torch
import yaml
from click.testing import CliRunner
from distilled_sets import rows_of
from errors import naming
from narrow_generator import narrow_generator
from safetensors.torch import load_file

import glad
from glad.cli import main
from glad.data.splits import load_data
from glad.runs.storage import RunError

SMALL = {"limit": 60, "network_options": {"width": 8}, "device": "cpu"}


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    options = ["--data", "fashion-mini", "--limit", "60", "--network-option", "width=8"]
    shorter = ["-o", "epochs=1", "-o", "batch=20", "--count", "1", "--device", "cpu"]
    result = CliRunner().invoke(main, ["experts", "train", *options, *shorter, "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def distill(out, experts, objective="dm", prior="pixels", initialization="representative", **options):
    return glad.distill(
        **{
            "objective": objective,
            "prior": prior,
            "experts": experts,
            "initialization": initialization,
            "out": out,
            **SMALL,
        },
        **{"ipc": 2, "iterations": 2, "save_every": 1, "candidates": 4, **options},
    )


def test_a_run_from_real_images_goes_on_to_the_same_bytes_without_choosing_again(experts, tmp_path, monkeypatch):
    whole = distill(tmp_path / "whole", experts)
    train = load_data("fashion-mini", limit=60).train
    images, labels = whole.read_set("initial")
    assert train.labels[rows_of(images, train)].tolist() == labels.tolist()
    assert {name: whole.config[name] for name in ("initialization", "candidates")} == {
        "initialization": "representative",
        "candidates": 4,
    }
    distill(tmp_path / "cut", experts, iterations=1)
    monkeypatch.setattr("glad.api.first_set.initial_latents", None)
    cut = distill(tmp_path / "cut", experts)
    for name in ("initial", "synset", "state"):
        first, second = (load_file(run.path / f"{name}.safetensors") for run in (whole, cut))
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    with pytest.raises(RunError, match="initialization 'representative' there, 'prior' now"):
        distill(tmp_path / "cut", experts, initialization="prior")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Images of codes that the prior draws."""
    out = tmp_path_factory.mktemp("drawn") / "run"
    return distill(
        out, None, initialization="prior", prior=narrow_generator(), iterations=1, objective_options={"batch": 2}
    ).read_set("initial")[0]


@pytest.mark.parametrize("objective", ["dm", "dc", "mtt"])
def test_every_objective_may_start_from_chosen_codes(experts, drawn, tmp_path, objective):
    options = {"syn_steps": 2, "expert_epochs": 1, "max_start_epoch": 1} if objective == "mtt" else {"batch": 2}
    run = distill(tmp_path / "run", experts, objective, narrow_generator(), iterations=1, objective_options=options)
    images, labels = run.read_set("initial")
    assert labels.tolist() == [c for c in range(10) for _ in range(2)]
    assert images.shape == drawn.shape
    assert not torch.equal(images, drawn)


def test_a_folder_from_before_there_were_initializations_goes_on(tmp_path):
    run = distill(tmp_path / "run", None, initialization="prior", iterations=1, candidates=100)
    settings = {name: value for name, value in run.config.items() if name not in ("initialization", "candidates")}
    (run.path / "config.yaml").write_text(yaml.safe_dump(settings))
    distill(tmp_path / "run", None, initialization="prior", candidates=100)
    assert run.config["initialization"] == "prior"
    (run.path / "config.yaml").write_text(yaml.safe_dump(settings))
    narrow = {"networks": ["convnet"], "network_options": {"convnet": {"width": 8}}}
    assert glad.evaluate(run, **narrow, seeds=1, epochs=1, baselines=[], split="validation")["cells"]


def test_initializations_that_cannot_be_are_said(experts, tmp_path):
    with pytest.raises(ValueError, match=naming("'kmeans' prior representative")):
        distill(tmp_path / "run", experts, initialization="kmeans")
    with pytest.raises(ValueError, match=naming("--experts FOLDER `glad experts train --out FOLDER --count")):
        distill(tmp_path / "run", None)
    with pytest.raises(ValueError, match=naming("candidates 1 0")):
        distill(tmp_path / "run", experts, candidates=0)
    with pytest.raises(ValueError, match=naming("2 1")):
        distill(tmp_path / "run", experts, prior="fashion-mini", candidates=1)
    assert not (tmp_path / "run").exists()
    said = CliRunner().invoke(main, ["distill", "--initialization", "representative", "--out", str(tmp_path / "run")])
    assert said.exit_code == 1 and "glad experts train" in said.output
    said = CliRunner().invoke(main, ["distill", "--initialization", "kmeans"])
    assert said.exit_code == 2 and "representative" in said.output


@pytest.mark.parametrize("guided", [False, True])
def test_inversion_goes_on_from_the_nearest_codes_to_the_images(experts, tmp_path, guided):
    """Without experts towards the images that k-means chooses, with them towards the representative ones."""
    folder = experts if guided else None
    runs = {
        kind: distill(
            tmp_path / kind,
            folder,
            prior="pixels" if kind == "pixels" else narrow_generator(),
            initialization="inversion" if kind == "pixels" else kind,
            ipc=1,
            iterations=1,
            inversion_steps=5,
            objective_options={"batch": 2},
        )
        for kind in ("pixels", "nearest", "inversion")
    }
    images = {kind: run.read_set("initial")[0] for kind, run in runs.items()}
    assert len(rows_of(images["pixels"], load_data("fashion-mini", limit=60).train)) == 10
    near, inverted = (
        (images[kind] - images["pixels"]).square().flatten(1).mean(1) for kind in ("nearest", "inversion")
    )
    assert inverted.mean() < 0.8 * near.mean()
