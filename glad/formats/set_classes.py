"""Which class of the data each class of a set stands for. It is never guessed unless asked to."""

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches

import torch
from torch import Tensor

from generators import imagenet
from generators.classes import REST, find_class, list_names, match_names, may_guess
from glad.data.dataset import ImageData
from glad.data.layout import numbers_of
from glad.data.notices import DataError, shorten

Rule = Callable[[Sequence[str], ImageData, bool], dict[int, int]]


def match_classes(
    where: str,
    classes: Sequence[str],
    data: ImageData,
    *,
    used: Collection[int],
    named: bool = True,
    numbers: bool = True,
    class_map: Mapping[str, str | int] | None = None,
) -> tuple[Tensor, list[str]]:
    """Find the label in ``data`` of each class of a set.

    What ``class_map`` says comes first. For all others one rule decides: their names, as
    ``generators.classes.match_names`` compares them; numbers from 0 or from 1 that are the data's labels; WordNet
    numbers of ImageNet.

    Args:
        where: What the set is called in messages.
        classes: Its classes: names, or numbers as texts.
        data: What it stands for.
        used: Positions of the classes that must be found; others may stay without a label.
        named: Whether ``classes`` are names, as of folders; otherwise they are the numbers of an array of labels.
        numbers: Whether numbers may decide.
        class_map: Class of the set to class of the data, each a name or a number; ``"*": "guess"`` lets names
            decide where they do, and takes the rest in the order of the data's classes that are left.

    Returns:
        The labels, int64 [K], -1 where there is none, and lines for whoever uses the set.

    Raises:
        DataError: A class is not found; the line has both lists.
    """
    found, guess = _asked(where, classes, data, class_map or {})
    rest = [i for i in sorted(used) if i not in found]
    notices: list[str] = []
    for rule in (_by_name, _by_number, _by_wordnet) if numbers else (_by_name, _by_wordnet):
        decided = rule(classes, data, named)
        if all(i in decided for i in rest):
            found = {**decided, **found}
            notices += _say_of_ones(where, classes, data, decided, rest) if rule is _by_number else []
            break
    else:
        if not guess:
            raise DataError(_question(where, classes, data, rest, _by_name(classes, data, named)))
        found = {**_by_wordnet(classes, data, named), **_by_name(classes, data, named), **found}
        guessed = _in_order(where, classes, data, found, [i for i in rest if i not in found])
        found |= guessed
        notices.append(f"{where}: classes are taken in their order, which is a guess: {_pairs(classes, data, guessed)}")
    labels = torch.tensor([found.get(i, -1) for i in range(len(classes))])
    there = {int(labels[i]) for i in used}
    if lacking := [name for label, name in enumerate(data.classes) if label not in there]:
        notices.append(f"{where}: no images of {shorten(lacking)}")
    return labels, notices


def _asked(
    where: str, classes: Sequence[str], data: ImageData, class_map: Mapping[str, str | int]
) -> tuple[dict[int, int], bool]:
    """What the class map says, by position in the set, and whether the rest may be guessed."""
    try:
        guess = may_guess(class_map)
        pairs = {
            find_class(ours, classes, "set"): find_class(theirs, data.classes, "data")
            for ours, theirs in class_map.items()
            if ours != REST
        }
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    return pairs, guess


def _by_name(classes: Sequence[str], data: ImageData, named: bool) -> dict[int, int]:
    """Names that are the data's; numbers that are the data's names, by their value."""
    if not named:
        return {}
    theirs, ours = numbers_of(data.classes), numbers_of(classes)
    if theirs is not None and ours is not None:
        return {i: theirs.index(number) for i, number in enumerate(ours) if number in theirs}
    return match_names(classes, data.classes, len(data.classes))


def _by_number(classes: Sequence[str], data: ImageData, named: bool) -> dict[int, int]:
    """Labels: numbers from 0, or from 1 to the number of classes; nothing where the data count otherwise."""
    values, count = numbers_of(classes), len(data.classes)
    if not values or (named and numbers_of(data.classes) is not None):
        return {}
    if min(values) == 0 and max(values) < count:
        return dict(enumerate(values))
    zero_based = numbers_of(data.classes) == list(range(count))
    if min(values) > 0 and max(values) == count and not zero_based:
        return {i: value - 1 for i, value in enumerate(values)}
    return {}


def _by_wordnet(classes: Sequence[str], data: ImageData, named: bool) -> dict[int, int]:
    """WordNet numbers, where the data are classes of ImageNet by number."""
    if not named or data.numbering != imagenet.COUNT:
        return {}
    wanted = {i: imagenet.wnids()[name] for i, name in enumerate(classes) if name in imagenet.wnids()}
    return {i: data.class_ids.index(number) for i, number in wanted.items() if number in data.class_ids}


def _in_order(
    where: str, classes: Sequence[str], data: ImageData, found: Mapping[int, int], rest: Sequence[int]
) -> dict[int, int]:
    """What is left, ``rest``: numbers as labels, other names in the order of the classes that nothing stands for."""
    count, values = len(data.classes), numbers_of(classes) or []
    if values and max(values) < count:
        return {i: values[i] for i in rest}
    free = [label for label in range(count) if label not in found.values()]
    if len(rest) > len(free):
        raise DataError(
            f"{where} has {len(rest)} classes that nothing decides, {data.name} has {len(free)} for them: they cannot "
            "be taken in order"
        )
    return dict(zip(rest, free, strict=False))


def _say_of_ones(
    where: str, classes: Sequence[str], data: ImageData, decided: Mapping[int, int], rest: Sequence[int]
) -> list[str]:
    """A line where numbers count from 1."""
    if not rest or int(classes[rest[0]]) == decided[rest[0]]:
        return []
    return [f"{where}: its classes count from 1: {_pairs(classes, data, decided)}"]


def _pairs(classes: Sequence[str], data: ImageData, decided: Mapping[int, int]) -> str:
    return shorten((f"{classes[i]} = {data.classes[label]}" for i, label in decided.items()), 3)


def _question(
    where: str, classes: Sequence[str], data: ImageData, rest: Sequence[int], by_name: Mapping[int, int]
) -> str:
    """What to say where nothing decides on ``rest``, of which ``by_name`` has some."""
    names = [classes[i] for i in rest if i not in by_name]
    plain = {name.casefold(): name for label, name in enumerate(data.classes) if label not in by_name.values()}
    near = {name: get_close_matches(name.casefold(), plain, 1, 0.5) for name in names[:5]}
    hints = [f"{name} is near {plain[found[0]]}" for name, found in near.items() if found]
    example = f"{names[0]}={plain[near[names[0]][0]] if near[names[0]] else 'CLASS'}"
    return (
        f"{where} has the classes {list_names(classes)}; {data.name} has {list_names(data.classes)}: it is not known "
        f"what {list_names(names, 5)} stands for{f' ({shorten(hints, 3)})' if hints else ''}: name the data that the "
        f"set stands for (--data), the classes (--class-map '{example}'), or take their order (--class-map guess)"
    )
