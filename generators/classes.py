"""Which class of a conditional generator stands for which class of the data. It is never guessed unless asked to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generators import imagenet

GUESS = "guess"
REST = "*"
"""``{"*": "guess"}`` in a class map: classes that nothing else decides take the number that they have in the data."""
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class GeneratorClass:
    """A class of a generator: its number, and its name where that is known."""

    number: int
    name: str | None = None

    @classmethod
    def read(cls, stored: Any) -> "GeneratorClass":
        """What a run recorded: the fields, or in earlier versions what ``in_words`` gives."""
        if not isinstance(stored, str):
            return cls(**stored)
        number, _, name = stored.partition(" (")
        return cls(int(number), name.removesuffix(")") or None)

    def in_words(self) -> str:
        """The number, and the name behind it."""
        return str(self.number) if self.name is None else f"{self.number} ({self.name})"


@dataclass(frozen=True)
class ClassMap:
    """The generator's class for each class of the data.

    Attributes:
        ids: The generator's numbers, in the order of the data's classes.
        classes: The generator's class for each class of the data by name.
        guessed: A sentence about the classes whose number is a guess; empty where none is.
        notice: A sentence about the classes that were taken by number; empty where all were by name or asked for.
    """

    ids: list[int]
    classes: dict[str, GeneratorClass]
    guessed: str = ""
    notice: str = ""


def published_names(generator: str, count: int) -> tuple[str, ...]:
    """The class names of a published generator whose file does not have them; empty where they are not known."""
    for start, names in (("imagenet", imagenet.names()), ("cifar10", CIFAR10)):
        if generator.startswith(start) and len(names) == count:
            return names
    return ()


class ClassNotice(UserWarning):
    """What is said of the classes that a generator is asked for."""


def read_class_map(given: Mapping[str, str | int] | str | None) -> dict[str, str | int]:
    """A class map as a dict; ``guess`` alone stands for ``{"*": "guess"}``."""
    if isinstance(given, str):
        return {REST: given}
    return dict(given or {})


def map_classes(
    names: Sequence[str],
    ids: Sequence[int],
    count: int,
    generator_names: Sequence[str] = (),
    wanted: Mapping[str, str | int] | None = None,
    numbering: int = 0,
) -> ClassMap:
    """Find the generator's class for each of the data's.

    What ``wanted`` says comes first. Then names decide: the very name, a WordNet number of ImageNet and its name, or a
    name that differs in case, spaces and signs alone where no other does. Then numbers, where the generator's classes
    have no names, or are ImageNet's, and the data's numbering has as many.

    Args:
        names: The data's classes.
        ids: Their numbers in the data's source.
        count: How many classes the generator has; 0 where it is unconditional.
        generator_names: What they are called, if that is known.
        wanted: Data class to generator class, each a name or a number; ``"*": "guess"`` lets what is left be taken by
            number, modulo ``count``.
        numbering: How many classes the source of the data numbers; 0 where ``ids`` are mere positions.

    Returns:
        The numbers, and what there is to say of them.

    Raises:
        ValueError: A class that ``wanted`` names does not exist, or nothing decides on a class.
    """
    if not count:
        return ClassMap([0] * len(names), {}, notice=say_unused(wanted))
    asked, guess = _read_wanted(wanted or {}, names, generator_names, count)
    found: dict[int, int] = {**match_names(names, generator_names, count), **asked}
    left = [i for i in range(len(names)) if i not in found]
    of_imagenet = count == imagenet.COUNT and tuple(generator_names) in ((), imagenet.names())
    notice = ""
    if left and numbering == count and (not generator_names or of_imagenet):
        found |= {i: ids[i] for i in left}
        notice, left = _describe("by the number that they have in the data", left, names, found, generator_names), []
    if left and not guess:
        raise ValueError(_question(left, names, count, generator_names))
    found |= {i: ids[i] % count for i in left}
    guessed = _describe("by number, which is a guess", left, names, found, generator_names)
    numbers = [found[i] for i in range(len(names))]
    if left and (shared := len(numbers) - len(set(numbers))):
        guessed += f"; {shared} of the data's {len(numbers)} classes share one with another"
    classes = {name: _class_of(number, generator_names) for name, number in zip(names, numbers, strict=True)}
    return ClassMap(numbers, classes, guessed, guessed or notice)


def say_unused(wanted: Mapping[str, str | int] | None) -> str:
    """A sentence where a class map names classes of what has none; empty where it does not."""
    return "it has no classes, so the class map is not used" if set(wanted or {}) - {REST} else ""


def may_guess(wanted: Mapping[str, str | int]) -> bool:
    """Whether a class map lets the rest be guessed; ``ValueError`` where it says something else of the rest."""
    if wanted.get(REST, GUESS) != GUESS:
        raise ValueError(f"class map: {REST} is {wanted[REST]!r}: it can only be {GUESS}")
    return REST in wanted


def _read_wanted(
    wanted: Mapping[str, str | int], names: Sequence[str], generator_names: Sequence[str], count: int
) -> tuple[dict[int, int], bool]:
    """What was asked for, by position in the data, and whether the rest may be guessed."""
    guess = may_guess(wanted)
    return {
        find_class(key, names, "data"): _target(value, count, generator_names)
        for key, value in wanted.items()
        if key != REST
    }, guess


def match_names(names: Sequence[str], generator_names: Sequence[str], count: int) -> dict[int, int]:
    """The generator's class of the same name, by position in ``names``; nothing where two could be meant."""
    if not generator_names and count == imagenet.COUNT:
        return {i: imagenet.wnids()[name] for i, name in enumerate(names) if name in imagenet.wnids()}
    exact = {form: number for number, name in enumerate(generator_names) for form in _forms(name)}
    found = {i: exact[form] for i, name in enumerate(names) for form in _forms(name) if form in exact}
    plain = Counter(map(_plain, generator_names))
    by_plain = {_plain(name): number for number, name in enumerate(generator_names) if plain[_plain(name)] == 1}
    rest = [i for i in range(len(names)) if i not in found]
    meant = Counter(_plain(names[i]) for i in rest)
    taken = set(found.values())
    for i in rest:
        number = by_plain.get(_plain(names[i]))
        if number is not None and meant[_plain(names[i])] == 1 and number not in taken:
            found[i] = number
    return found


def _forms(name: str) -> list[str]:
    """The name, and the name in ImageNet where it is a WordNet number."""
    label = imagenet.wnids().get(name)
    return [name] if label is None else [name, imagenet.names()[label]]


def _plain(name: str) -> str:
    """Letters and digits in one case, with a space in place of what is between them, as folders need it."""
    return " ".join("".join(c if c.isalnum() else " " for c in name.casefold()).split())


def find_class(value: str | int, names: Sequence[str], whose: str) -> int:
    """The position of a class given by name, or by its number."""
    if value in names:
        return list(names).index(str(value))
    plain = [_plain(name) for name in names]
    if plain.count(_plain(str(value))) == 1:
        return plain.index(_plain(str(value)))
    if str(value).isdecimal() and int(value) < len(names):
        return int(value)
    raise ValueError(f"class map: {value!r} is no class of the {whose}; they are {list_names(names)}")


def _target(value: str | int, count: int, names: Sequence[str]) -> int:
    if str(value).isdecimal() and int(value) < count and not names:
        return int(value)
    return find_class(value, names or [str(i) for i in range(count)], "generator")


def _question(left: Sequence[int], names: Sequence[str], count: int, generator_names: Sequence[str]) -> str:
    """What to say where nothing decides."""
    classes = f"are {list_names(generator_names, 5)}" if generator_names else "have no names"
    which = list_names([names[i] for i in left], 5)
    return (
        f"the generator's {count} classes {classes}: none is known to stand for {which} of the data; name one "
        f"(--class-map '{names[left[0]]}=CLASS', by name or number), or let them be taken by number (--class-map guess)"
    )


def _describe(
    how: str, which: Sequence[int], names: Sequence[str], found: Mapping[int, int], generator_names: Sequence[str]
) -> str:
    if not which:
        return ""
    pairs = [f"{names[i]} = {_class_of(found[i], generator_names).in_words()}" for i in which]
    return f"classes are taken {how}: {', '.join(pairs[:5])}" + (f" and {len(pairs) - 5} more" * (len(pairs) > 5))


def list_names(names: Sequence[str], shown: int = 20) -> str:
    """The first ``shown`` of ``names``, and how many there are."""
    return ", ".join(names[:shown]) + (f", ... ({len(names)} in all)" if len(names) > shown else "")


def _class_of(number: int, names: Sequence[str]) -> GeneratorClass:
    return GeneratorClass(number, names[number] if names else None)
