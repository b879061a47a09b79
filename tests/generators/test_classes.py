"""Which class of a generator stands for which class of the data: asked for, by name, by number."""

import pytest

from generators.classes import class_ids

PETS = ("cat", "dog", "guinea pig")


def test_names_are_matched_whatever_their_order_case_and_dashes():
    assert class_ids(["Guinea-Pig", "CAT"], [0, 1], 3, PETS) == ([2, 0], "")


def test_without_names_the_numbers_of_the_source_are_taken():
    assert class_ids(["tench", "parachute"], [0, 701], 1000) == ([0, 701], "")


def test_numbers_beyond_the_generator_are_taken_modulo_and_said():
    found, note = class_ids(["a", "b"], [1, 5], 3)
    assert found == [1, 2]
    assert "b = 2" in note and "a =" not in note and "--class-map" in note


def test_other_names_are_taken_by_number_and_said():
    found, note = class_ids(["cat", "0", "1"], [0, 1, 2], 3, PETS)
    assert found == [0, 1, 2]
    assert "0 = 1 (dog), 1 = 2 (guinea pig)" in note


def test_what_is_asked_for_comes_first():
    assert class_ids(["cat", "wolf"], [0, 1], 3, PETS, {"wolf": "dog", "cat": 2}) == ([2, 1], "")
    assert class_ids(["x", "y"], [0, 1], 1000, (), {"1": 999}) == ([0, 999], "")


def test_an_unconditional_generator_is_never_asked():
    assert class_ids(["a", "b"], [7, 8], 0, (), {"a": 3}) == ([0, 0], "")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"wolf": "dog"}, "'wolf' is no class of the data; they are cat, 1"),
        ({"cat": "wolf"}, "'wolf' is no class of the generator; they are cat, dog, guinea pig"),
        ({"cat": 3}, "3 is no class of the generator"),
        ({"cat": -1}, "-1 is no class of the generator"),
        ({"2": "dog"}, "'2' is no class of the data"),
    ],
)
def test_a_class_that_does_not_exist_is_refused(wanted, message):
    with pytest.raises(ValueError, match=message):
        class_ids(["cat", "1"], [0, 1], 3, PETS, wanted)
