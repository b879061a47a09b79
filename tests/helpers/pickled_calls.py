"""Pickles of calls: a :class:`Call` is pickled as that of a global that need not exist, so any file can be written."""

import io
import pickle
from typing import ClassVar


class Global:
    """A name that is pickled without being looked up."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):  # pickle wants what it pickles as a function to be callable
        raise AssertionError


class Call:
    """What REDUCE (or NEWOBJ) makes of ``function`` and ``args``, then BUILD, APPENDS and SETITEMS."""

    def __init__(self, function, *args, state=None, items=None, pairs=None, new=False):
        self.function, self.args, self.state, self.items, self.pairs = function, args, state, items, pairs
        self.new = new


class Raw:
    """Opcodes as they are."""

    def __init__(self, opcodes):
        self.opcodes = opcodes


class Pickler(pickle._Pickler):
    """Python's own pickler, with the stand-ins above."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_global_name(self, found):
        if self.proto >= 4:
            self.save(found.module)
            self.save(found.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{found.module}\n{found.name}\n".encode())
        self.memoize(found)

    def save_call(self, call):
        self.save(call.function)
        self.save(call.args)
        self.write(pickle.NEWOBJ if call.new else pickle.REDUCE)
        self.memoize(call)
        if call.items is not None:
            self._batch_appends(iter(call.items))
        if call.pairs is not None:
            self._batch_setitems(iter(call.pairs.items()))
        if call.state is not None:
            self.save(call.state)
            self.write(pickle.BUILD)

    def save_raw(self, raw):
        self.write(raw.opcodes)

    dispatch[Global] = save_global_name
    dispatch[Call] = save_call
    dispatch[Raw] = save_raw


def dumps(value, protocol=4):
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()
