"""The commands that make tables: what is wrong is one line before any work, and tables fit the terminal."""

import compare_real_draws
import pytest
import reproduce_ast
import reproduce_budget
import reproduce_budget_time
import reproduce_cifar10
import reproduce_color
import reproduce_objectives
import reproduce_results
from click.testing import CliRunner
from errors import mentions
from results_command import name_of, show
from rich.table import Table

import glad

COLOR = (reproduce_color, ["photographs"])
SCRIPTS = [
    (reproduce_ast, []),
    (reproduce_budget, []),
    (reproduce_budget_time, []),
    (reproduce_cifar10, []),
    (reproduce_objectives, ["--row", "DM pixels"]),
    (reproduce_results, []),
    COLOR,
]


def refuse(script, arguments, values):
    """The command ends with one line that names ``values``."""
    answer = CliRunner().invoke(script.main, [str(argument) for argument in arguments])
    assert answer.exit_code == 1 and isinstance(answer.exception, SystemExit), answer.output
    (line,) = answer.output.splitlines()
    assert line.startswith("Error: ") and mentions(line, str(values)), line


@pytest.fixture
def idle(monkeypatch):
    """Nothing is distilled and no experts are trained."""
    for name in ("distill", "train_experts", "evaluate"):
        monkeypatch.setattr(glad, name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))


@pytest.mark.parametrize(("script", "arguments"), SCRIPTS, ids=[script.__name__ for script, _ in SCRIPTS])
def test_runs_are_not_made_into_a_file(script, arguments, tmp_path, idle):
    new, known, text = tmp_path / "new.json", tmp_path / "known.json", tmp_path / "notes.txt"
    known.write_text("{}")
    text.write_text("mine")
    for out in (new, known, text):
        refuse(script, [*arguments, "--out", out], out.name)
    assert sorted(tmp_path.iterdir()) == [known, text] and known.read_text() == "{}"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (reproduce_ast, ["--row", "MTT"]),
        (reproduce_budget, ["--row", "DM, pixels"]),
        (reproduce_budget_time, ["--row", "DM, pixels"]),
        (reproduce_cifar10, ["--row", "DM"]),
        (reproduce_objectives, ["--row", "MTT pixels"]),
        (reproduce_results, []),
        (reproduce_color, ["cifar10", "--row", "DM, pixels from noise"]),
        (compare_real_draws, ["--time"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_data_that_are_not_there_are_named_in_a_line(script, arguments, tmp_path):
    refuse(script, [*arguments, "--root", tmp_path / "nope", "--out", tmp_path / "runs"], "nope")


def test_an_empty_class_and_weights_that_are_not_there_are_named_in_a_line(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
    row = ["--row", "DM, codes W+", "--out", tmp_path / "runs"]
    refuse(reproduce_color, ["photographs", *row, "--data", tmp_path / "data"], "data")
    refuse(reproduce_color, ["photographs", *row, "--prior", tmp_path / "nope" / "g.safetensors"], "g.safetensors")


@pytest.mark.parametrize("times", ["nan", "inf", "0", "-3"])
def test_times_that_are_no_factor_are_refused(times, tmp_path, idle):
    answer = CliRunner().invoke(reproduce_color.main, ["photographs", "--out", str(tmp_path), "--times", times])
    assert answer.exit_code == 2 and mentions(answer.output, "--times") and times in answer.output


@pytest.mark.parametrize("script", [reproduce_color, reproduce_budget_time])
@pytest.mark.parametrize("name", ["nodir/x.png", "x.foo"])
def test_a_picture_that_cannot_be_written_is_refused_before_any_work(script, name, tmp_path, idle):
    images = ["photographs"] if script is reproduce_color else []
    arguments = [*images, "--out", str(tmp_path), "--picture", str(tmp_path / name)]
    answer = CliRunner().invoke(script.main, arguments)
    assert answer.exit_code == 2 and mentions(answer.output, "--picture") and name.split("/")[0] in answer.output


def test_without_runs_there_is_nothing_to_draw(tmp_path):
    refuse(reproduce_color, ["photographs", "--out", tmp_path, "--table", "--picture", tmp_path / "p.png"], tmp_path)
    assert not (tmp_path / "p.png").exists()


def test_objectives_ask_for_rows_and_print_all_that_is_finished(tmp_path, idle):
    for arguments in ([], ["--row", "DM pixels", "--table"]):
        answer = CliRunner().invoke(reproduce_objectives.main, ["--out", str(tmp_path), *arguments])
        assert answer.exit_code == 2 and mentions(answer.output, "--row")


def table():
    made = Table("set", "convnet", "a column with a long name", title="Of two sets")
    made.add_row("a set with a long name", "1.0", "")
    made.add_row("another one", "", "2.0 ± 1.0")
    return made


def printed(capsys, monkeypatch, columns, terminal):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    monkeypatch.setenv("NO_COLOR", "1")
    show(table(), 120)
    return capsys.readouterr().out


def test_on_a_terminal_that_is_too_narrow_a_row_is_a_block(capsys, monkeypatch):
    assert printed(capsys, monkeypatch, 40, True).splitlines() == [
        "Of two sets",
        "",
        "a set with a long name",
        "  convnet: 1.0",
        "",
        "another one",
        "  a column with a long name: 2.0 ± 1.0",
    ]


@pytest.mark.parametrize(("columns", "terminal"), [(40, False), (80, True), (200, True)])
def test_elsewhere_a_row_is_a_line(columns, terminal, capsys, monkeypatch):
    lines = printed(capsys, monkeypatch, columns, terminal).splitlines()
    (line,) = [line for line in lines if "another one" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == ["another one", "", "2.0 ± 1.0"]


def test_files_are_named_by_what_is_in_them_and_folders_by_their_name(tmp_path):
    (tmp_path / "g.safetensors").write_bytes(b"one")
    first = name_of(str(tmp_path / "g.safetensors"))
    (tmp_path / "g.safetensors").write_bytes(b"two")
    assert first.startswith("g.safetensors ") and name_of(str(tmp_path / "g.safetensors")) != first
    assert name_of(f"{tmp_path}/") == tmp_path.name
    assert name_of("clothing-mini") == "clothing-mini"
