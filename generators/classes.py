"""Which class of a conditional generator stands for which class of the data."""

from collections.abc import Mapping, Sequence


def class_ids(
    names: Sequence[str],
    ids: Sequence[int],
    count: int,
    generator_names: Sequence[str] = (),
    wanted: Mapping[str, str | int] | None = None,
) -> tuple[list[int], str]:
    """The generator's class number for each of the data's classes, and a sentence where a number was a guess.

    ``names`` and ``ids`` are the data's classes and their numbers in its source; the generator has ``count`` classes,
    called ``generator_names`` if its file says so (0: it is unconditional). ``wanted`` (data class to generator class,
    each a name or a number) comes first, then the generator's class of the same name, then that of the same number,
    modulo ``count`` where there are fewer. Raises ``ValueError`` naming the class that does not exist.
    """
    if not count:
        return [0] * len(names), ""
    by_name = {_plain(name): i for i, name in enumerate(generator_names)}
    asked = {_find(key, names, "data"): _target(value, count, generator_names) for key, value in (wanted or {}).items()}
    found, guessed = [], []
    for i, name in enumerate(names):
        known = asked.get(i, by_name.get(_plain(name)))
        if known is None:
            known = ids[i] % count
            if by_name or ids[i] >= count:
                guessed.append(f"{name} = {_shown(known, generator_names)}")
        found.append(known)
    if not guessed:
        return found, ""
    shown = ", ".join(guessed[:5]) + (f" and {len(guessed) - 5} more" if len(guessed) > 5 else "")
    return (
        found,
        f"the generator's {count} classes do not include these by name; taken by number: {shown} (--class-map)",
    )


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _find(value: str | int, names: Sequence[str], whose: str) -> int:
    """The position of a class given by name, or by its number."""
    plain = [_plain(name) for name in names]
    if _plain(str(value)) in plain:
        return plain.index(_plain(str(value)))
    if str(value).isdigit() and int(value) < len(names):
        return int(value)
    raise ValueError(f"class map: {value!r} is no class of the {whose}; they are {_listed(names)}")


def _target(value: str | int, count: int, names: Sequence[str]) -> int:
    if str(value).isdigit() and int(value) < count and not names:
        return int(value)
    return _find(value, names or [str(i) for i in range(count)], "generator")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def _shown(number: int, names: Sequence[str]) -> str:
    return f"{number} ({names[number]})" if names else str(number)
