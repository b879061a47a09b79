"""Which class of a generator stands for which class of the data: asked for, by name, by number, or asked back."""

from dataclasses import asdict

import pytest
from errors import naming

from generators import imagenet
from generators.classes import CIFAR10, GeneratorClass, map_classes, published_names

PETS = ("cat", "dog", "guinea pig")
GUESS = {"*": "guess"}


def mapped(names, *arguments, ids=None, **options):
    """The numbers of a map that has nothing to say."""
    result = map_classes(names, ids or list(range(len(names))), *arguments, **options)
    assert not result.guessed and not result.notice
    return result.ids


def asks(names, count, *arguments, **options):
    """The question, in one line, about classes that nothing decides on."""
    with pytest.raises(ValueError, match=r"--class-map guess") as caught:
        map_classes(names, list(range(len(names))), count, *arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- names ---


def test_names_are_matched_whatever_their_order_case_and_signs():
    assert mapped(["Guinea-Pig", "CAT"], 3, PETS) == [2, 0]
    assert mapped(["T-shirt_top", "Ankle_boot"], 2, ("Ankle boot", "T-shirt/top")) == [1, 0]


def test_names_that_differ_in_case_alone_are_two_names():
    names = imagenet.names()
    assert names[264] == "Cardigan" and names[474] == "cardigan"
    assert mapped(["Cardigan", "cardigan"], 1000, names) == [264, 474]
    assert mapped(["cardigan"], 1000, names) == [474]
    assert "stand for CARDIGAN of the data" in asks(["CARDIGAN"], 1000, names)


def test_two_classes_do_not_share_one_by_a_likeness():
    assert mapped(["cat", "dog"], 3, PETS) == [0, 1]
    question = asks(["Cat", "CAT", "dog"], 3, PETS)
    assert "stand for Cat, CAT of the data" in question and "classes are cat, dog, guinea pig" in question
    assert "stand for Cat of the data" in asks(["cat", "Cat"], 3, PETS)


def test_wordnet_numbers_are_those_of_imagenet():
    wnids = ["n02086240", "n02113186", "n02963159"]
    assert mapped(wnids, 1000, imagenet.names()) == [155, 264, 474]
    assert mapped(wnids, 1000) == [155, 264, 474]
    assert mapped(["Shih-Tzu"], 3, ("n02113186", "n02086240", "n02963159")) == [1]
    assert mapped(["n02086240"], 2, ("n02086240", "x")) == [0]


def test_the_table_of_imagenet():
    wnids = list(imagenet.wnids())
    assert len(wnids) == len(set(imagenet.names())) == 1000 and wnids == sorted(wnids)
    assert [imagenet.wnids()[w] for w in ("n01440764", "n02096294", "n15075141")] == [0, 193, 999]
    assert [imagenet.names()[i] for i in (0, 193, 701, 999)] == [
        "tench",
        "Australian terrier",
        "parachute",
        "toilet tissue",
    ]


def test_published_generators_have_the_names_of_their_data():
    assert published_names("imagenet128", 1000) == imagenet.names()
    assert published_names("cifar10", 10) == CIFAR10
    assert published_names("imagenet128", 10) == published_names("ffhq256", 0) == ()


# --- numbers ---


def test_numbers_count_where_there_are_no_names_and_as_many_classes():
    found = map_classes(["tench", "parachute"], [0, 701], 1000, numbering=1000)
    assert found.ids == [0, 701] and not found.guessed
    assert found.notice == "classes are taken by the number that they have in the data: tench = 0, parachute = 701"
    numbers = [str(i) for i in range(12)]
    assert map_classes(numbers, list(range(12)), 12, numbering=12).ids == list(range(12))
    assert map_classes(["0", "1"], [0, 1], 1000, imagenet.names(), numbering=1000).ids == [0, 1]


@pytest.mark.parametrize(
    ("names", "count", "generator_names", "numbering", "said"),
    [
        (
            ("n02086240", "cat", "dog"),
            1000,
            (),
            0,
            "classes have no names: none is known to stand for cat, dog of the data",
        ),
        (
            ("n02086240", "cat", "dog"),
            1000,
            imagenet.names(),
            0,
            "hammerhead, ... (1000 in all): none is known to stand for cat, dog of",
        ),
        (("airplane", "frog"), 1000, (), 10, "stand for airplane, frog of the data"),
        (("0", "1"), 1000, (), 2, "--class-map '0=CLASS'"),
        (("0", "1"), 3, PETS, 3, "stand for 0, 1 of the data"),
        (("T-shirt/top",), 10, tuple("0123456789"), 10, "classes are 0, 1, 2, 3, 4, ... (10 in all)"),
        (("wolf",), 3, (), 0, "stand for wolf of the data"),
    ],
)
def test_what_nothing_decides_is_asked(names, count, generator_names, numbering, said):
    question = asks(names, count, generator_names, numbering=numbering)
    assert said in question


def test_a_guess_takes_the_number_and_is_said():
    found = map_classes(["cat", "a", "b"], [0, 1, 5], 3, PETS, GUESS)
    assert found.ids == [0, 1, 2]
    assert found.guessed == found.notice
    assert found.guessed == "classes are taken by number, which is a guess: a = 1 (dog), b = 2 (guinea pig)"
    shown = {"cat": "0 (cat)", "a": "1 (dog)", "b": "2 (guinea pig)"}
    assert {name: known.in_words() for name, known in found.classes.items()} == shown
    for known in (*found.classes.values(), GeneratorClass(7), GeneratorClass(7, "a (b) c")):  # as runs have recorded it
        assert GeneratorClass.read(asdict(known)) == GeneratorClass.read(known.in_words()) == known
    many = map_classes([str(i) for i in range(8)], range(8), 9, wanted=GUESS)
    assert many.ids == list(range(8)) and many.guessed.endswith("4 = 4 and 3 more")


# --- asked for ---


def test_what_is_asked_for_comes_first():
    assert mapped(["cat", "wolf"], 3, PETS, {"wolf": "dog", "cat": 2}) == [2, 1]
    assert mapped(["x", "y"], 1000, (), {"1": 999, "x": "0"}) == [0, 999]
    assert map_classes(["cat", "wolf"], [0, 1], 3, PETS, {"cat": "dog", **GUESS}).ids == [1, 1]


def test_an_unconditional_generator_is_never_asked():
    assert mapped(["a", "b"], 0, (), GUESS, ids=[7, 8]) == [0, 0]
    found = map_classes(["a", "b"], [7, 8], 0, (), {"a": 3})
    assert found.ids == [0, 0] and found.notice == "it has no classes, so the class map is not used"


def test_a_guess_that_gives_two_classes_one_says_so():
    names = [str(i) for i in range(12)]
    found = map_classes(names, range(12), 10, wanted=GUESS)
    assert found.ids == [*range(10), 0, 1] and found.notice == found.guessed
    assert found.guessed.endswith("4 = 4 and 7 more; 2 of the data's 12 classes share one with another")
    assert "share" not in map_classes(names, range(12), 12, wanted=GUESS).guessed


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"wolf": "dog"}, "'wolf' cat 1"),
        ({"cat": "wolf"}, "'wolf' cat dog guinea pig"),
        ({"cat": 3}, "3 generator"),
        ({"cat": -1}, "-1 generator"),
        ({"cat": "²"}, "'²' cat dog guinea pig"),
        ({"2": "dog"}, "'2' data"),
        ({"*": "dog"}, "'dog' guess"),
    ],
)
def test_a_class_that_does_not_exist_is_refused(wanted, message):
    with pytest.raises(ValueError, match=naming(message)):
        map_classes(["cat", "1"], [0, 1], 3, PETS, wanted)
