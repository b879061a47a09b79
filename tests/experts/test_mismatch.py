"""Experts of other data than the run's: what differs is said in words, also of files of earlier versions."""

from dataclasses import replace

import pytest
import torch
from errors import mentions, naming

from glad.data.splits import load_data
from glad.experts import folder as expert_run
from glad.experts.files import FORM, Expert, ExpertError, ExpertFile, Experts
from glad.experts.plan import described, kind, plan
from glad.settings.distill import DistillSettings
from glad.settings.experts import ExpertSettings

NARROW = {"limit": 60, "network_options": {"width": 4}}


def trained(out, **options):
    settings = ExpertSettings(
        **{**NARROW, "count": 1, **options}, out=str(out), device="cpu", recipe_options={"epochs": 1, "batch": 20}
    )
    splits = load_data("fashion-mini", limit=settings.limit, classes=settings.classes, zca=settings.zca)
    return expert_run.train_plan(plan(splits, settings))


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
