"""Classes of the data and of a generator, from the command line to the audit."""

import json
import shutil
import warnings

import pytest
import torch
from distilled_sets import fails, invoke
from errors import mentions, naming
from image_files import write_images

import glad
from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.priors.resolve import resolve_prior
from glad.runs.storage import RunError

CPU = torch.device("cpu")
QUICK = {"network_options": {"width": 8}, "objective_options": {"batch": 4}, "device": "cpu"}
OPTIONS = ("--iterations", "1", "--device", "cpu", "--set", "batch=4")


def folder(root, *names):
    for c, name in enumerate(names):
        write_images(root / name, 10, size=(28, 28), gray=True, seed=c)
    return root


def test_folders_of_exported_names_are_the_classes_of_those_names(tmp_path):
    data = load_data(str(folder(tmp_path, "Trouser", "T-shirt_top", "Ankle_boot"))).train
    prior = resolve_prior("fashion-mini", data, {}, CPU)
    assert data.classes == ("Ankle_boot", "T-shirt_top", "Trouser") and prior.prior.class_ids.tolist() == [9, 0, 1]
    assert {name: found.in_words() for name, found in prior.classes.items()} == {
        "Ankle_boot": "9 (Ankle boot)",
        "T-shirt_top": "0 (T-shirt/top)",
        "Trouser": "1 (Trouser)",
    }


def test_folders_of_numbers_are_the_classes_of_those_numbers(tmp_path):
    data = load_data(str(folder(tmp_path, *map(str, range(10))))).train
    assert resolve_prior("digits-mini", data, {}, CPU).prior.class_ids.tolist() == list(range(10))


@pytest.mark.parametrize(("name", "options"), [("random", {"configuration": "imagenet16"}), ("pixels", {})])
def test_priors_of_no_classes_are_not_asked(tmp_path, name, options):
    data = load_data(str(folder(tmp_path, "cat", "dog"))).train
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="classes are taken")
        assert not resolve_prior(name, data, options, CPU).guessed


def test_a_map_for_a_prior_of_no_classes_is_said(tmp_path):
    data = load_data(str(folder(tmp_path, "cat", "dog"))).train
    with pytest.warns(UserWarning, match="pixels: it has no classes, so the class map is not used"):
        resolve_prior("pixels", data, {}, CPU, {"cat": "Sandal"})


def test_a_class_that_the_generator_lacks_is_asked_for_and_the_guess_is_in_the_audit(tmp_path):
    data, out = folder(tmp_path / "pets", "cat", "dog"), tmp_path / "run"
    said = fails("distill", "--data", data, "--out", out, *OPTIONS)
    assert mentions(said, "cat, dog --class-map 'cat=CLASS'")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = invoke("distill", "--data", data, "--out", out, *OPTIONS, "--class-map", "guess")
    assert mentions(said, "Note: fashion-mini guess cat = 0 (T-shirt/top)")
    assert json.loads((out / "inputs.json").read_text())["prior_classes"]["dog"] == {"number": 1, "name": "Trouser"}
    small = ("--width", "4", "--epochs", "1", "--set-epochs", "1", "--seeds", "1", "--device", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = invoke("audit", out, *small)
    assert "Classes of the prior: cat = 0 (T-shirt/top), dog = 1 (Trouser)." in said
    assert "Data: train 14 images (class folders), validation 2 images" in said
    assert "test 4 images (20% of each class, held out of class folders)" in said


def test_what_is_asked_for_needs_no_guess(tmp_path):
    data = folder(tmp_path / "pets", "cat", "Bag")
    run = glad.distill(str(data), out=tmp_path / "run", iterations=1, **QUICK, class_map={"cat": "Sandal"})
    assert run.inputs["prior_classes"] == {"Bag": {"number": 8, "name": "Bag"}, "cat": {"number": 5, "name": "Sandal"}}


def test_a_run_of_a_version_that_guessed_goes_on_with_the_guess(tmp_path):
    data, out = folder(tmp_path / "pets", "cat", "dog"), tmp_path / "run"
    options = {**QUICK, "out": out, "class_map": "guess"}
    with pytest.warns(UserWarning, match=naming("guess")):
        glad.distill(str(data), iterations=1, **options)
    shutil.copytree(out, tmp_path / "old")
    inputs = json.loads((out / "inputs.json").read_text())
    del inputs["prior_classes"]
    (tmp_path / "old" / "inputs.json").write_text(json.dumps(inputs))
    config = (out / "config.yaml").read_text()
    assert "'*': guess" in config
    (tmp_path / "old" / "config.yaml").write_text(config.replace("class_map:\n  '*': guess", "class_map: {}"))
    with pytest.warns(UserWarning, match=naming("guess")):
        longer = glad.distill(str(data), iterations=2, **{**options, "out": tmp_path / "old"})
    with pytest.warns(UserWarning, match=naming("guess")):
        glad.distill(str(data), iterations=2, **options)
    assert torch.equal(longer.read_set()[0], glad.Run(out).read_set()[0])
    with pytest.raises(RunError, match="class_map"):
        glad.distill(str(data), iterations=2, **{**options, "class_map": {"cat": 3, "dog": 4}})


def test_a_generator_of_smaller_images_says_that_they_are_enlarged():
    data = load_data("fashion-mini", resolution=32, limit=20).train
    with pytest.warns(DataNotice, match=naming("fashion-mini 28 32 --resolution 28")):
        resolve_prior("fashion-mini", data, {}, CPU)
