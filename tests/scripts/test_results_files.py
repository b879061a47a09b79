"""Files of results that several calls change at once keep what each of them found."""

import threading

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
