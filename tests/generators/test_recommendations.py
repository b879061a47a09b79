"""What weights recommend is of its form, or the file is refused with the entry and its value."""

import pytest
from click.testing import CliRunner
from fixtures import tiny_generator

from generators import weights
from generators.recommendations import read_recommendations
from generators.weights import WeightsError
from glad.cli import main


def test_recommendations_are_read():
    found = read_recommendations({"learning_rates": '{"dm": {"w": 0.1, "f": 3}}', "frame": "2", "classes": "cat\ndog"})
    assert found.learning_rates == {"dm": {"w": 0.1, "f": 3}} and found.frame == 2 and found.classes == ("cat", "dog")


def test_a_file_that_recommends_nothing_is_fine():
    found = read_recommendations({})
    assert (found.learning_rates, found.frame, found.classes) == ({}, 0, ())


DAMAGED = [
    ("learning_rates", "[1, 2]"),
    ("learning_rates", '{"dm": 3}'),
    ("learning_rates", '{"dm": {"w": "fast"}}'),
    ("learning_rates", '{"dm": {"w": [0.1]}}'),
    ("learning_rates", '{"dm": {"w": true}}'),
    ("learning_rates", '{"dm": {"w": -1}}'),
    ("learning_rates", '{"dm": {"w": NaN}}'),
    ("learning_rates", '{"dm": {"w": Infinity}}'),
    ("learning_rates", "{"),
    ("frame", "two"),
    ("frame", "-1"),
    ("frame", "1.5"),
    ("frame", "9" * 40),
]


@pytest.mark.parametrize(("key", "value"), DAMAGED)
def test_a_damaged_entry_is_refused_by_name_when_the_file_is_read(key, value, tmp_path):
    path = tmp_path / "odd.safetensors"
    weights.save(path, tiny_generator(), **{key: value})
    with pytest.raises(WeightsError, match=key) as error:
        weights.load(path)
    assert str(path) in str(error.value)


def test_the_command_says_it_in_one_line(tmp_path):
    path = tmp_path / "odd.safetensors"
    weights.save(path, tiny_generator(), learning_rates="[1]")
    arguments = ["distill", "--prior", str(path), "--out", str(tmp_path / "run"), "--iterations", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    data, error = result.output.splitlines()  # what was read, and why it cannot go on
    assert data.startswith("Data: ") and "learning_rates [1]" in error
    assert not (tmp_path / "run").exists()
