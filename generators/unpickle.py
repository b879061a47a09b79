"""Pickles as inert trees: an interpreter of pickle's opcodes that imports, looks up and calls nothing of the file.

Python's own unpickler cannot be made safe by ``find_class`` alone. It sizes its memo by a number in the file (five
bytes ask for 16 GB), hashes keys (nested tuples overflow the C stack or take exponential time, chosen integers
quadratic) and calls what it is given. Here a name is a ``Name``, a call a ``Made``, a dictionary the list of
its pairs, and raw bytes are views of the file. What they mean is for the caller to say, by their exact names.

The opcodes are those that pickle writes in protocols 2 to 5; text opcodes, INST, OBJ and extension codes are refused.
"""

import struct
from collections.abc import Callable
from typing import Any

from generators.inert import HOSTILE, Made, MemoryBudget, Name, Persistent, PickleError, Table, describe

STOP = 0x2E
OPERATION = 200  # bytes that the result of one opcode takes, at most
CHARACTER = 4  # bytes that one byte of UTF-8 takes in a str, at most
MEMO = 2**22  # values that a file may number
LONGEST_INTEGER, LONGEST_NAME = 256, 256  # bytes


def load(data: memoryview, start: int = 0, budget: MemoryBudget | None = None) -> tuple[Any, int]:
    """Read the pickle that begins at byte ``start`` of ``data`` (contiguous bytes): its inert tree, and where it ends.

    Raises ``PickleError`` on anything that pickle would not have written and when ``budget`` is spent.
    """
    machine = _Machine(data, start, MemoryBudget() if budget is None else budget)
    return machine.run(), machine.position


class _Machine:
    """Pickle's stack machine over ``data``; every opcode spends a part of the budget before it acts."""

    def __init__(self, data: memoryview, start: int, budget: MemoryBudget) -> None:
        self.data, self.start, self.position, self.budget = data, start, start, budget
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: list[Any] = []

    def run(self) -> Any:
        while True:
            self.start = self.position
            self.budget.spend(OPERATION)
            if self.start >= len(self.data):
                raise self.error("an opcode is needed and the data end; the file is cut off")
            code = self.data[self.start]
            self.position += 1
            if code in OPCODES:
                act, *arguments = OPCODES[code]
                act(self, *arguments)
            elif code == STOP:
                return self.pop()
            else:
                raise self.error(f"opcode {code:#04x} is none of those that pickle writes in protocols 2 to 5")

    def error(self, reason: str) -> PickleError:
        return PickleError(f"byte {self.start}: {reason}")

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            left = len(self.data) - self.position
            raise self.error(f"{count} bytes are announced, {left} are left; the file is cut off or damaged")
        view = self.data[self.position : end]
        self.position = end
        return view

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def text(self, count: int) -> str:
        view = self.take(count)
        self.budget.spend(OPERATION + CHARACTER * count)
        try:
            return str(view, "utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"a text is not UTF-8 ({error.reason})") from error

    def line(self) -> str:
        ahead = bytes(self.data[self.position : self.position + LONGEST_NAME])
        line, newline, _ = ahead.partition(b"\n")
        if not newline:
            raise self.error(f"a name does not end within {len(ahead)} bytes")
        text = self.text(len(line))
        self.position += 1
        return text

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.error("a value is needed and there is none")
        return self.stack.pop()

    def top(self) -> Any:
        self.stack.append(value := self.pop())
        return value

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise self.error("a mark is needed and there is none")
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values

    def push_integer(self, width: int) -> None:
        count = self.number(width)
        if count > LONGEST_INTEGER:
            raise self.error(f"an integer of {count} bytes; those of a generator have at most {LONGEST_INTEGER}")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def repeat(self) -> None:
        self.stack.append(self.top())

    def gather(self, count: int) -> None:
        height = len(self.stack) - count
        if height < (self.marks[-1] if self.marks else 0):
            raise self.error(f"{count} values are needed and they are not there")
        self.stack[height:] = [tuple(self.stack[height:])]

    def gather_since_mark(self) -> None:
        self.stack.append(tuple(self.since_mark()))

    def push_name(self) -> None:
        self.name(self.line(), self.line())

    def push_stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise self.error("a name is asked for by something that is no text")
        if name.startswith(HOSTILE.get(module, ())):
            raise self.error(f"asks for {f'{module}.{name}'[:120]!r}, which no generator needs: the file is hostile")
        self.stack.append(Name(module, name))

    def push_persistent(self) -> None:
        self.stack.append(Persistent(self.pop()))

    def call(self, keywords: bool = False) -> None:
        named = (self.pop(),) if keywords else ()
        arguments, maker = self.pop(), self.pop()
        if not isinstance(arguments, tuple) or not isinstance(maker, Name | Made):
            raise self.error(f"calls {describe(maker)} with {describe(arguments)}")
        self.stack.append(Made(maker, (*arguments, *named)))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if not isinstance(target, Made):
            raise self.error(f"gives a state to {describe(target)}, which takes none")
        target.state = state

    def append(self) -> None:
        self.extend([self.pop()])

    def appends(self) -> None:
        self.extend(self.since_mark())

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Made):
            target.items = items = [] if target.items is None else target.items
            target = items
        if type(target) is not list:
            raise self.error(f"appends to {describe(target)}")
        target.extend(values)

    def set_pair(self) -> None:
        value, key = self.pop(), self.pop()
        self.update([key, value])

    def set_pairs(self) -> None:
        self.update(self.since_mark())

    def update(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Made):
            target.pairs = pairs = Table() if target.pairs is None else target.pairs
            target = pairs
        if not isinstance(target, Table) or len(values) % 2:
            raise self.error(f"sets {len(values)} keys and values of {describe(target)}")
        target.extend(zip(values[::2], values[1::2], strict=True))

    def put(self, width: int) -> None:
        self.remember(self.number(width))

    def memoize(self) -> None:
        self.remember(len(self.memo))

    def remember(self, index: int) -> None:
        if index >= MEMO:
            raise self.error(f"numbers a value {index}; a generator has fewer than {MEMO}")
        self.memo.extend([_MISSING] * (index + 1 - len(self.memo)))
        self.memo[index] = self.top()

    def recall(self, width: int) -> None:
        index = self.number(width)
        if index >= len(self.memo) or self.memo[index] is _MISSING:
            raise self.error(f"asks for value number {index}, which it never numbered")
        self.stack.append(self.memo[index])

    def create(self, kind: Callable[[], Any]) -> None:
        self.stack.append(kind())

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_number(self, width: int) -> None:
        self.stack.append(self.number(width))

    def push_signed(self) -> None:
        self.stack.append(int.from_bytes(self.take(4), "little", signed=True))

    def push_float(self) -> None:
        self.stack.append(struct.unpack(">d", self.take(8))[0])

    def push_bytes(self, width: int) -> None:
        self.budget.spend(OPERATION)  # of the view
        self.stack.append(self.take(self.number(width)))

    def push_text(self, width: int) -> None:
        self.stack.append(self.text(self.number(width)))

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def drop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def protocol(self) -> None:
        if (version := self.number(1)) not in (2, 3, 4, 5):
            raise self.error(f"pickle protocol {version}; 2 to 5 are read")

    def frame(self) -> None:
        length, begin = self.number(8), self.position
        self.take(length)  # is it there?
        self.position = begin


_MISSING = object()

OPCODES: dict[int, tuple[Any, ...]] = {  # what an opcode does, and with which arguments
    0x80: (_Machine.protocol,),
    0x95: (_Machine.frame,),
    0x4E: (_Machine.push, None),
    0x88: (_Machine.push, True),
    0x89: (_Machine.push, False),
    0x4A: (_Machine.push_signed,),  # BININT
    0x4B: (_Machine.push_number, 1),  # BININT1
    0x4D: (_Machine.push_number, 2),  # BININT2
    0x8A: (_Machine.push_integer, 1),  # LONG1
    0x8B: (_Machine.push_integer, 4),  # LONG4
    0x47: (_Machine.push_float,),
    0x8C: (_Machine.push_text, 1),  # SHORT_BINUNICODE
    0x58: (_Machine.push_text, 4),  # BINUNICODE
    0x8D: (_Machine.push_text, 8),  # BINUNICODE8
    0x43: (_Machine.push_bytes, 1),  # SHORT_BINBYTES
    0x42: (_Machine.push_bytes, 4),  # BINBYTES
    0x8E: (_Machine.push_bytes, 8),  # BINBYTES8
    0x96: (_Machine.push_bytes, 8),  # BYTEARRAY8
    0x28: (_Machine.mark,),
    0x30: (_Machine.drop,),  # POP
    0x31: (_Machine.since_mark,),  # POP_MARK
    0x32: (_Machine.repeat,),  # DUP
    0x5D: (_Machine.create, list),
    0x61: (_Machine.append,),
    0x65: (_Machine.appends,),
    0x8F: (_Machine.create, list),  # EMPTY_SET: as a list
    0x90: (_Machine.appends,),  # ADDITEMS
    0x91: (_Machine.gather_since_mark,),  # FROZENSET: as a tuple
    0x29: (_Machine.create, tuple),
    0x74: (_Machine.gather_since_mark,),  # TUPLE
    0x85: (_Machine.gather, 1),
    0x86: (_Machine.gather, 2),
    0x87: (_Machine.gather, 3),
    0x7D: (_Machine.create, Table),
    0x73: (_Machine.set_pair,),
    0x75: (_Machine.set_pairs,),
    0x71: (_Machine.put, 1),  # BINPUT
    0x72: (_Machine.put, 4),  # LONG_BINPUT
    0x94: (_Machine.memoize,),
    0x68: (_Machine.recall, 1),  # BINGET
    0x6A: (_Machine.recall, 4),  # LONG_BINGET
    0x63: (_Machine.push_name,),  # GLOBAL
    0x93: (_Machine.push_stack_name,),
    0x51: (_Machine.push_persistent,),
    0x52: (_Machine.call,),  # REDUCE
    0x81: (_Machine.call,),  # NEWOBJ
    0x92: (_Machine.call, True),  # NEWOBJ_EX
    0x62: (_Machine.build,),
}
