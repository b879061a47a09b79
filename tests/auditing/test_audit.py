"""The audit of runs: whom a set fails, what it covers and copied, where it is from, and what is refused."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming
from PIL import Image
from safetensors.torch import load_file

import glad
from glad.auditing import audited_run, checks
from glad.auditing.verdicts import NUMBERS
from glad.cli import main
from glad.data.splits import open_data
from glad.rng import rng_for
from glad.runs.folder import Run
from glad.runs.storage import RunError

NAMES = ("Trouser", "Dress", "Sneaker", "Bag")
DATA = {"classes": NAMES, "limit": 240, "network_options": {"width": 8}, "objective_options": {"batch": 8}}
QUICK = {"width": 8, "epochs": 3, "set_epochs": 6, "seeds": 1, "device": "cpu"}
OPTIONS = [text for key, value in QUICK.items() for text in (f"--{key.replace('_', '-')}", str(value))]
IPC = 12


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A run whose set is 12 exact training images a class: nothing moves at learning rate 0."""
    out = tmp_path_factory.mktemp("audit") / "copies"
    options = {"prior": "pixels", "prior_options": {"init": "real"}, "learning_rate": 0.0, "iterations": 1}
    return glad.distill(ipc=IPC, out=out, device="cpu", **options, **DATA)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    out = tmp_path_factory.mktemp("audit") / "codes"
    return glad.distill(iterations=3, out=out, device="cpu", **DATA)


@pytest.fixture(scope="module")
def audited(copies):
    return glad.audit(copies, **QUICK)


def replaced(run, folder, change):
    """A copy of ``run`` whose set is that of ``change(images, labels)``."""
    shutil.copytree(run.path, folder, ignore=shutil.ignore_patterns("audit*"))
    other = Run(folder)
    images, labels = other.read_set()
    images = change(images.clone(), labels)
    other.write_set("synset", images, labels, {"pixels": images.clone()})
    return other


def command(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def test_a_copy_is_too_near_even_where_unseen_images_are_copies(copies):
    train = open_data(copies.settings).train
    where, labels = torch.tensor([5, 7]), torch.tensor([0, 1])
    own = {kind: (torch.tensor([0.0, 2.0]).double(), where) for kind in ("pixels", "features")}
    unseen = {kind: (torch.zeros(40).double(), torch.zeros(40).long()) for kind in ("pixels", "features")}
    found = checks.memorization(own, unseen, labels, torch.arange(40) % 4, train)
    assert found["pixels"]["share"] == found["features"]["share"] == 0.5
    assert [entry["image"] for entry in found["nearest"]] == [0, 1] and found["nearest"][0]["pixels"]["ratio"] == 0
    assert found["nearest"][1]["pixels"]["class"] == NAMES[int(train.labels[7])]


def test_copies_of_training_images_are_found_and_named(copies, audited):
    found = audited["memorisation"]
    assert found["pixels"]["share"] == found["features"]["share"] == audited["numbers"]["memorised_share"] == 1
    assert found["start"] == {"copies": 48, "still_nearest": 48, "share": 1.0}
    train, (images, labels) = open_data(copies.settings).train, copies.read_set()
    for entry in found["nearest"]:
        own, named = entry["image"], entry["pixels"]["training_image"]
        assert entry["pixels"]["distance"] == 0 and torch.equal(train.batch(torch.tensor([named]))[0], images[own])
        assert entry["class"] == entry["pixels"]["class"] == NAMES[int(labels[own])]
    assert "48 of 48 in pixels" in audited["verdicts"]["memorisation"]


def test_images_that_are_no_copies_are_not(copies, tmp_path):
    other = replaced(copies, tmp_path / "flipped", lambda images, labels: -images)
    found = glad.audit(other, **QUICK)["memorisation"]
    assert found["pixels"]["share"] == 0 and found["start"]["copies"] == 48


def test_a_class_of_noise_loses_and_the_pair_is_named(copies, tmp_path):
    def ruin(images, labels):
        images[labels == 3] = torch.randn(IPC, 1, 28, 28, generator=rng_for("noise"))
        return images

    settings = {**QUICK, "set_epochs": 60, "out": tmp_path / "out"}
    before, after = (glad.audit(run, **settings) for run in (copies, replaced(copies, tmp_path / "noise", ruin)))
    worst, pair = after["losses"]["classes"][0], after["losses"]["confusions"][0]
    assert worst["class"] == pair["class"] == "Bag" and worst["loss"] > 0.8
    losses = {entry["class"]: entry["loss"] for entry in before["losses"]["classes"]}
    assert losses["Bag"] < 0.3
    assert after["coverage"]["per_class"]["Bag"] < before["coverage"]["per_class"]["Bag"] - 0.5
    assert after["recognised"]["share"] < before["recognised"]["share"]
    assert f"Bag loses most: from {100 * worst['full']:.1f} %" in after["verdicts"]["losses"]
    assert f"misclassified as {pair['taken_for']}" in after["verdicts"]["losses"]
    # The networks of the full data are one for both: their numbers are the same.
    assert before["losses"]["accuracy"]["full"] == after["losses"]["accuracy"]["full"]


def test_the_file_is_what_is_returned(copies, audited):
    stored = json.loads((copies.path / "audit.json").read_text())
    assert stored == audited == json.loads(json.dumps(audited))
    assert stored["schema"] == 1 and stored["numbers"].keys() == NUMBERS.keys()
    assert stored["settings"]["images"] == 240 and stored["settings"]["split"] == "validation"
    with Image.open(copies.path / "audit_nearest.png") as picture:
        assert picture.width > 600
    nearest = load_file(copies.path / "audit_nearest.safetensors")["pixels"]
    train = open_data(copies.settings).train
    where = {entry["image"]: entry["pixels"]["training_image"] for entry in audited["memorisation"]["nearest"]}
    assert torch.equal(nearest, train.raw(torch.tensor([where[i] for i in range(len(nearest))])))


def test_a_second_audit_trains_nothing_and_says_the_same(copies, audited, monkeypatch):
    monkeypatch.setattr(audited_run, "train_network", None)  # to call it fails
    stated = []
    assert glad.audit(copies, **QUICK, on_network=lambda *said: stated.append(said)) == audited
    assert stated == [(1, 2, "real images, seed 0 (kept)"), (2, 2, "the set, seed 0 (kept)")]
    with pytest.raises(TypeError):
        glad.audit(copies, **{**QUICK, "epochs": 4})


def test_networks_of_other_seeds_or_data_are_not_taken_for_these(copies, tmp_path):
    stated = []
    settings = {**QUICK, "epochs": 1, "set_epochs": 1, "images": 40, "out": tmp_path / "out"}
    fewer = {**DATA, "limit": 200}
    other = glad.distill(prior="pixels", iterations=1, out=tmp_path / "other", device="cpu", **fewer)
    for run, seeds in ((copies, [0]), (copies, [0, 1]), (other, [0])):
        glad.audit(run, **{**settings, "seeds": seeds}, on_network=lambda *said: stated.append("kept" in said[2]))
    assert stated == [False, False, True, True, False, False, False, False]


def test_neighbors_are_those_of_all_training_images(copies, monkeypatch):
    monkeypatch.setattr("glad.data.dataset.CHUNK", 50)  # several parts, one of them short
    splits = open_data(copies.settings)
    train, images = splits.train, splits.validation.raw(torch.arange(30))
    ours, real = (pixels.flatten(1).double() / 255 for pixels in (images, train.raw(torch.arange(len(train)))))
    found = checks.nearest_training(images, ours, train, lambda seen: 1 - train.pixels(seen).flatten(1))
    for kind, aims in (("pixels", real), ("features", 1 - real)):  # features of the training images are negatives
        nearest = torch.cdist(ours, aims).min(1)
        assert torch.allclose(found[kind][0], nearest.values, rtol=1e-5)
        assert torch.equal(found[kind][1], nearest.indices)


def test_images_are_capped_and_each_class_has_its_share(copies, tmp_path):
    train = open_data(copies.settings).train
    chosen = audited_run.sample_stratified(train, 40, "a")
    assert train.labels[chosen].bincount().tolist() == [10] * 4 and len(chosen.unique()) == 40
    found = glad.audit(copies, **{**QUICK, "epochs": 1, "set_epochs": 1}, images=40, out=tmp_path / "elsewhere")
    assert found["settings"]["images"] == 40 and found["settings"]["training_images"] == 240
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {
        "audit",
        "audit.json",
        "audit_nearest.png",
        "audit_nearest.safetensors",
    }


def test_a_generator_is_compared_with_its_start(generated):
    found = glad.audit(generated, **QUICK)
    prior, provenance = found["prior"], found["provenance"]
    assert prior["generator"] and prior["moved"]["mean"] > 0 and prior["moved"]["per_class"].keys() == set(NAMES)
    train = open_data(generated.settings).train
    pixels = train.pixels(generated.read_set("initial")[0]).clamp(0, 1)
    assert prior["appearance"]["before"]["brightness"] == pytest.approx(float(pixels.mean()), abs=1e-3)
    assert prior["appearance"]["before"] != prior["appearance"]["after"]
    assert 0 <= prior["recognised_before"]["share"] <= 1
    assert found["coverage"]["diversity"]["mean"] is None and "One image per class" in found["verdicts"]["coverage"]
    assert provenance["weights"]["name"] == "fashion-mini" and len(provenance["weights"]["sha256"]) == 64
    assert provenance["hashes"]["data"] == train.digest and provenance["settings"]["iterations"] == 3
    assert "license Apache-2.0" in found["verdicts"]["provenance"]
    assert provenance["splits"]["train"]["images"] == len(train)
    assert set(provenance["prior_classes"]) == set(train.classes)
    assert "Classes of the prior" not in found["verdicts"]["provenance"]  # they have the same names
    with Image.open(generated.path / "audit_before_after.png") as picture:
        assert picture.width > 300


def test_pixels_have_no_generator(copies, audited):
    assert audited["prior"] == {"generator": False, "why": "There is no generator: the run optimized pixels."}
    assert audited["numbers"]["moved"] is None and not (copies.path / "audit_before_after.png").exists()
    assert "no weights" in audited["verdicts"]["provenance"]


def test_a_broken_threshold_is_exit_status_one_after_everything_is_written(copies, audited):
    (copies.path / "audit.json").unlink()
    kept = command(copies.path, *OPTIONS, "--fail-on", "memorised_share=1")
    assert kept.exit_code == 0, kept.output
    lost = command(copies.path, *OPTIONS, "--fail-on", "memorised_share=0.01", "--fail-on", "own_class=1.5")
    assert lost.exit_code == 1
    lines = [line for line in lost.output.splitlines() if line.startswith("Threshold: ")]
    assert lines == [
        "Threshold: memorised_share is to be at most 0.01, and is 1",
        f"Threshold: own_class is to be at least 1.5, and is {audited['numbers']['own_class']:.4g}",
    ]
    stored = json.loads((copies.path / "audit.json").read_text())
    assert stored["broken"] == [line.removeprefix("Threshold: ") for line in lines]
    assert stored["thresholds"] == {"memorised_share": 0.01, "own_class": 1.5}
    for part in ("Who loses", "Coverage", "Copies", "The prior", "Origin", "Trouser"):
        assert part in lost.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fail-on", "memorized=0"], "'memorized' accuracy_full"),
        (["--fail-on", "moved=far"], "fail_on.moved 'far'"),
        (["--epochs", "0"], "epochs 1 0"),
        (["--images", "3"], "images 3 4"),
        (["--seeds", "0"], "one seed"),
        (["--lr", "1e30", "--set-epochs", "2"], "diverged 1e+30"),
    ],
)
def test_a_mistake_gives_one_line(copies, audited, options, message):
    result = command(copies.path, *OPTIONS, *options)
    assert result.exit_code != 0 and mentions(result.output, message), result.output
    assert isinstance(result.exception, SystemExit)


def test_what_is_no_finished_run_of_this_data_is_refused(copies, tmp_path):
    (tmp_path / "empty").mkdir()
    assert mentions(command(tmp_path / "empty").output, f"{tmp_path}/empty")
    shutil.copytree(copies.path, tmp_path / "cut")
    (tmp_path / "cut" / "synset.safetensors").unlink()
    with pytest.raises(RunError, match=naming("cut finished")):
        glad.audit(tmp_path / "cut", **QUICK)
    longer = tmp_path / "longer"
    shutil.copytree(copies.path, longer)
    text = (longer / "config.yaml").read_text()
    (longer / "config.yaml").write_text(text.replace("iterations: 1\n", "iterations: 9\n"))
    with pytest.raises(RunError, match="1 of 9 iterations"):
        glad.audit(longer, **QUICK)
    (longer / "config.yaml").write_text(text.replace("limit: 240", "limit: 230"))
    with pytest.raises(RunError, match=naming("longer data")):
        glad.audit(longer, **QUICK)
    (longer / "config.yaml").write_text(text.replace("data: fashion-mini", "data: object:builtins.dict"))
    with pytest.raises(RunError, match=naming("glad.audit(..., data=...)")):
        glad.audit(longer, **QUICK)


def test_a_damaged_network_is_one_line(copies, audited, tmp_path):
    shutil.copytree(copies.path, tmp_path / "run")
    for path in (tmp_path / "run" / "audit").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=naming("run/audit/ read")):
        glad.audit(tmp_path / "run", **QUICK)
