"""The table at equal bytes: rows fill their budgets, a call does what is missing, and the table means what it says."""

import json

import pytest
import reproduce_budget as script
from click.testing import CliRunner
from few_images import few_held_out
from narrow_generator import narrow_generator

from glad.evaluation.candidates import of_run


@pytest.fixture(scope="module", autouse=True)
def _small():
    """One iteration, and one epoch of evaluation, on the embedded sample."""
    with pytest.MonkeyPatch.context() as patch, few_held_out():
        sizes = {
            "DATA": "fashion-mini",
            "LIMIT": 200,
            "WIDTH": {"width": 8},
            "OTHERS": {"alexnet": {"width": 4}},
        }
        sizes |= {"NETWORKS": ("convnet", "alexnet"), "STEPS": 1, "NETWORK_SEEDS": {"convnet": 1, "alexnet": 1}}
        sizes |= {"EXPERTS": {"count": 1, "epochs": 5}}
        for name, value in sizes.items():
            patch.setattr(script, name, value)
        for settings in script.ROWS.values():
            patch.setitem(settings, "iterations", 1)
            if "inversion_steps" in settings:
                patch.setitem(settings, "inversion_steps", 1)
            if settings["prior"] == "fashion-mini":
                patch.setitem(settings, "prior", narrow_generator())
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("budget")


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if row in ("DM, FreD", "DATM, pixels") else pytest.mark.slow) for row in script.ROWS],
)
def test_a_row_fills_its_budget_and_no_more(row, folder):
    stored = of_run(script.distill(row, 0, 1.0, "data", folder)).stored
    allowed = 784 * script.SMALLEST.get(row.split(", ")[1], 1.0)
    learned = (stored.latents - (2 * 120 if "FreD" in row else 0)) / 4 / 10  # FreD's rows store their class, in 16 bits
    assert allowed - 128 < learned <= allowed


def command(folder, *options):
    result = CliRunner().invoke(script.main, ["--out", str(folder), "--seed", "0", "--row", "DM, pixels", *options])
    assert result.exit_code == 0, result.output
    results = json.loads((folder / "budget-1-test.json").read_text())
    assert results.pop("of") == {"script": "reproduce_budget", "budget": 1, "split": "test"}
    return results


def test_a_call_adds_the_networks_that_are_missing(folder, monkeypatch):
    first = command(folder, "--network", "convnet")
    chosen = ["random real images", "real images nearest to k-means centers"]
    assert list(first) == [*(f"{name}, equal bytes" for name in chosen), "DM, pixels", *chosen]
    assert [list(one["0"]["accuracy"]) for one in first.values()] == [["convnet"]] * 5
    sizes = [4 * (784 + 1), 4 * (784 + 1), 4 * 784 + 1, 784 + 1, 784 + 1]
    assert [one["0"]["bytes"] for one in first.values()] == sizes
    both = command(folder)
    for name, one in both.items():
        assert list(one["0"]["accuracy"]) == ["convnet", "alexnet"]
        assert one["0"]["accuracy"]["convnet"] == first[name]["0"]["accuracy"]["convnet"]
    monkeypatch.setattr(script, "distill", None)  # nothing is missing
    assert command(folder) == both


def test_the_table_has_mean_and_deviation_over_all_trainings(tmp_path):
    accuracy = {"convnet": [70.0, 74.0], "alexnet": [60.0, 62.0]}
    found = {"accuracy": accuracy, "bytes": 3137, "weights": 0, "images": 12}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"DM, FreD": {"0": found, "1": {**found, "accuracy": {"convnet": [72.0]}}}}))
    output = CliRunner().invoke(script.main, ["--out", str(path), "--table"]).output
    (line,) = [line for line in output.splitlines() if "FreD" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["DM, FreD", "12", "3,137", "0", "2", "72.0 ± 2.0", "61.0 ± 1.4", "61.0 ± 1.4"]


def test_at_ten_images_per_class_a_step_of_the_student_takes_a_part_of_the_set(folder):
    settings = script.distill("MTT, pixels", 0, 10.0, "data", folder, iterations=1).settings
    assert settings.objective_options["batch_syn"] == script.BATCH_SYN
    assert settings.learning_rate == {"pixels": 1e4}
    assert script.distill("MTT, pixels", 0, 1.0, "data", folder).settings.learning_rate is None


def test_larger_sets_are_passed_over_less_often(folder, monkeypatch):
    run = script.distill("DM, pixels", 0, 1.0, "data", folder)
    monkeypatch.setattr(script, "STEPS", 300)
    passes = []
    for batch in (256, 10, 4, 1):
        monkeypatch.setattr(script, "BATCH", batch)
        passes.append((script.epochs(run), script.epochs(run, "bytes")))
    assert passes == [(300, 300), (300, 75), (100, 30), (30, 8)]  # of 10 images, and of the 40 at equal bytes
