"""Whether objects are the very same ones as before, found without running any code of theirs.

``==`` between two lists looks at identities first, and no comparison is faster; but where two objects differ
it asks their ``__eq__``, which may do anything. What is compared here is where the objects lie: the pointers
inside of two tuples, as bytes.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from pytest_import_isolation.machinery.raw_memory import Memory, memory_at

#: Up to so many objects are compared faster one by one.
_FEW: Final = 40


def _pointer_reader(
    memory_at: Callable[[int], Memory] | None,
) -> Callable[[tuple[object, ...]], bytes] | None:
    """Return what reads the pointers in a tuple, or None if this interpreter keeps them somewhere else."""
    if memory_at is None:
        return None
    start, size = tuple.__basicsize__, tuple.__itemsize__

    def read(objects: tuple[object, ...]) -> bytes:
        found: bytes = memory_at(id(objects) + start)[: len(objects) * size]
        return found

    probe = (sys, None, read)
    is_known = read(probe) == b"".join(id(each).to_bytes(size, sys.byteorder) for each in probe)
    return read if is_known else None


_reader = _pointer_reader(memory_at)


def read_pointers(objects: tuple[object, ...]) -> bytes | None:
    """Return where some objects lie, None if this interpreter keeps that somewhere else.

    Nothing is kept alive: another object may lie there later.
    """
    return None if _reader is None else _reader(objects)


class Identities:
    """Objects that are compared with others by identity.

    Args:
        objects: the objects, which it keeps alive.
    """

    __slots__ = ("_pointers", "objects")

    def __init__(self, objects: Iterable[Any]) -> None:
        #: The objects.
        self.objects = tuple(objects)
        # Read when somebody asks.
        self._pointers: bytes | None = None

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def pointers(self) -> bytes | None:
        """Where the objects lie; None if this interpreter keeps that somewhere else."""
        if self._pointers is None:
            self._pointers = read_pointers(self.objects)
        return self._pointers

    def behind(self, others: Identities) -> tuple[Any, ...]:
        """Return the objects that stand behind as many as there are others."""
        return self.objects[len(others) :]

    def are_first_of(self, others: Identities) -> bool:
        """Tell whether others begin with the very same objects, in order. None of them is touched."""
        if len(self) > len(others):
            return False
        now, was = others.pointers, self.pointers
        if now is None or was is None:
            return all(map(operator.is_, self.objects, others.objects))
        return now.startswith(was)

    def are_those_of(self, others: Iterable[object]) -> bool:
        """Tell whether these are the very same objects, in the same order."""
        now = tuple(others)
        if len(now) != len(self.objects):
            return False
        if _reader is None or len(now) <= _FEW:
            return all(map(operator.is_, now, self.objects))
        return _reader(now) == self.pointers
