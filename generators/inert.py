"""What a pickle's stream asks for, as values that do nothing: names, calls, dictionaries, and words for them."""

from dataclasses import dataclass
from typing import Any

MEMORY = (
    192 * 2**20
)  # bytes that a file's objects may take beside its raw bytes: a million opcodes, some ten files' worth
# What runs other programs or texts. No network needs it, so a file that asks for it is hostile, wherever it asks.
HOSTILE = {
    **dict.fromkeys(("os", "posix", "nt"), ("system", "popen", "exec", "spawn", "posix_spawn", "fork", "startfile")),
    **dict.fromkeys(("subprocess", "pty", "runpy"), ("",)),
    **dict.fromkeys(("builtins", "__builtin__"), ("eval", "exec")),
}  # by module, how the names begin


class PickleError(ValueError):
    """A pickle that is damaged, hostile or of another kind, with the place and the reason."""


@dataclass(slots=True, eq=False, repr=False)
class Name:
    """A name that the file asks for: nothing is imported, and dots in ``name`` mean nothing."""

    module: str
    name: str


@dataclass(slots=True, eq=False, repr=False)
class Made:
    """What a call of ``maker`` with ``arguments`` would have made, and what the file would have put into it."""

    maker: Any
    arguments: Any
    state: Any = None
    items: list[Any] | None = None
    pairs: "Table | None" = None


@dataclass(slots=True, eq=False, repr=False)
class Persistent:
    """A reference to something outside the pickle."""

    identity: Any


class Table(list[tuple[Any, Any]]):
    """A dictionary as its pairs, in order: keys are never hashed."""

    __slots__ = ()


class MemoryBudget:
    """Memory that reading may take; one budget can cover several pickles."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory = self.left = memory

    def spend(self, amount: int) -> None:
        """Take ``amount`` bytes; ``PickleError`` when they are not there."""
        self.left -= amount
        if self.left < 0:
            raise PickleError(f"its objects would take more than {self.memory >> 20} MB; those of a generator do not")


def name_of(value: Any) -> tuple[str, str] | None:
    """Module and name that ``value`` stands for, also where dill 0.3.4 says it by two calls; None for all else."""
    if isinstance(value, Name):
        return value.module, value.name
    if not (made_by(value, ("dill._dill", "_get_attr")) and len(value.arguments) == 2):
        return None
    module, name = value.arguments
    if not (isinstance(module, Made) and isinstance(module.maker, Name) and isinstance(name, str)):
        return None
    imported = made_by(module, ("dill._dill", "_import_module")) and module.arguments[:1]
    return (imported[0], name) if imported and isinstance(imported[0], str) else None


def made_by(value: Any, *names: tuple[str, str]) -> bool:
    """Whether ``value`` is a call of exactly one of ``names`` (module, name), by a direct reference."""
    return isinstance(value, Made) and isinstance(value.maker, Name) and name_of(value.maker) in names


def describe(value: Any) -> str:
    """A few words for a message; never more, however large or deep ``value`` is."""
    kinds = {Table: "a dictionary", list: "a list", tuple: "a tuple", memoryview: "bytes", Persistent: "a reference"}
    if isinstance(value, Name):
        return f"the name {f'{value.module}.{value.name}'[:120]!r}"
    if isinstance(value, Made):
        name = name_of(value.maker)
        return f"an object made by {'.'.join(name)[:120]!r}" if name else "an object made by a computed function"
    return kinds.get(type(value)) or repr(value[:60] if isinstance(value, str) else value)[:80]
