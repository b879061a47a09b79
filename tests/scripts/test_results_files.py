"""Files of results that several calls change at once keep what each of them found."""

import threading

import compare_real_draws
import pytest
import reproduce_ast
import reproduce_budget
import reproduce_budget_time
import reproduce_cifar10
from click.testing import CliRunner
from results_files import read_results, results_to_change


def test_no_call_loses_what_another_has_added(tmp_path):
    path = tmp_path / "made" / "results.json"
    assert read_results(path) == {}

    def add(name):
        for number in range(20):
            with results_to_change(path) as results:
                results.setdefault(name, []).append(number)

    calls = [threading.Thread(target=add, args=(name,)) for name in "abc"]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert read_results(path) == {name: list(range(20)) for name in "abc"}


@pytest.mark.parametrize(
    "script", [compare_real_draws, reproduce_ast, reproduce_budget, reproduce_budget_time, reproduce_cifar10]
)
def test_a_table_of_no_results_is_refused(script, tmp_path):
    answer = CliRunner().invoke(script.main, ["--out", str(tmp_path / "misspelt.json"), "--table"])
    assert answer.exit_code == 1 and "misspelt.json" in answer.output and "Traceback" not in answer.output
    assert not list(tmp_path.glob("*.json"))
