"""The number that CPython gives to every state of a dictionary: as long as it is the same, nothing changed.

`PEP 509 <https://peps.python.org/pep-0509/>`_ put it into every dictionary, to guard namespaces at no cost,
and `PEP 699 <https://peps.python.org/pep-0699/>`_ took it out of 3.14. There the tables of dictionaries are
numbered here, by what lies in them. Where neither can be read, contents have to be compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from operator import ne
from typing import Any, Final, Protocol

#: Where the version of one dictionary is read. It may not keep the dictionary alive.
Cell = Any


def _cell_type() -> Any:
    """Return the type of cells, or None if this interpreter has no versions."""
    is_known = sys.implementation.name == "cpython" and sys.version_info < (3, 14) and sys.maxsize > 2**32
    if not is_known or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        import _ctypes  # and not ctypes, which loads more, and which somebody may want to see absent

        return type("Version", (_ctypes._SimpleCData,), {"_type_": "Q"})
    except Exception:  # Python was built without it, or it cannot be loaded in this interpreter
        return None


_cell_type_here: Final = _cell_type()
# The version stands behind the number of items, and that behind the head of every object.
_OFFSET: Final = object.__basicsize__ + 8


def _version_cell(dictionary: dict[Any, Any]) -> Cell:
    return _cell_type_here.from_address(id(dictionary) + _OFFSET)


_make_cell: Callable[[dict[Any, Any]], Cell] | None = _cell_type_here and _version_cell


def _is_in_place() -> bool:
    """Try whether the version is where it should be: other for every change, and else the same."""
    probe: dict[str, object] = {}
    cell = cell_of(probe)
    if cell is None:
        return False
    changes: tuple[Callable[[], object], ...] = (
        lambda: probe.update(one=1, two=2),
        lambda: probe.update(one=3),
        lambda: probe.pop("two"),
        probe.clear,
    )
    seen = [cell.value]
    for change in changes:
        change()
        seen.append(cell.value)
        if probe.copy() != probe or cell.value != seen[-1]:
            return False
    return len(set(seen)) == len(seen)


def cell_of(dictionary: object) -> Cell | None:
    """Return where the version of a dictionary can be read, as long as the dictionary lives.

    Returns:
        The cell, or None for what is no plain dictionary, or has no version that can be read.
    """
    if _make_cell is None or type(dictionary) is not dict:
        return None
    try:
        return _make_cell(dictionary)
    except Exception:  # an audit hook may forbid it
        return None


#: Whether every state of a dictionary has a number of its own, whatever became of what it held before.
HAS_NUMBERS: Final = _is_in_place()
#: Returns the versions that several cells hold, in order.
read_cells: Callable[[Iterable[Cell]], bytes] = b"".join


class Gathered(Protocol):
    """Many cells, which are read at once, again and again."""

    @property
    def read(self) -> Callable[[], bytes]:
        """Returns the versions that they hold, in order."""

    def extended(self, cells: Sequence[Cell]) -> Gathered:
        """Return these cells, and more behind them."""


class _Joined:
    """Many cells, which are read one by one."""

    __slots__ = ("_cells",)

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = cells

    def read(self) -> bytes:
        return read_cells(self._cells)

    def extended(self, cells: Sequence[Cell]) -> Gathered:
        return _Joined([*self._cells, *cells])


_gather: Callable[[Sequence[Cell]], Gathered] = _Joined
if HAS_NUMBERS:
    from pytest_import_isolation.machinery import scattered_memory

    if scattered_memory.ARE_READ:
        _gather = scattered_memory.GatheredWords
else:
    # Loaded only where there are no versions.
    from pytest_import_isolation.machinery import key_tables

    _make_cell = None
    if key_tables.ARE_KNOWN:
        _make_cell, read_cells = key_tables.KeyTable, key_tables.read_tables
        _gather = key_tables.GatheredTables


def gathered(cells: Sequence[Cell | None]) -> Gathered:
    """Return what reads some cells at once, again and again; nothing, if one of them is None."""
    known = () if None in cells else cells
    try:
        return _gather(known)
    except Exception:  # an audit hook may forbid to ask where they are
        return _Joined(known)


_NEVER_WRITTEN: Final[dict[Any, Any]] = {}
#: Can be read in place of one whose dictionary is no more.
DEAD_CELL: Final[Cell] = cell_of(_NEVER_WRITTEN)
#: The length of what is read of one cell, in bytes.
CELL_SIZE: Final = 8
#: So many versions are compared at once, then so many of those, and of those: few of thousands differ.
_AT_ONCE: Final = 512 * CELL_SIZE, 64 * CELL_SIZE, 8 * CELL_SIZE


def other_cells(before: bytes, now: bytes) -> Iterator[int]:
    """Yield the positions of the cells that differ.

    Args:
        before: what :func:`read_cells` returned for some cells.
        now: what it returned for them later.
    """
    parts = [(0, before, now)]
    for size in _AT_ONCE:
        parts = [
            (start + at, was, is_now)
            for start, earlier, later in parts
            for at in range(0, len(later), size)
            if (was := earlier[at : at + size]) != (is_now := later[at : at + size])
        ]
    for start, was, is_now in parts:
        differ = map(ne, memoryview(was).cast("Q"), memoryview(is_now).cast("Q"))
        first = start // CELL_SIZE
        yield from compress(range(first, first + len(is_now) // CELL_SIZE), differ)


class Moment:
    """A moment in the life of a dictionary.

    Args:
        dictionary: the dictionary, as it is now; of anything else no moment is known.
    """

    __slots__ = ("_cell", "_dictionary", "_version")

    def __init__(self, dictionary: object) -> None:
        self._dictionary = dictionary
        self._cell = cell_of(dictionary)
        self._version: object = None if self._cell is None else self._cell.value

    @property
    def is_known(self) -> bool:
        """Whether the dictionary has versions."""
        return self._cell is not None

    def is_of(self, dictionary: object) -> bool:
        """Tell whether this is that dictionary, changed since or not."""
        return dictionary is self._dictionary

    def lasts_for(self, dictionary: object) -> bool:
        """Tell whether this is that dictionary, and known to be unchanged since."""
        cell = self._cell
        return cell is not None and cell.value == self._version and dictionary is self._dictionary

    def renewed(self, dictionary: object) -> Moment:
        """Return the moment that is now: this one, moved on, if it is one of that dictionary."""
        if self._cell is None or dictionary is not self._dictionary:
            return Moment(dictionary)
        self._version = self._cell.value
        return self
