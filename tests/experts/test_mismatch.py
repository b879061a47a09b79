"""Experts of other data than the run's: what differs is said in words, also of files of earlier versions."""

from dataclasses import replace

import pytest
import torch
from errors import mentions, naming

from glad.data.splits import load_data
from glad.experts import folder as expert_run
from glad.experts.files import FORM, Expert, ExpertError, ExpertFile, Experts
from glad.experts.mismatch import difference
from glad.experts.plan import described, kind, plan
from glad.settings.distill import DistillSettings
from glad.settings.experts import ExpertSettings

NARROW = {"limit": 60, "network_options": {"width": 4}}


def trained(out, on_epoch=None, **options):
    recipe = {"epochs": 1, "batch": 20, **options.pop("recipe_options", {})}
    settings = ExpertSettings(**{**NARROW, "count": 1, **options}, out=str(out), device="cpu", recipe_options=recipe)
    splits = load_data("fashion-mini", limit=settings.limit, classes=settings.classes, zca=settings.zca)
    return expert_run.train_plan(plan(splits, settings), on_epoch)


def refused(folder, name="fashion-mini", **options):
    settings = DistillSettings(**{**NARROW, **options}, experts=str(folder))
    data = load_data("fashion-mini", limit=settings.limit, classes=settings.classes, zca=settings.zca).train
    with pytest.raises(ExpertError) as error:
        expert_run.open_experts(replace(data, name=name), settings)
    return str(error.value)


def test_what_differs_is_named_with_the_option_that_decides_it(tmp_path):
    trained(tmp_path / "plain")
    said = refused(tmp_path / "plain", zca=True)
    assert mentions(said, "zca off on --zca") and "--limit" not in said
    assert mentions(refused(tmp_path / "plain", limit=50), "images 60 50 --limit")
    assert mentions(refused(tmp_path / "plain", classes=(0, 1), limit=12), "classes 10 T-shirt 2 T-shirt --classes")
    assert mentions(refused(tmp_path / "plain", "letters", limit=50), "data fashion-mini letters images 60 50 --data")
    assert mentions(refused(tmp_path / "plain", network_options={"width": 5}), "'width' 4 'width' 5 --network-option")


def test_a_folder_of_other_experts_is_refused_before_any_is_trained_beside_them(tmp_path):
    out = tmp_path / "experts"
    trained(out)
    for options, named in (({"network_options": {"width": 5}}, "network_options"), ({"recipe": "smooth"}, "recipe")):
        with pytest.raises(ExpertError, match=named):
            trained(out, count=2, **options)
        assert [path.name for path in out.iterdir()] == ["expert_000.safetensors"]


OTHERWISE = [
    ({"augmentation": "none"}, "augmentation scale none --augmentation scale --out"),
    ({"seed": 3}, "seed 0 3 --seed 0 --out"),
    ({"dtype": "bfloat16"}, "dtype float32 bfloat16 --dtype float32 --out"),
    ({"recipe_options": {"learning_rate": 0.5}}, "recipe learning_rate 0.01 0.5 -o learning_rate=0.01 --out"),
    ({"recipe": "smooth"}, "recipe drop 1.0 0.6 learning_rate 0.01 0.003 -o drop=1.0 -o learning_rate=0.01 --out"),
]


@pytest.mark.parametrize(("options", "said"), OTHERWISE)
@pytest.mark.parametrize("count", [1, 2])
def test_experts_that_were_trained_otherwise_are_not_gone_on_with(tmp_path, options, said, count):
    trained(tmp_path, augmentation="scale")
    with pytest.raises(ExpertError, match=naming(said)) as error:
        trained(tmp_path, count=count, **{"augmentation": "scale", **options})
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["expert_000.safetensors"]
    assert len(trained(tmp_path, augmentation="scale", count=count)) == count


def stop(number, epoch, accuracy):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("options", "said"), OTHERWISE)
def test_an_unfinished_expert_that_was_trained_otherwise_is_not_gone_on_with(tmp_path, options, said):
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, stop, augmentation="scale")
    with pytest.raises(ExpertError, match=naming(f"expert_000.partial {said} delete")):
        trained(tmp_path, **{"augmentation": "scale", **options})
    (tmp_path / "expert_000.partial").unlink()
    assert len(trained(tmp_path, **{"augmentation": "scale", **options})) == 1


def test_an_expert_whose_rate_was_too_high_is_trained_again_at_a_lower_one(tmp_path):
    with pytest.raises(ArithmeticError, match=naming("below 1e+30 -o learning_rate=RATE removed")) as error:
        trained(tmp_path, recipe_options={"learning_rate": 1e30})
    assert "--out" not in str(error.value) and not list(tmp_path.iterdir())
    assert len(trained(tmp_path, recipe_options={"learning_rate": 0.01})) == 1
    with pytest.MonkeyPatch.context() as patched, pytest.raises(ArithmeticError, match=naming("--out FOLDER removed")):
        patched.setattr("glad.experts.training.train_epoch", lambda *_: float("nan"))
        trained(tmp_path, count=2)  # the first one is there, of the rate that was too high for the second


def test_what_a_file_does_not_say_of_its_training_is_not_compared():
    assert not difference({"number": 0}, {"recipe": {"lr": 0.1}, "seed": 3, "dtype": "float32"})
    stored, asked = {"lr": 0.1, "drop": 0.6}, {"lr": 0.1, "drop": 0.6, "turn": 27}  # turned an epoch earlier
    assert mentions(difference({"recipe": stored}, {"recipe": asked}), "recipe turn none 27 --out")
    assert not difference({"recipe": stored}, {"recipe": stored})


def test_experts_of_an_earlier_version_are_opened_and_what_they_do_not_say_is_left_open(tmp_path):
    about = trained(tmp_path / "new").experts[0].about
    old = {name: value for name, value in about.items() if name != FORM}
    data = load_data("fashion-mini", limit=60).train
    write(tmp_path / "old", old)
    assert len(Experts(tmp_path / "old", kind(data, "convnet", {"width": 4}), described(data))) == 1
    assert mentions(refused(tmp_path / "old", zca=True), "--limit --zca")
    assert mentions(refused(tmp_path / "old", "letters", limit=50), "data fashion-mini letters --data")


def write(folder, about, epochs=0):
    file = ExpertFile(folder / "expert_000.safetensors", epochs + 1, 3, "float32", about)
    file.begin()
    file.write(0, rows(0), 0.0, {"parameters": rows(0)})
    return file


def rows(epoch):
    return torch.arange(3.0) + epoch


def test_a_training_that_an_earlier_version_began_goes_on(tmp_path):
    old = {"data": "abc", "number": 0, "data_name": "letters"}
    write(tmp_path, old, epochs=1)
    file = ExpertFile(tmp_path / "expert_000.safetensors", 2, 3, "float32", {**old, FORM: {"zca": False}})
    assert file.begin()[0] == 0
    file.write(1, rows(1), 0.5, {})
    expert = Expert(file.path)
    assert expert.about == old and expert.accuracy == [0, 0.5] and expert.checkpoint(1).tolist() == rows(1).tolist()
    write(tmp_path / "other", {**old, "number": 1}, epochs=1)
    with pytest.raises(ExpertError, match=naming("recipe network data")):
        ExpertFile(tmp_path / "other" / "expert_000.safetensors", 2, 3, "float32", file.about | {FORM: {}}).begin()
