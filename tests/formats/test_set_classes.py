"""Which class of the data a class of a set stands for: by name, by number from 0 or 1, by WordNet number, or asked."""

import pytest
import torch
from errors import naming

from generators import imagenet
from glad.data.dataset import ImageData
from glad.data.notices import DataError
from glad.formats.set_classes import match_classes

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def data_of(classes, ids=None, numbering=0):
    return ImageData(
        name="theirs",
        images=torch.empty(0, 1, 8, 8, dtype=torch.uint8),
        labels=torch.empty(0, dtype=torch.int64),
        classes=tuple(classes),
        class_ids=tuple(range(len(classes)) if ids is None else ids),
        mean=(0.0,),
        std=(1.0,),
        resolution=8,
        channels=1,
        numbering=numbering,
    )


def match(classes, data=FASHION, used=None, **options):
    data = data if isinstance(data, ImageData) else data_of(data)
    labels, notices = match_classes("set", classes, data, used=range(len(classes)) if used is None else used, **options)
    return labels.tolist(), notices


def numbers(first, count):
    return [str(first + i) for i in range(count)]


def test_names_decide_whatever_their_order_signs_and_case():
    assert match(FASHION[::-1]) == (list(range(10))[::-1], [])
    assert match(["t-shirt_top", *FASHION[1:]]) == (list(range(10)), [])


def test_numbers_are_labels_from_0():
    assert match(["0", "1", "10", "11", *numbers(2, 8)], [f"c{i}" for i in range(12)])[0] == [
        0,
        1,
        10,
        11,
        *range(2, 10),
    ]
    assert match(numbers(0, 10), named=False) == (list(range(10)), [])


@pytest.mark.parametrize("named", [True, False])
def test_numbers_from_1_to_as_many_as_there_are_classes_begin_with_the_first(named):
    labels, (note,) = match(numbers(1, 10), named=named)
    assert labels == list(range(10)) and "its classes count from 1: 1 = T-shirt/top, 2 = Trouser" in note


def test_numbers_that_could_count_from_0_or_1_are_asked_about():
    with pytest.raises(DataError, match=naming("set 1, 2 theirs T-shirt/top --class-map guess")):
        match(numbers(1, 9))
    labels, notices = match(numbers(1, 9), class_map={"*": "guess"})
    assert labels == list(range(1, 10)) and "in their order, which is a guess: 1 = Trouser" in notices[0]
    assert notices[1] == "set: no images of T-shirt/top"


def test_classes_of_the_data_that_are_numbers_are_their_names():
    assert match(["02", "00", "01"], ["0", "1", "2"])[0] == [2, 0, 1]
    assert match(numbers(1, 3), numbers(1, 3))[0] == [0, 1, 2]
    assert match(numbers(0, 3), numbers(1, 3), named=False)[0] == [0, 1, 2]
    for named in (True, False):  # in SVHN's own files 10 is the digit 0
        with pytest.raises(DataError, match=r"it is not known what .* stands for"):
            match(numbers(1, 10), numbers(0, 10), named=named)


def test_wordnet_numbers_whose_order_is_not_that_of_the_data():
    ids = [193, 182, 258, 162, 155, 167, 159, 273, 207, 229]  # ImageWoof
    wnids = sorted(wnid for wnid, number in imagenet.wnids().items() if number in ids)
    woof = data_of([imagenet.names()[i] for i in ids], ids, numbering=1000)
    assert match(wnids, woof)[0] == [ids.index(imagenet.wnids()[wnid]) for wnid in wnids]
    own_words = data_of([f"dog {i}" for i in ids], ids, numbering=1000)
    assert match(wnids, own_words)[0] == match(wnids, woof)[0]
    assert match(wnids, data_of(wnids))[0] == list(range(10))
    assert match([imagenet.names()[i] for i in ids], data_of(wnids))[0] == [wnids.index(_wnid(i)) for i in ids]


def _wnid(number):
    return list(imagenet.wnids())[number]


def test_a_name_spelled_otherwise_is_asked_about_with_both_lists_and_the_nearest():
    spelled = ["T-shirt", *FASHION[1:]]
    with pytest.raises(DataError) as error:
        match(spelled)
    line = str(error.value)
    assert f"set has the classes {', '.join(spelled)}; theirs has {', '.join(FASHION)}:" in line
    assert "what T-shirt stands for (T-shirt is near T-shirt/top)" in line
    assert "--class-map 'T-shirt=T-shirt/top'" in line
    assert match(spelled, class_map={"T-shirt": "T-shirt/top"}) == (list(range(10)), [])
    assert match(spelled, class_map={"T-shirt": 0}) == (list(range(10)), [])


def test_a_guess_leaves_names_as_they_are():
    labels, notices = match(["Ankle_boot", "T-shirt", "Trouser"], class_map={"*": "guess"})
    assert labels == [9, 0, 1]
    assert notices[0].endswith("in their order, which is a guess: T-shirt = T-shirt/top")
    assert match(["x", "Bag", "y"], ["Bag", "a", "b"], class_map={"y": "a", "*": "guess"})[0] == [2, 0, 1]
    with pytest.raises(DataError, match=naming("set 2 theirs 1 order")):
        match(["Bag", "x", "y"], ["Bag", "a"], class_map={"*": "guess"})


def test_a_class_map_that_names_no_class_is_refused():
    with pytest.raises(DataError, match=naming("'T-shirts' set")):
        match(FASHION, class_map={"T-shirts": "Trouser"})
    with pytest.raises(DataError, match=naming("'Trousers' data")):
        match(FASHION, class_map={"T-shirt/top": "Trousers"})


def test_classes_without_images_need_no_label_and_absent_ones_are_said():
    assert match(["Bag", "unknown", "Coat"], used=[0, 2]) == ([8, -1, 4], ["set: no images of T-shirt/top, Trouser, "
        "Pullover, Dress, Sandal and 3 more"])  # fmt: skip


def test_numbers_of_an_exported_set_are_no_labels():
    with pytest.raises(DataError, match=naming("0, 1, 2")):
        match(numbers(0, 10), numbers=False)
