"""A budget decides how many rows a set has, and every table says what is stored."""

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from errors import naming

import glad
from generators.weights import EMBEDDED
from glad.cli import main
from glad.cli.outcome import say
from glad.cli.results_tables import results_table
from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.evaluation.candidates import of_path, of_run
from glad.evaluation.rows import set_id
from glad.reports.run_data import read
from glad.reports.tables import storage
from glad.runs.stored_size import size_of_images, size_of_rows, size_of_run
from glad.settings.distill import DistillSettings

SMALL = {"limit": 200, "network_options": {"width": 4}, "objective_options": {"batch": 2}, "device": "cpu"}
NARROW = {"networks": ["convnet"], "network_options": {"convnet": {"width": 4}}, "seeds": 1, "epochs": 1}
EVALUATION = {**NARROW, "baselines": ["random"], "split": "validation", "full_epochs": 1, "device": "cpu"}
ROWS = {"pixels": 1, "idc": 1, "fred": 12, "ddif": 11, "fashion-mini": 6}
FLOATS = {"pixels": 784, "idc": 784, "fred": 64, "ddif": 67, "fashion-mini": 128}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Sets of one budget, by prior."""
    folder, found = tmp_path_factory.mktemp("budget"), {}
    for prior in ROWS:
        options = {"space": "w"} if prior == "fashion-mini" else {}
        asked = {"prior": prior, "prior_options": options, "budget": 1, "iterations": 1}
        found[prior] = glad.distill(out=folder / prior, **asked, **SMALL)
    return found


@pytest.mark.parametrize("prior", ROWS)
def test_as_many_rows_as_fit_into_the_numbers_of_one_image(runs, prior):
    size = size_of_run(runs[prior])
    numbers = 10 * ROWS[prior] * FLOATS[prior]
    assert numbers <= 7840 < 10 * (ROWS[prior] + 1) * FLOATS[prior]
    indices = {"fred": (2 * 10 * 12, 4 * 10 * 64)}.get(prior, (0, 0))
    assert (size.latents, size.shared, size.labels) == (4 * numbers + indices[0], indices[1], 10 * ROWS[prior])
    file = EMBEDDED[prior].stat().st_size if prior == "fashion-mini" else 0
    assert size.weights == file
    assert size.per_class == (size.latents + size.shared + size.labels) / 10


def test_sets_of_one_budget_are_compared_with_the_real_images_of_that_budget(runs, tmp_path):
    found = glad.evaluate([*runs.values()], **EVALUATION)
    stored = found["stored"]
    assert [name for name in stored if name.startswith("random")] == ["random:1"]
    assert stored["random:1"]["per_class"] == 784 + 1
    for prior, run in runs.items():
        assert stored[set_id(prior)]["per_class"] == size_of_run(run).per_class
        assert stored[set_id(prior)]["real_images"] == [1] * 10
    table = results_table(found)
    column = [[*cells] for cells in (column.cells for column in table.columns)][1]
    assert column[: len(runs)] == [f"{size_of_run(run).per_class:,.0f}" for run in runs.values()]
    assert "needs weights of" in table.caption and "fashion-mini" in table.caption and "fred" not in table.caption
    glad.report(runs["fred"])
    page = (runs["fred"].path / "report.html").read_text()
    assert "What is stored" in page
    (shown,) = [table for table in [storage(read([runs["fred"]])[0].results)] if table]
    assert "3.4 kB" in shown.rows[0]
    card = glad.push(runs["fred"], "me/set", permission="mine", dry_run=True).card
    assert "| bytes per class, as codes | 3,364 (latents 3,096, shared tensors 256, labels 12) |" in card
    assert "| numbers per class, in images | 1 |" in card and "| **this set** | 3,364 |" in card


def test_at_equal_bytes_four_real_images_of_8_bits_stand_against_one_of_32(runs):
    found = glad.evaluate([runs["pixels"], runs["fred"]], **EVALUATION, equal="bytes")
    assert [row["id"] for row in found["rows"]] == ["set:pixels", "set:fred", "random:4"]
    stored = found["stored"]
    assert stored["random:4"]["per_class"] == 4 * (784 + 1)
    for prior in ("pixels", "fred"):
        assert stored[set_id(prior)]["real_images"] == [4] * 10
        assert stored[set_id(prior)]["per_class"] == pytest.approx(4 * 785, rel=0.125)  # to the nearest number
    assert [entry["against"] for entry in found["differences"]] == ["set:fred", "random:4", "random:4"]
    again = glad.evaluate(runs["pixels"], **EVALUATION)
    assert [row["id"] for row in again["rows"]] == ["set:pixels", "random:1"]


def test_where_a_class_has_fewer_real_images_baselines_are_called_by_those_that_there_are(runs, tmp_path):
    path = tmp_path / "floats.safetensors"
    glad.export(runs["fred"], "safetensors", path)  # 12 images of 32 bits: the bytes of 48
    with pytest.warns(DataNotice, match="fewer than 48 images"):
        found = glad.evaluate(path, data="fashion-mini", limit=200, **EVALUATION, equal="bytes")
    row = found["rows"][-1]
    assert (row["id"], row["label"]) == ("random:20", "random real images, 20 per class")
    assert found["stored"]["random:20"]["per_class"] == 20 * 785
    assert found["stored"][set_id("floats")]["real_images"] == [20] * 10


@pytest.mark.parametrize(("bits", "images"), [(8, 1), (4, 1), (16, 2)])
def test_at_equal_bytes_fewer_bits_stand_against_fewer_real_images(runs, bits, images, tmp_path):
    file = glad.compress(runs["pixels"], bits, tmp_path / "small.safetensors").path
    found = of_path(file, load_data("fashion-mini", limit=100).train)
    assert found.real_counts("bytes") == (images,) * 10


def test_scores_stay_those_against_as_many_random_images_at_equal_bytes(runs):
    found = glad.evaluate(runs["pixels"], **EVALUATION, equal="bytes", scores=True)
    shown = {row["id"]: row["shown"] for row in found["rows"] if row["id"] in ("random:1", "random:4")}
    assert shown == {"random:4": True, "random:1": False} and "lrs" in found["scores"]["set:pixels"]


def test_a_set_of_unknown_bytes_is_refused_at_equal_bytes(runs):
    unknown = replace(of_run(runs["pixels"]), stored=None)
    assert unknown.real_counts() == (1,) * 10
    with pytest.raises(ValueError, match=naming("bytes pixels not known")):
        unknown.real_counts("bytes")


def test_it_is_said_which_sets_have_no_row_before_optimization(runs, capsys):
    asked = {**EVALUATION, "baselines": ["before"]}
    found = glad.evaluate([runs["fred"], runs["fashion-mini"]], **asked)
    assert found["without_before"] == ["fred"] and "before:fashion-mini" in found["summary"]
    say(found)
    assert "No row before optimization for fred:" in capsys.readouterr().out
    assert "without_before" not in glad.evaluate(runs["fred"], **EVALUATION)


def test_a_file_is_as_large_as_what_it_stores(runs, tmp_path):
    for kind, name in (("codes", "codes.safetensors"), ("npz", "eight.npz"), ("safetensors", "floats.safetensors")):
        glad.export(runs["fred"], kind, tmp_path / name)
    paths = [tmp_path / name for name in ("codes.safetensors", "eight.npz", "floats.safetensors")]
    found = glad.evaluate(paths, data="fashion-mini", limit=200, **EVALUATION)["stored"]
    each = {
        name: (found[set_id(name)]["per_class"], found[set_id(name)]["real_images"][0])
        for name in ("codes", "eight", "floats")
    }
    assert each == {"codes": (3364, 1), "eight": (12 * 785, 12), "floats": (12 * (4 * 784 + 1), 12)}


def test_a_larger_budget_is_shared_out_like_images(tmp_path):
    asked = {"prior": "ddif", "budget": 0.3, "balance": "sqrt", "iterations": 1}
    run = glad.distill(out=tmp_path / "run", **asked, **SMALL)
    assert len(run.read_set()[1]) == 10 * (3 * 784 // 670)
    assert run.config["ipc"] is None and run.config["budget"] == 0.3


def test_one_size_is_asked_for_and_at_least_a_row(tmp_path):
    assert DistillSettings().ipc == 1 and DistillSettings(budget=2).ipc is None
    assert DistillSettings(budget=2).folder.name == "fashion-mini-dm-fashion-mini-budget2-seed0"
    with pytest.raises(ValueError, match=naming("ipc 1 budget 2 both")):
        DistillSettings(budget=2, ipc=1)
    with pytest.raises(ValueError, match=naming("budget above 0 -1")):
        DistillSettings(budget=-1)
    with pytest.raises(ValueError, match=naming("budget 0.5 392 pixels 784 --budget 1")):
        glad.distill(prior="pixels", budget=0.5, out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()
    said = CliRunner().invoke(main, ["distill", "--ipc", "1", "--budget", "1"])
    assert said.exit_code == 1 and "give one of them" in said.output


def test_a_size_counts_what_is_stored():
    latents = {"code": torch.zeros(6, 5), "mask": torch.zeros(6, 3, dtype=torch.bool)}
    shared = {"places": torch.zeros(2, 4, dtype=torch.int32)}
    hard, soft = torch.zeros(12, dtype=torch.int64), torch.zeros(12, 300)
    size = size_of_rows(latents, shared, hard, 300)
    assert (size.latents, size.shared, size.labels, size.per_class) == (138, 32, 12, 182 / 300)
    assert size_of_rows(latents, shared, soft, 300).labels == 4 * 12 * 300
    assert size_of_images(torch.zeros(2, 3, 4, 4), hard[:2], 10, bits=16).latents == 192
