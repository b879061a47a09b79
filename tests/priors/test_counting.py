"""Whatever a row renders: the run, evaluations, exports, audit, report and push count the same images and labels."""

from pathlib import Path

import pytest
import torch
from own_priors import Tiled
from safetensors.torch import load_file
from tiny_autoencoder import weights_file

import glad
from glad.evaluation.rows import rows_of, set_id
from glad.priors import PRIORS
from glad.reports.run_data import read

SMALL = {"limit": 80, "network_options": {"width": 4}, "device": "cpu", "save_every": 1}
KINDS = {
    "pixels": ("pixels", {}, 1),
    "w": ("fashion-mini", {"space": "w"}, 1),
    "idc": ("idc", {}, 4),
    "fred": ("fred", {"frequencies": 20}, 1),
    "ddif": ("ddif", {}, 1),
    "pyramid": ("pyramid", {}, 1),
    "taesd": ("taesd", {}, 1),
    "tiled": ("own_priors:Tiled", {}, 2),
}
"""A prior, its options, and the images of a row."""
ROWS = 2


LARGE = ("taesd",)
"""Kinds whose images take long to render."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in KINDS]
)
def kind(request):
    prior, options, each = KINDS[request.param]
    return prior, {"weights": weights_file()} if prior == "taesd" else options, each


@pytest.fixture(autouse=True)
def here(kind, monkeypatch):
    """Codes find a file of one's own by its name where one is."""
    if kind[0] == "taesd":
        monkeypatch.chdir(Path(weights_file()).parent)


def distill(kind, out, objective="dm", **changes):
    prior, options, _ = kind
    small = {"batch": 2} if objective not in ("mtt", "ast") else {"syn_steps": 1, "expert_epochs": 1}
    asked = {"prior": prior, "prior_options": options, "objective": objective, "objective_options": small}
    return glad.distill(**{**SMALL, **asked, "ipc": ROWS, "iterations": 2, "out": out, **changes})


@pytest.fixture(scope="module")
def run(kind, tmp_path_factory):
    return distill(kind, tmp_path_factory.mktemp("counting") / "run")


@pytest.fixture
def images(kind):
    """Images per class."""
    return ROWS * kind[2]


def test_every_registered_prior_is_among_them():
    assert {*PRIORS} <= {prior for prior, _, _ in KINDS.values()}
    assert Tiled.images_per_row == KINDS["tiled"][2]


def test_the_run_counts_rows_images_and_labels(run, images):
    found, labels = run.read_set()
    saved = load_file(run.path / "synset.safetensors")
    assert {len(tensor) for name, tensor in saved.items() if name.startswith("latents/")} == {10 * ROWS}
    assert found.shape == (10 * images, 1, 28, 28)
    assert labels.tolist() == [c for c in range(10) for _ in range(images)]
    assert not torch.equal(found, run.read_set("initial")[0])


def test_a_cut_run_ends_alike(kind, run, tmp_path):
    distill(kind, tmp_path / "cut", iterations=1)
    cut = distill(kind, tmp_path / "cut")
    for name in ("synset.safetensors", "initial.safetensors"):
        assert (cut.path / name).read_bytes() == (run.path / name).read_bytes()


def test_an_evaluation_trains_on_all_images_and_takes_as_many_real_ones_as_rows(run, images):
    small = {"networks": ["convnet"], "network_options": {"convnet": {"width": 4}}, "seeds": 1, "epochs": 1}
    asked = {"baselines": ["random"], "split": "validation", "full_epochs": 1, "device": "cpu", "hybrid": [10]}
    found = glad.evaluate(run, **small, **asked, cost=True)
    cost = found["cost"][set_id("run")]["training"]
    assert cost["bytes"] == 10 * images * 784 and cost["samples"] % (10 * images) == 0
    rows = [row.id for row in rows_of(found).values()]
    assert f"random:{ROWS}" in rows and "hybrid:10:run" in rows


def test_exports_hold_the_images_and_codes_render_them_byte_for_byte(run, images, tmp_path):
    exported = {kind: glad.export(run, kind, tmp_path / kind) for kind in ("safetensors", "npz", "codes")}
    assert {item.card.images for item in exported.values()} == {10 * images}
    codes = glad.load_distilled(tmp_path / "codes")
    assert torch.equal(codes.images, run.read_set()[0])
    assert {name: len(tensor) for name, tensor in codes.codes.latents.items()}.keys() and len(codes) == 10 * images
    for source, out in ((tmp_path / "codes", "rendered"), (run.path, "direct")):
        (glad.render if out == "rendered" else glad.export)(source, out=tmp_path / f"{out}.npz", format="npz")
    rendered, direct = (glad.load_distilled(tmp_path / f"{out}.npz") for out in ("rendered", "direct"))
    assert torch.equal(rendered.images, direct.images) and torch.equal(rendered.labels, direct.labels)


def test_a_file_of_the_set_is_evaluated_like_the_run(run, images, tmp_path):
    glad.export(run, "codes", tmp_path / "run.safetensors")
    small = {"networks": ["convnet"], "network_options": {"convnet": {"width": 4}}, "seeds": 1, "epochs": 1}
    asked = {"baselines": [], "split": "validation", "device": "cpu"}
    ours = glad.evaluate(run, **small, **asked)["cells"]
    theirs = glad.evaluate(tmp_path / "run.safetensors", data="fashion-mini", limit=80, **small, **asked)["cells"]
    assert [cell["accuracy"] for cell in ours] == [cell["accuracy"] for cell in theirs]


def test_report_audit_and_push_count_images(run, images):
    glad.audit(run, width=4, epochs=1, set_epochs=1, seeds=1, images=40)
    glad.report(run)
    assert read([run])[0].pixels[0] == 10 * images
    parcel = glad.push(run, "me/set", permission="mine", dry_run=True)
    assert f"{10 * images} synthetic images" in parcel.card


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    small = {"limit": 80, "network_options": {"width": 4}, "recipe_options": {"epochs": 6, "batch": 20}}
    glad.train_experts("fashion-mini", folder, count=1, device="cpu", **small)
    return folder


@pytest.mark.parametrize("objective", ["dc", "mtt", "ast", "datadam", "ncfm"])
def test_every_objective_takes_it_with_rates_of_its_own(kind, objective, experts, tmp_path):
    changes = {"experts": experts} if objective in ("mtt", "ast", "ncfm") else {}
    if "Tiled" in kind[0]:
        pytest.skip("a helper of these tests")
    run = distill(kind, tmp_path / "run", objective, ipc=1, iterations=1, **changes)
    before, after = (load_file(run.path / f"{name}.safetensors") for name in ("initial", "synset"))
    learned = [name for name in before if name.startswith("latents/") and before[name].is_floating_point()]
    assert all(not torch.equal(before[name], after[name]) for name in learned)
