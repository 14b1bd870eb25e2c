"""Where the keys and values of a dictionary lie, for Pythons whose dictionaries have no versions.

A dictionary keeps them in one table. The table is compared as bytes, which takes a tenth of the time that it
takes to compare the keys and values one by one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from operator import eq, methodcaller
from typing import Any, Final, TypeAlias

from pytest_import_isolation.machinery.raw_memory import Memory, memory_at
from pytest_import_isolation.machinery.scattered_memory import ARE_READ, WORD, Pieces, packed

#: Where a dictionary has the address of its table; behind it that of values that lie somewhere else.
_PLACE: Final = object.__basicsize__ + 2 * WORD
_POINTERS: Final = 2 * WORD
#: What stands at the begin of a table: the number of its users, its kind, its sizes.
_HEAD: Final = 4 * WORD
_INDEX_SIZE, _KIND = 9, 10
#: The kind of a table of which all keys are strings: only those are known here.
_STRINGS: Final = 1
_NOWHERE: Final = bytes(WORD)
#: No two states of all tables have the same number.
_NUMBERS: Final = count(1)
_memory_at: Final[Any] = memory_at
_read_piece: Final = methodcaller("read")
#: To gather tables takes longer than to read them one by one. So often they have to be found the same before.
_CALM: Final = 2
#: What was added is gathered by itself up to this part of the whole.
_LARGEST_PART: Final = 16


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def _is_laid_out_so() -> bool:
    """Tell whether dictionaries should lie in memory as it is said here."""
    return (
        sys.implementation.name == "cpython"
        and (3, 12) <= sys.version_info < (3, 16)
        and getattr(sys, "_is_gil_enabled", lambda: True)()  # without it, another thread may free the table
        and sys.maxsize > 2**32
        and dict.__basicsize__ == _PLACE + _POINTERS
        and memory_at is not None
    )


#: What there was at a look: where the table is, and whether values are somewhere else; the table itself, as
#: long as that is where it is; its head, its size and its content, nothing if they are not known; the number.
#: A plain tuple is unpacked at the least cost.
_Seen: TypeAlias = tuple[bytes, Memory, bytes, int, bytes, bytes]


class KeyTable:
    """The table of a dictionary, which tells of changes as a version does: by another number for each state.

    What was stored, and replaced twice between two looks, may lie where something has lain before: somebody
    has to keep the keys and values alive that count.

    Args:
        dictionary: a plain dictionary, which this keeps alive. As long as one of its keys is no string, each
            look is told of a change.
    """

    __slots__ = ("_place", "_seen", "dictionary")

    def __init__(self, dictionary: dict[Any, Any]) -> None:
        #: The dictionary.
        self.dictionary = dictionary
        self._place = _memory_at(id(dictionary) + _PLACE)
        # In one piece: several threads may look.
        self._seen = self._look(None)

    @property
    def value(self) -> bytes:
        """The number of this state, eight bytes."""
        return read_tables((self,))

    @property
    def entries(self) -> bytes:
        """The addresses of the keys and values, in turn, as far as they are known."""
        content = self._seen[4]
        return content and content[_HEAD + (1 << content[_INDEX_SIZE]) :]

    def _look(self, before: _Seen | None) -> _Seen:
        place, head, size, content = self._place, b"", 0, b""
        pointers = place[:_POINTERS]
        if before is not None and before[0] == pointers:
            memory = before[1]
        else:
            memory = _memory_at(_number(pointers[:WORD]))
        if pointers[WORD:] == _NOWHERE:
            # Both as in `read_tables()`.
            found = memory[:_HEAD] if place[:_POINTERS] == pointers else b""
            if found and found[_KIND] == _STRINGS:
                head, entries = found, _number(found[_HEAD - WORD :])
                size = _HEAD + (1 << head[_INDEX_SIZE]) + entries * 2 * WORD
                content = memory[:size] if place[:_POINTERS] == pointers and memory[:_HEAD] == head else b""
        return pointers, memory, head, size, content, next(_NUMBERS).to_bytes(WORD, sys.byteorder)

    def renew(self) -> bytes:
        """Look at all anew, give it another number, and return that."""
        self._seen = seen = self._look(self._seen)
        return seen[-1]


def read_tables(tables: Iterable[KeyTable]) -> bytes:
    """Return the numbers of several tables, in order.

    Raises:
        TypeError: one is None, as where several versions are joined.
    """
    found = []
    try:
        for one in tables:
            place, (pointers, memory, head, size, content, number) = one._place, one._seen
            # The table is freed when the dictionary grows. No other thread runs within this line, since
            # nothing is called in it; that is why the address, and then the sizes, are looked at first.
            is_same = place[:_POINTERS] == pointers and memory[:_HEAD] == head and memory[:size] == content
            found.append(number if is_same else one.renew())
    except AttributeError as error:
        raise TypeError(str(error)) from None
    return b"".join(found)


class GatheredTables:
    """Many tables, which are read at once, again and again.

    As long as no table changes, all are compared within one call, in which no other thread runs: first where
    they are, and only if all are still there their heads, which tell how large they are, and what is in them.

    Args:
        tables: the tables.
        before: tables to read before these.
    """

    __slots__ = ("_before", "_known", "_pieces", "_same", "_tables", "_then")

    def __init__(self, tables: Sequence[KeyTable], before: GatheredTables | None = None) -> None:
        self._tables, self._before = tables, before
        # The numbers that they had when they were read one by one, joined, and how often that was so.
        self._known, self._same = b"", 0
        # What reads them, and what it would read then.
        self._pieces: list[Pieces] = []
        self._then: list[bytes] = []

    def read(self) -> bytes:
        """Return the numbers of the tables, in order."""
        return self._read() if self._before is None else self._before._read() + self._read()

    def _read(self) -> bytes:
        if self._pieces and all(map(eq, map(_read_piece, self._pieces), self._then)):
            return self._known
        numbers, self._pieces = read_tables(self._tables), []
        self._same = self._same + 1 if numbers == self._known else 0
        self._known = numbers
        if self._same == _CALM and ARE_READ:
            try:
                self._gather()
            except Exception:  # an audit hook may forbid it, and raise anything
                self._pieces = []
        return numbers

    def extended(self, tables: Sequence[KeyTable]) -> GatheredTables:
        """Return these tables, and more behind them."""
        before = self._before
        if before is None:
            return GatheredTables(tables, self)
        if len(self._tables) * _LARGEST_PART < len(before._tables):
            return GatheredTables([*self._tables, *tables], before)
        return GatheredTables(tables, GatheredTables([*before._tables, *self._tables]))

    def _gather(self) -> None:
        seen = [table._seen for table in self._tables]
        by_size: dict[int, list[_Seen]] = {}
        for one in seen:
            by_size.setdefault(one[3], []).append(one)
        places = packed(id(table.dictionary) + _PLACE for table in self._tables)
        pieces = [Pieces(places, _POINTERS), Pieces(_joined_tables(seen), _HEAD)]
        then = [b"".join(pointers for pointers, *_ in seen), b"".join(head for _, _, head, *_ in seen)]
        for size, those in by_size.items():
            pieces.append(Pieces(_joined_tables(those), size))
            then.append(b"".join(content for *_, content, _ in those))
        # Another thread may have looked at one of them since.
        self._known = b"".join(number for *_, number in seen)
        self._then, self._pieces = then, pieces


def _joined_tables(seen: Iterable[_Seen]) -> bytes:
    """Return where the tables of some dictionaries are."""
    return b"".join(pointers[:WORD] for pointers, *_ in seen)


def _are_in_place() -> bool:
    """Try whether tables are where they should be: another number for every change, and else the same."""
    probe: dict[str, object] = {f"name {number}": object() for number in range(20)}
    table = KeyTable(probe)
    seen = [table.value]
    changes: tuple[Callable[[], Any], ...] = (
        lambda: probe.update(one=1, two=2),
        lambda: probe.update(one=3),
        lambda: probe.pop("name 7"),
        lambda: probe.update((f"other {number}", number) for number in range(400)),
        probe.popitem,
        probe.clear,
        lambda: probe.update(one=1),
    )
    for change in changes:
        change()
        seen.append(table.value)
        if probe.copy() != probe or table.value != seen[-1]:
            return False
    filled = {f"name {number}": object() for number in range(20)}
    addresses = packed(id(each) for entry in filled.items() for each in entry)
    return len(set(seen)) == len(seen) and KeyTable(filled).entries == addresses


#: Whether tables can be read here.
ARE_KNOWN: Final = _is_laid_out_so() and _are_in_place()
