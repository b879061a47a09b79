"""The tables in color: rows have the images and the rates that they name, and a call does what is missing."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import reproduce_color as script
import torch
from click.testing import CliRunner
from errors import naming
from few_images import few_held_out
from narrow_generator import narrow_generator
from PIL import Image
from results_files import read_entry

PIXELS = "DM, pixels from real images"


@pytest.fixture(scope="module", autouse=True)
def _small():
    """One iteration, and one epoch of evaluation, on the embedded gray images."""
    with pytest.MonkeyPatch.context() as patch, few_held_out():
        sizes = {"WIDTH": {"width": 8}, "NETWORK_SEEDS": 1, "OTHERS": {"alexnet": {"width": 4}}}
        sizes |= {"NETWORKS": ("convnet", "alexnet"), "epochs": lambda run, equal: 1}
        for name, value in sizes.items():
            patch.setattr(script, name, value)
        gray = {"data": {"data": "fashion-mini", "limit": 200}, "prior": str(narrow_generator()), "times": {}}
        gray |= {"experts": {"count": 1, "epochs": 2}}
        gray |= {"matched": {"syn_steps": 1, "expert_epochs": 1, "max_start_epoch": 1, "step_size": 1e-2}}
        for name, source in script.SOURCES.items():
            patch.setitem(script.SOURCES, name, replace(source, **gray))
        for settings in script.ROWS.values():
            patch.setitem(settings, "iterations", 1)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("color")


def bench(folder, images="photographs", ipc=1, **changes):
    return script.Bench(replace(script.SOURCES[images], **changes), ipc, "test", "data", folder)


@pytest.mark.parametrize(
    "row, ipc, images, rates",
    [
        (PIXELS, 1, 1, {"pixels": 3.0}),
        (PIXELS, 10, 10, {"pixels": 30.0}),
        ("DM, codes F_2", 1, 1, {"w": 0.09, "f": 3.0}),
        ("DM, IDC, equal numbers", 1, 4, {"pixels": 3.0}),
        ("DM, FreD, equal numbers", 1, 12, {"coefficients": 30.0}),
        ("AST, codes W+", 1, 1, {"w": 3.0, "step_size": 1e-6}),
    ],
)
def test_a_row_has_its_images_and_so_many_times_its_rates(row, ipc, images, rates, folder):
    run = bench(folder, ipc=ipc).distill(row, 0, 3.0)
    assert len(run.read_set()[0]) == 10 * images
    assert run.config["learning_rate"] == pytest.approx(rates)
    assert run.config["prior"] == (script.SOURCES["photographs"].prior if "codes" in row else script.ROWS[row]["prior"])


@pytest.mark.parametrize(
    "ipc, images, step_size, learned",
    [
        (1, 1, None, {"convnet": 0.01, "resnet18": 0.01}),
        (1, 1, 5e-3, {"resnet18": 0.01}),
        (1, 4, None, {"convnet": 0.01, "resnet18": 0.01}),
        (1, 16, None, script.LEARNED[10]),  # at equal numbers
        (1, 24, 5e-3, script.LEARNED[10]),
        (10, 10, 5e-3, script.LEARNED[10]),
    ],
)
def test_networks_learn_at_the_rates_of_a_sets_images_per_class(ipc, images, step_size, learned, folder, monkeypatch):
    asked = {}
    monkeypatch.setattr(script.glad, "evaluate", lambda *_, **options: asked.update(options) or {"cells": []})
    monkeypatch.setattr(script, "measured", lambda *_: [])
    run = SimpleNamespace(step_size=step_size, settings=SimpleNamespace(seed=0))
    run.read_set, run.inputs = lambda: (torch.zeros(2 * images), None), {"classes": ["a", "b"]}
    assert list(bench(folder, ipc=ipc).evaluate("MTT, codes W+", run, ["convnet"])) == []
    assert learned.items() <= asked["learning_rate"].items()
    assert ("convnet" in asked["learning_rate"]) == ("convnet" in learned)


@pytest.mark.parametrize(
    "row, ipc, iterations", [("MTT, codes W+", 1, 100), ("MTT, codes W+", 10, 50), (PIXELS, 10, 200)]
)
def test_trajectories_are_matched_half_as_often_at_ten_images_per_class(row, ipc, iterations, folder, monkeypatch):
    asked = {}
    monkeypatch.setitem(script.ROWS[row], "iterations", 200 if row == PIXELS else 100)
    monkeypatch.setattr(script.glad, "distill", lambda **options: asked.update(options))
    bench(folder, ipc=ipc).distill(row, 0, None)
    assert asked["iterations"] == iterations


class Small:
    """A prior whose images have a pixel."""

    def init(self, classes, rng):
        return {"code": torch.zeros(len(classes), 1, 1, 1)}

    def __call__(self, code):
        return code

    def tensors(self):
        return {}


@pytest.mark.parametrize(
    "row, changes, values",
    [
        ("MTT, codes W+", {"prior": "nosuchprior"}, "nosuchprior"),
        ("AST, codes F_2", {"prior": "nosuchprior"}, "nosuchprior"),
        ("MTT, codes W, equal numbers", {"data": {"data": "clothing-mini", "resolution": 28}}, "--class-map"),
        ("MTT, codes W+", {"prior": f"{__name__}:Small"}, "[1, 1, 1, 1] [1, 1, 28, 28]"),
    ],
)
def test_a_prior_that_cannot_be_used_is_noticed_before_experts_are_trained(row, changes, values, tmp_path):
    with pytest.raises(ValueError, match=naming(values)):
        bench(tmp_path, **changes).distill(row, 0, 1.0)
    assert not list(tmp_path.iterdir())


def test_what_was_chosen_multiplies_the_rates_unless_something_else_is_tried(folder):
    for times, rate in ((None, 10.0), (0.5, 0.5)):
        run = bench(folder, times={PIXELS: 10.0}).distill(PIXELS, 7, times)
        assert run.config["learning_rate"] == {"pixels": rate}


def command(folder, *options):
    arguments = ["photographs", "--out", str(folder), "--seed", "0", "--row", PIXELS, *options]
    result = CliRunner().invoke(script.main, arguments)
    assert result.exit_code == 0, result.output
    results = json.loads((folder / "photographs-test.json").read_text())
    of = {"script": "reproduce_color", "images": "photographs", "ipc": 1, "split": "test", "times": "chosen"}
    assert results.pop("of") == {**of, "data": "fashion-mini"}
    return results


def test_a_call_adds_the_networks_that_are_missing(folder, monkeypatch):
    first = command(folder, "--network", "convnet")
    chosen = ["random real images", "real images nearest to k-means centers"]
    assert list(first) == [*(f"{name}, equal bytes" for name in chosen), PIXELS, *chosen]
    assert [list(one["0"]["accuracy"]) for one in first.values()] == [["convnet"]] * 5
    both = command(folder)
    for name, one in both.items():
        assert list(one["0"]["accuracy"]) == ["convnet", "alexnet"]
        assert one["0"]["accuracy"]["convnet"] == first[name]["0"]["accuracy"]["convnet"]
    monkeypatch.setattr(script.Bench, "distill", None)  # nothing is missing
    assert command(folder) == both


def test_real_images_at_equal_bytes_are_four_for_one_and_go_with_the_first_set_alone(folder):
    first = command(folder, "--network", "convnet")
    pixels = 28 * 28
    assert first["random real images, equal bytes"]["0"]["bytes"] == 4 * (pixels + 1)
    assert len(first["random real images, equal bytes"]["0"]["accuracy"]["convnet"]) == 1
    second = dict(script.evaluated(PIXELS, script.SEEDS[1], script.BASELINES))
    assert second == {"numbers": {"set": PIXELS}}


def test_the_table_has_mean_and_deviation_over_all_trainings(tmp_path):
    accuracy = {"convnet": [40.0, 44.0], "alexnet": [30.0, 32.0]}
    found = {"accuracy": accuracy, "bytes": 12289, "images": 1}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({PIXELS: {"0": found, "1": {**found, "accuracy": {"convnet": [42.0]}}}}))
    output = CliRunner().invoke(script.main, ["photographs", "--out", str(path), "--table"]).output
    (line,) = [line for line in output.splitlines() if "pixels" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == [PIXELS, "1", "12,289", "2", "42.0 ± 2.0", "31.0 ± 1.4", "31.0 ± 1.4"]


def test_differences_are_paired_by_distillation_seed_and_leave_out_sets_that_lack_a_network():
    def one(convnet, alexnet):
        return {"accuracy": {"convnet": convnet, **({"alexnet": alexnet} if alexnet else {})}}

    codes = {"0": one([40.0, 42.0], [30.0, 34.0]), "1": one([50.0], [20.0]), "2": one([90.0], None)}
    pixels = {"1": one([48.0], [25.0]), "0": one([40.0], [30.0]), "2": one([10.0], [10.0])}
    results = {"MTT, codes W+": codes, "MTT, pixels from noise": pixels}
    (line,) = script.differences(results)
    assert line == ["MTT, codes W+ less pixels from noise", "2", "+1.5 ± 0.7", "-1.5 ± 4.9", "-1.5 ± 4.9"]


def test_differences_to_rows_of_other_results_are_those_of_this_generators_codes(tmp_path):
    def one(value):
        return {"0": {"accuracy": {"convnet": [value], "alexnet": [value]}, "bytes": 1}}

    theirs = {"MTT, codes W+": one(50.0), "MTT, pixels from noise": one(20.0), "DM, codes W+": one(9.0)}
    ours = {"MTT, codes W+": one(25.0)}
    for name, results in (("theirs", theirs), ("ours", ours)):
        (tmp_path / f"{name}.json").write_text(json.dumps(results))
    arguments = ["photographs", "--out", str(tmp_path / "ours.json"), "--table"]
    assert "less" not in CliRunner().invoke(script.main, arguments).output
    output = CliRunner().invoke(script.main, [*arguments, "--beside", str(tmp_path / "theirs.json")]).output
    (line,) = [line for line in output.splitlines() if "less" in line]
    assert "MTT, codes W+ less pixels from noise" in line and "+5.0" in line and "DM" not in output


def test_the_picture_has_a_row_of_each_finished_set(folder, tmp_path):
    command(folder, "--network", "convnet")
    command(folder, "--network", "convnet", "--picture", str(tmp_path / "sets.png"))
    with Image.open(tmp_path / "sets.png") as drawn:
        width, height = drawn.size
    drawn = [row for row in script.ROWS if not row.endswith("equal numbers")]
    finished = len([row for row in drawn if (bench(folder).folder(row, 0, None) / "synset.safetensors").exists()])
    assert finished >= 1 and width > 10 * 56 and finished * 56 < height < (finished + 1) * 64


def test_cifar10_takes_images_and_a_generator_by_name_and_scores_plain_accuracy(folder, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(script.Bench, "distill", lambda self, row, seed, times: asked.append(self))
    monkeypatch.setattr(script.Bench, "evaluate", lambda *_: [(PIXELS, {"accuracy": {"convnet": [1.0]}, "bytes": 1})])
    monkeypatch.setattr(script, "update", lambda results, row, seed, *_: results.setdefault(row, {}))
    arguments = ["cifar10", "--out", str(tmp_path), "--data", "my/images", "--prior", "my.safetensors", "--ipc", "10"]
    CliRunner().invoke(script.main, [*arguments, "--row", PIXELS, "--seed", "0"])
    (one,) = asked
    assert one.source.data["data"] == "my/images" and one.source.prior == "my.safetensors" and one.ipc == 10
    assert one.source.score == "accuracy" and (tmp_path / "cifar10-10-test.json").exists()


def test_rows_without_the_generator_do_not_say_which_it_is_and_others_are_added_to_them(tmp_path, monkeypatch):
    made = {"accuracy": {name: [1.0] for name in script.NETWORKS}, "bytes": 1}
    monkeypatch.setattr(script.Bench, "distill", lambda *_: None)
    monkeypatch.setattr(script.Bench, "evaluate", lambda *_: [])
    monkeypatch.setattr(script, "update", lambda results, row, *_: results.update({row: {"0": made}}))
    path, entries = tmp_path / "photographs-test.json", []
    for row, prior in ((PIXELS, "one"), (PIXELS, "two"), ("DM, codes W+", "three"), (PIXELS, "four")):
        arguments = ["photographs", "--out", str(tmp_path), "--row", row, "--seed", "0", "--prior", prior]
        assert CliRunner().invoke(script.main, arguments).exit_code == 0
        entries.append(read_entry(path).get("prior"))
    assert entries == [None, None, "three", "three"]
