"""Rows are data: ids by their parameters, and labels that nothing reads."""

import io
import json
from string import Formatter

import pytest
from errors import naming
from evaluations import evaluate, untimed
from report_runs import Page
from rich.console import Console

import glad
from glad.cli.results_tables import differences_table, results_table, scores_table
from glad.evaluation import ResultRow, label_of, rows, rows_of
from glad.evaluation.cost import sentences
from glad.evaluation.results_store import read_results
from glad.evaluation.rows import LABELS, Wording
from glad.hub import card_results
from glad.reports.commands import same_evaluation_command
from glad.reports.conclusions import draw_conclusions
from glad.reports.run_data import read

ALL = {
    "seeds": 1,
    "networks": ["convnet", "alexnet"],
    "baselines": ["before", "random", "kmeans", "herding", "full"],
    "teacher": "alexnet",
    "label_mode": "soft",
    "hybrid": [5, 0.5],
    "scores": True,
    "cost": True,
    "reach": 0.01,
}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (ResultRow("set", "codes"), "set:codes"),
        (ResultRow("set", "hard:codes"), "set:hard:codes"),
        (ResultRow("set", "codes", label_mode="hard"), "set/hard:codes"),
        (ResultRow("before", "codes"), "before:codes"),
        (ResultRow("random", ipc=10, augmented=False), "random/plain:10"),
        (ResultRow("herding", ipc=1, features="vit"), "herding:1"),
        (ResultRow("full", images=10), "full"),
        (
            ResultRow("full", images=10, epochs=2_000_000, label_mode="hard", augmented=True),
            "full/hard/augmented:2000000",
        ),
        (ResultRow("hybrid", "a b", percent=0.5), "hybrid:0.5:a b"),
        (ResultRow("share", percent=5.0), "share:5"),
    ],
)
def test_an_id_is_made_of_the_parameters(row, name):
    assert row.id == name
    entry = row.to_dict()
    assert entry["label"] == row.label and ResultRow.from_dict(json.loads(json.dumps(entry))) == row
    with pytest.raises(ValueError, match=naming(f"'{name}'")):
        ResultRow.from_dict({**entry, "kind": "other"})


def test_a_result_without_rows_shows_ids():
    assert label_of({}, "mine") == "mine"
    found = ResultRow("hybrid", "{owner}", percent=5.0)
    assert label_of({"rows": [found.to_dict()]}, found.id) == "{owner} + 5 % of the real images"


def reworded(texts):
    """Other words, with the same parameters in the other order."""
    made = {}
    for place, (key, text) in enumerate(texts.items()):
        fields = [f"{{{name}}}" for _, name, *_ in Formatter().parse(text) if name]
        made[key] = f" Zeile {place}: {' | '.join(fields[::-1])}"
    return made


def shown(codes):
    """All that is shown of results."""
    (run,) = read([codes])
    results = run.results
    console = Console(record=True, width=300, file=io.StringIO())
    for table in (results_table, differences_table, scores_table):
        console.print(table(results.content))
    (stated,) = read_results(codes.path / "results.json")
    page = Page(glad.report(codes, codes.path / "page.html").read_text()).text
    return {
        "command": same_evaluation_command(run, results),
        "conclusions": draw_conclusions(run),
        "tables": console.export_text(),
        "page": page,
        "card": card_results.results(stated, "set:codes"),
        "costs": sentences(stated, "set:codes"),
    }


def test_rewording_every_label_changes_no_number_and_no_command(codes, monkeypatch):
    before = evaluate(codes, **ALL)
    stated = shown(codes)
    words = Wording(*(reworded(vars(LABELS)[part]) for part in ("kinds", "variants", "features")))
    monkeypatch.setattr(rows, "LABELS", words)
    again = evaluate(codes, **ALL, on_cell=lambda *_: pytest.fail("a network was trained"))
    assert {k: v for k, v in again.items() if k != "rows"} == {k: v for k, v in before.items() if k != "rows"}
    assert [{**row, "label": ""} for row in again["rows"]] == [{**row, "label": ""} for row in before["rows"]]
    labels = [row.label for row in rows_of(again).values()]
    assert len(set(labels)) == len(labels) and not {row["label"] for row in before["rows"]} & set(labels)
    other = shown(codes)
    assert other["command"] == stated["command"] and other["conclusions"] == stated["conclusions"]
    assert all("Zeile" in other[part] and "Zeile" not in stated[part] for part in ("tables", "page", "card"))
    for path in codes.path.glob("results*.json"):
        path.unlink()
    heard = []
    anew = evaluate(codes, **ALL, on_cell=lambda cell, left: heard.append((cell["row"], cell["label"])))
    assert set(heard) == {(row.id, row.label) for row in rows_of(anew).values()}
    assert untimed(anew["cells"]) == untimed(before["cells"])
    for part in ("summary", "differences", "scores", "config", "settings"):
        assert anew.get(part) == before.get(part)
