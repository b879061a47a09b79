"""The table of photographs: rows have the images and the rates that they name, and a call does what is missing."""

import json

import pytest
import reproduce_photographs as script
from click.testing import CliRunner
from few_images import few_held_out
from narrow_generator import narrow_generator
from PIL import Image

PIXELS = "DM, pixels from real images"


@pytest.fixture(scope="module", autouse=True)
def _small():
    """One iteration, and one epoch of evaluation, on the embedded gray images."""
    with pytest.MonkeyPatch.context() as patch, few_held_out():
        sizes = {"DATA": {"data": "fashion-mini", "limit": 200}, "WIDTH": {"width": 8}, "NETWORK_SEEDS": 1}
        sizes |= {"OTHERS": {"alexnet": {"width": 4}}, "NETWORKS": ("convnet", "alexnet"), "epochs": lambda run: 1}
        for name, value in sizes.items():
            patch.setattr(script, name, value)
        for settings in script.ROWS.values():
            patch.setitem(settings, "iterations", 1)
            if settings["prior"] == "clothing-mini":
                patch.setitem(settings, "prior", narrow_generator())
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("photographs")


@pytest.mark.parametrize(
    "row, images, rates",
    [
        (PIXELS, 1, {"pixels": 3.0}),
        ("DM, codes F_2", 1, {"w": 0.09, "f": 3.0}),
        ("DM, IDC, equal numbers", 4, {"pixels": 3.0}),
        ("DM, FreD, equal numbers", 12, {"coefficients": 30.0}),
    ],
)
def test_a_row_has_its_images_and_so_many_times_its_rates(row, images, rates, folder):
    run = script.distill(row, 0, 3.0, folder)
    assert len(run.read_set()[0]) == 10 * images
    assert run.config["learning_rate"] == pytest.approx(rates)


def test_what_was_chosen_multiplies_the_rates_unless_something_else_is_tried(folder, monkeypatch):
    monkeypatch.setattr(script, "TIMES", {PIXELS: 10.0})
    for times, rate in ((None, 10.0), (0.5, 0.5)):
        assert script.distill(PIXELS, 7, times, folder).config["learning_rate"] == {"pixels": rate}


def command(folder, *options):
    result = CliRunner().invoke(script.main, ["--out", str(folder), "--seed", "0", "--row", PIXELS, *options])
    assert result.exit_code == 0, result.output
    return json.loads((folder / "photographs-test.json").read_text())


def test_a_call_adds_the_networks_that_are_missing(folder, monkeypatch):
    first = command(folder, "--network", "convnet")
    assert list(first) == [PIXELS, "random real images", "real images nearest to k-means centers"]
    assert [list(one["0"]["accuracy"]) for one in first.values()] == [["convnet"]] * 3
    both = command(folder)
    for name, one in both.items():
        assert list(one["0"]["accuracy"]) == ["convnet", "alexnet"]
        assert one["0"]["accuracy"]["convnet"] == first[name]["0"]["accuracy"]["convnet"]
    monkeypatch.setattr(script, "distill", None)  # nothing is missing
    assert command(folder) == both


def test_the_table_has_mean_and_deviation_over_all_trainings(tmp_path):
    accuracy = {"convnet": [40.0, 44.0], "alexnet": [30.0, 32.0]}
    found = {"accuracy": accuracy, "bytes": 12289, "images": 1}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({PIXELS: {"0": found, "1": {**found, "accuracy": {"convnet": [42.0]}}}}))
    output = CliRunner().invoke(script.main, ["--out", str(path), "--table"]).output
    (line,) = [line for line in output.splitlines() if "pixels" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == [PIXELS, "1", "12,289", "2", "42.0 ± 2.0", "31.0 ± 1.4", "31.0 ± 1.4"]


def test_the_picture_has_a_row_of_each_finished_set(folder, tmp_path):
    command(folder, "--network", "convnet")
    command(folder, "--network", "convnet", "--picture", str(tmp_path / "sets.png"))
    with Image.open(tmp_path / "sets.png") as drawn:
        width, height = drawn.size
    finished = len(
        [row for row in script.ROWS if (script.folder(row, 0, None, folder) / "synset.safetensors").exists()]
    )
    assert finished >= 1 and width > 10 * 56 and finished * 56 < height < (finished + 1) * 64
