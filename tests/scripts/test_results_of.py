"""A file of results says what it is of, no table is shown as another, and a table shows what was asked for."""

import json
import statistics
from pathlib import Path

import click
import compare_real_draws
import pytest
import reproduce_ast
import reproduce_budget
import reproduce_budget_time
import reproduce_cifar10
import reproduce_color
from click.testing import CliRunner
from errors import mentions, naming
from results_files import OF, read_entry, read_results, results_to_change

import glad

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PHOTOGRAPHS = (reproduce_color, ["photographs"])


def call(script, *arguments):
    answer = CliRunner().invoke(script.main, [str(argument) for argument in arguments])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), repr(answer.exception)
    return answer


def refuse(values, script, *arguments):
    """The command ends with one line that names ``values``."""
    answer = call(script, *arguments)
    assert answer.exit_code == 1, answer.output
    (line,) = answer.output.splitlines()
    assert line.startswith("Error: ") and mentions(line, str(values)), line


def rows(script, *arguments):
    """The cells of the lines of the table that the command prints."""
    answer = call(script, *arguments, "--table")
    assert answer.exit_code == 0, answer.output
    lines = [line for line in answer.output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_a_file_keeps_what_it_is_of_and_is_read_as_nothing_else(tmp_path):
    path, of = tmp_path / "results.json", {"script": "one", "ipc": 1}
    with results_to_change(path, of) as results:
        results["row"] = {}
    assert json.loads(path.read_text()) == {OF: of, "row": {}}
    with results_to_change(path) as results:
        results["other"] = {}
    assert read_entry(path) == of and read_results(path, {"ipc": 1}) == {"row": {}, "other": {}}
    with pytest.raises(click.ClickException, match=naming("ipc 1 10")):
        read_results(path, {"script": "one", "ipc": 10})
    with pytest.raises(click.ClickException, match=naming("ipc 1 10")), results_to_change(path, {"ipc": 10}):
        pass
    assert read_entry(path) == of


def test_a_file_that_does_not_say_what_it_is_of_says_it_when_it_grows(tmp_path):
    path, of = tmp_path / "results.json", {"script": "one"}
    path.write_text('{"row": {"0": 1}}')
    assert read_results(path, of) == {"row": {"0": 1}}
    with results_to_change(path, of) as results:
        results["row"]["1"] = 2
    assert json.loads(path.read_text()) == {OF: of, "row": {"0": 1, "1": 2}}


@pytest.mark.parametrize("content", ["[]", "[1, 2]", '"text"', '{"of": [1]}', '{"MTT', ""])
def test_what_is_no_file_of_results_is_refused_in_a_line(content, tmp_path):
    path = tmp_path / "damaged.json"
    path.write_text(content)
    for script, images in ((reproduce_ast, []), (reproduce_budget_time, []), (compare_real_draws, []), PHOTOGRAPHS):
        refuse(path, script, *images, "--out", path, "--table")
    known = RESULTS / "photographs.json"
    refuse(path, *(reproduce_color, "photographs"), "--out", known, "--table", "--beside", path)
    folder = call(reproduce_color, "photographs", "--out", known, "--table", "--beside", tmp_path)
    assert folder.exit_code == 2 and mentions(folder.output, "--beside")


@pytest.mark.parametrize(
    ("script", "images"),
    [
        (reproduce_ast, []),
        (reproduce_budget, []),
        (reproduce_budget_time, []),
        (reproduce_cifar10, []),
        (compare_real_draws, []),
        PHOTOGRAPHS,
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_files_of_older_versions_of_another_form_are_refused(script, images, tmp_path):
    found = {"accuracy": {"convnet": [1.0]}, "bytes": 1, "weights": 0, "loss": 1.0}
    known = [row for row in getattr(script, "ROWS", {}) if row != "MTT"][:1]
    contents = [{"another row": {"0": found}}, *({row: 3} for row in known), {"accuracy": {}, "costs": {}}]
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(content))
        refuse(path, script, *images, "--out", path, "--table")


@pytest.mark.parametrize(
    ("values", "script", "name", "asked"),
    [
        (
            "script reproduce_budget reproduce_color scripts/reproduce_budget.py",
            reproduce_color,
            "equal_bytes",
            ["photographs"],
        ),
        ("script reproduce_color reproduce_ast", reproduce_ast, "photographs", []),
        ("script reproduce_ast reproduce_cifar10", reproduce_cifar10, "ast", []),
        ("script reproduce_budget reproduce_budget_time", reproduce_budget_time, "equal_bytes", []),
        ("script compare_real_draws reproduce_budget", reproduce_budget, "real_draws_dm", []),
        ("images photographs cifar10", reproduce_color, "photographs", ["cifar10"]),
        ("ipc 1 10", reproduce_color, "photographs", ["photographs", "--ipc", "10"]),
        ("split test validation", reproduce_color, "photographs", ["photographs", "--split", "validation"]),
        ("times chosen 3.0", reproduce_color, "photographs", ["photographs", "--times", "3"]),
        ("prior clothing-mini mine", reproduce_color, "photographs", ["photographs", "--prior", "mine"]),
        ("data cifar10-jpeg mine", reproduce_color, "cifar10_codes", ["cifar10", "--data", "mine"]),
        ("ipc 1 10", reproduce_ast, "ast", ["--ipc", "10"]),
        ("ipc 10 1", reproduce_ast, "ast_10", ["--ipc", "1"]),
        ("budget 1 10", reproduce_budget, "equal_bytes", ["--budget", "10"]),
        ("split test validation", reproduce_budget, "equal_bytes", ["--split", "validation"]),
        ("data cifar10-jpeg cifar10", reproduce_cifar10, "cifar10", ["--data", "cifar10"]),
        ("objective dc dm", compare_real_draws, "real_draws_dc", ["--objective", "dm"]),
    ],
)
def test_no_table_is_shown_as_another(values, script, name, asked):
    path = RESULTS / f"{name}.json"
    refuse(f"{path} {values}", script, *asked, "--out", path, "--table")


def test_finished_rows_are_those_of_the_generator_and_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(glad, "distill", lambda *_, **__: pytest.fail("distilled"))
    of = read_entry(RESULTS / "photographs.json")
    path = tmp_path / "photographs-test.json"
    path.write_text(json.dumps({OF: of, **read_results(RESULTS / "photographs.json")}))
    row = ["photographs", "--out", tmp_path, "--row", "MTT, codes W+"]
    assert call(reproduce_color, *row).exit_code == 0
    refuse(f"{path} prior clothing-mini mine.safetensors", reproduce_color, *row, "--prior", "mine.safetensors")
    refuse(f"{path} data clothing-mini my/images", reproduce_color, *row, "--data", "my/images")


def test_nothing_is_drawn_for_a_table_that_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce_color.Bench, "picture", lambda *_: pytest.fail("drawn"))
    path = RESULTS / "equal_bytes.json"
    refuse(path, reproduce_color, "photographs", "--out", path, "--table", "--picture", tmp_path / "sets.png")


def test_rows_beside_are_of_the_same_images(tmp_path):
    own = ["photographs", "--out", RESULTS / "photographs_own.json", "--table", "--beside"]
    assert call(reproduce_color, *own, RESULTS / "photographs.json").exit_code == 0
    for name in ("cifar10_codes", "equal_bytes"):
        refuse(RESULTS / f"{name}.json", reproduce_color, *own, RESULTS / f"{name}.json")


@pytest.mark.parametrize(
    ("script", "name", "asked", "shown"),
    [
        (reproduce_ast, "ast", ["--row", "AST"], ["AST"]),
        (reproduce_budget, "equal_bytes", ["--row", "MTT, FreD"], ["MTT, FreD"]),
        (reproduce_budget, "equal_bytes", ["--row", "DM, codes W"], ["DM, codes W", "codes W before optimization"]),
        (reproduce_cifar10, "cifar10", ["--row", "MTT"], ["MTT"] * 2),  # at 1 and at 10 images per class
        (reproduce_budget_time, "equal_bytes_time", ["--row", "MTT, FreD"], ["MTT, FreD"] * 4),
        (compare_real_draws, "real_draws_dm", ["--way", "32"], ["32"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_table_has_the_rows_that_were_asked_for(script, name, asked, shown):
    everything = rows(script, "--out", RESULTS / f"{name}.json")
    found = rows(script, "--out", RESULTS / f"{name}.json", *asked)
    assert [line[0] for line in found] == shown and [line for line in everything if line[0] in shown] == found


@pytest.mark.parametrize(
    ("script", "name", "images"),
    [
        (reproduce_ast, "ast", []),
        (reproduce_budget, "equal_bytes", []),
        (reproduce_budget_time, "equal_bytes_time", []),
        (reproduce_cifar10, "cifar10", []),
        (reproduce_color, "photographs", ["photographs"]),
        (compare_real_draws, "real_draws_dm", []),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_on_a_narrow_terminal_nothing_is_broken_and_no_cell_is_empty(script, name, images):
    narrow = CliRunner(env={"COLUMNS": "60", "FORCE_COLOR": "1"})
    arguments = [*images, "--out", str(RESULTS / f"{name}.json"), "--table"]
    lines = narrow.invoke(script.main, arguments).output.splitlines()
    assert "│" not in "".join(lines) and max(map(len, lines)) <= 60
    cells = [line for line in lines if line.startswith("  ")]
    assert len(cells) > 10 and all(line.partition(": ")[2] for line in cells)


def test_differences_are_those_of_the_rows_that_were_asked_for():
    path = RESULTS / "photographs.json"
    found = rows(reproduce_color, "photographs", "--out", path, "--row", "MTT, codes W+")
    names = [line[0] for line in found if "less" in line[0]]
    assert names == [f"MTT, codes W+ less pixels from {start}" for start in ("noise", "real images")]


def test_a_table_has_the_sets_and_networks_that_were_asked_for():
    path, row = RESULTS / "photographs.json", "MTT, codes W+"
    (whole, *_) = rows(reproduce_color, "photographs", "--out", path, "--row", row)
    (part, *_) = rows(reproduce_color, "photographs", "--out", path, "--row", row, "--seed", "1", "--network", "vgg11")
    assert whole[3] == "3" and part[3] == "1" and part[4:6] == ["", ""] and part[6] and part[6] != whole[6]
    refuse(path, reproduce_color, "photographs", "--out", path, "--seed", "77", "--table")
    cifar = ["--out", RESULTS / "cifar10.json"]
    assert {len(line) for line in rows(reproduce_cifar10, *cifar, "--network", "convnet", "--ipc", "1")} == {10}
    (seen,) = rows(reproduce_cifar10, *cifar, "--row", "MTT", "--network", "convnet", "--ipc", "1")
    (whole,) = rows(reproduce_cifar10, *cifar, "--row", "MTT", "--ipc", "1")
    found = read_results(RESULTS / "cifar10.json")["1"]["MTT"]["0"]
    cross = [statistics.mean(one) for one in zip(found["alexnet"], found["vgg11"], found["resnet18"], strict=True)]
    assert whole[3] == seen[3] and seen[4:8] == [""] * 4
    assert whole[7] == f"{statistics.mean(cross):.1f} ± {statistics.stdev(cross):.1f}"
    refuse(RESULTS / "cifar10.json", reproduce_cifar10, *cifar, "--seed", "77", "--table")
