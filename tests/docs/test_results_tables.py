"""Tables of docs/RESULTS.md are those that the scripts make of the results in docs/results."""

from pathlib import Path

import pytest
import reproduce_ast
import reproduce_budget
import reproduce_cifar10
import reproduce_color
from results_files import read_entry, read_results

DOCS = Path(__file__).parents[2] / "docs"
BESIDE = {"photographs_own": "photographs", "photographs_64_own": "photographs_64"}
"""Results whose differences are taken to rows of others."""
FEWEST = {"ast_10": 2, "photographs_own": 1}
"""Rows of the tables of fewer than three."""
MADE = [
    (reproduce_budget, "equal_bytes"),
    (reproduce_budget, "equal_bytes_10"),
    (reproduce_ast, "ast"),
    (reproduce_ast, "ast_10"),
    (reproduce_cifar10, "cifar10"),
    (reproduce_color, "photographs"),
    (reproduce_color, "photographs_10"),
    (reproduce_color, "photographs_64"),
    (reproduce_color, "photographs_64_own"),
    (reproduce_color, "photographs_dc"),
    (reproduce_color, "photographs_own"),
    (reproduce_color, "cifar10_codes"),
    (reproduce_color, "cifar10_codes_10"),
]


OTHERS = {"equal_bytes_time": "reproduce_budget_time", "real_draws_dc": "compare_real_draws"}
OTHERS |= {"real_draws_dm": "compare_real_draws"}
"""Results without a table that is held against a page, and their scripts."""
NONE = {"scale"}
"""Measurements that no such script shows."""


def test_each_file_of_results_says_of_which_script_it_is_and_no_two_say_the_same():
    entries = {path.stem: read_entry(path) for path in (DOCS / "results").glob("*.json") if path.stem not in NONE}
    expected = {name: script.__name__ for script, name in MADE} | OTHERS
    assert {name: entry["script"] for name, entry in entries.items()} == expected
    assert len({str(sorted(entry.items())) for entry in entries.values()}) == len(entries)


@pytest.mark.parametrize(("script", "name"), MADE, ids=[name for _, name in MADE])
def test_a_table_of_the_page_is_that_of_the_results(script, name):
    page = (DOCS / "RESULTS.md").read_text().splitlines()
    results = read_results(DOCS / "results" / f"{name}.json")
    lines = ["| " + " | ".join(line) + " |" for line in script.cells(results)]
    assert len(lines) >= FEWEST.get(name, 3)
    if hasattr(script, "differences"):
        beside = [read_results(DOCS / "results" / f"{BESIDE[name]}.json")] if name in BESIDE else []
        lines += ["| " + " | ".join(line) + " |" for line in script.differences(results, *beside)]
    assert [line for line in lines if line not in page] == []
