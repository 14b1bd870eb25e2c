"""The entries of a table such as ``sys.modules``: a copy that knows whether and how the table differs now."""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, ClassVar, Final
from weakref import WeakValueDictionary

from pytest_import_isolation.machinery.dict_versions import Moment
from pytest_import_isolation.machinery.identities import Identities
from pytest_import_isolation.machinery.modules import ABSENT, last_keys
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.odd_keys import OddKey, copied, entries_in, is_plain

_NEVER: Final = Moment(None)
#: How many of the keys are compared.
_LAST: Final = 16


class EntryChanges(NamedTuple):
    """How the entries of a table differ from those of an earlier one."""

    added: dict[Any, object]
    removed: dict[Any, object]
    #: What was there before, and what is there now.
    replaced: dict[Any, tuple[object, object]]


class Entries:
    """A copy of a table, compared with it by identity, and without running code of what it holds.

    Each object that is looked at comes into the processor's caches, and drives out what runs: a table is
    copied once for all who look at it at a moment.

    Args:
        contents: a copy by :func:`.entries_in`; nobody may change it afterwards.
        moment: when the table was copied.
        keys: the keys of the copy, if somebody has them.
    """

    __slots__ = (
        "__weakref__",
        "_last_keys",
        "_longer",
        "_moment",
        "contents",
        "keys",
        "values",
    )
    # By the identity of the table, the last that were copied, as long as somebody holds them.
    _last: ClassVar[WeakValueDictionary[int, Entries]] = WeakValueDictionary()
    # The keys of the table that was copied last of which all keys are strings: the next one begins with them.
    _strings: ClassVar[Identities] = Identities(())

    def __init__(
        self, contents: dict[Any, object], moment: Moment = _NEVER, keys: Identities | None = None
    ) -> None:
        self.contents = contents
        #: The keys, and what stands under them, in order.
        self.keys = Identities(contents) if keys is None else keys
        self.values = Identities(contents.values())
        self._last_keys = self.keys.objects[: -_LAST - 1 : -1]
        # When the table was seen to be the same.
        self._moment = moment
        # Entries that were found to begin with these.
        self._longer: Callable[[], Entries | None] | None = None

    @classmethod
    def of(cls, table: object, before: Entries | None = None) -> Entries:
        """Return the entries of a table: those of a moment ago, or others that live, if they are the same.

        Args:
            table: the table, or whatever stands in its place.
            before: those of a moment ago.
        """
        if before is not None and before.are_of(table):
            return before
        last = cls._last.get(id(table))
        if last is not None and last is not before and last.are_of(table):
            return last
        moment = Moment(table)  # before it is looked at: another thread may change it
        contents, keys, are_strings = copied(table, cls._strings)
        if are_strings:
            cls._strings = keys
        found = cls._last[id(table)] = cls(contents, moment, keys)
        return found

    def are_of(self, table: object) -> bool:
        """Tell whether a table holds the same keys with the very same objects.

        A table that was filled in another order may count as another one. Of the keys only the last are
        looked at: for another key before those, with the same objects in the same order, everything behind
        it would have been taken out and put in again.
        """
        if self._moment.lasts_for(table):
            return True
        moment = Moment(table)
        if type(table) is dict:
            if len(table) != len(self.keys):
                return False
            last = last_keys(table, _LAST)
            is_same = same_keys(last, self._last_keys) and self.values.are_those_of(table.values())
        else:
            is_same = same_entries(self.contents, entries_in(table))
        if is_same:
            self._moment = moment
            Entries._last[id(table)] = self  # who looks next need not copy it
        return is_same

    def are_beginning_of(self, later: Entries) -> bool:
        """Tell whether other entries begin with these, in order."""
        if self._longer is not None and self._longer() is later:
            return True
        if not self.values.are_first_of(later.values):
            return False
        was, now = self.keys.objects, later.keys.objects
        if not (self.keys.are_first_of(later.keys) or same_keys(was, now[: len(was)])):
            return False
        self._longer = weakref.ref(later)
        return True

    def behind(self, first: Identities) -> dict[Any, object]:
        """Return the entries that stand behind as many as there are of some keys."""
        return dict(zip(self.keys.behind(first), self.values.behind(first), strict=True))

    def changes_to(self, later: Entries) -> EntryChanges:
        """Return how the entries of a later moment differ."""
        if self.are_beginning_of(later):
            # Most changes of sys.modules are such, and only those need a look that came.
            return EntryChanges(later.behind(self.keys), {}, {})
        before, now = self.contents, later.contents
        return EntryChanges(
            {name: module for name, module in now.items() if name not in before},
            {name: module for name, module in before.items() if name not in now},
            {n: (module, now[n]) for n, module in before.items() if now.get(n, module) is not module},
        )


def loaded_now() -> Entries:
    """Return what ``sys.modules`` holds now.

    As long as somebody has it, all who look at the same modules get it too. Nobody may have it for long: it
    would keep modules alive that leave.
    """
    return Entries.of(getattr(sys, "modules", None))


def same_keys(one: Sequence[object], other: Sequence[object]) -> bool:
    """Tell whether two tables have the same keys, in order; an :class:`OddKey` is the one it stands for."""
    if len(one) != len(other):
        return False
    return all(map(operator.is_, one, other)) or all(map(_is_same_key, one, other))


def _is_same_key(one: object, other: object) -> bool:
    one = one.key if type(one) is OddKey else one
    other = other.key if type(other) is OddKey else other
    return one is other or (type(one) is type(other) and is_plain(one) and one == other)


def same_entries(before: dict[Any, object], now: dict[Any, object]) -> bool:
    """Tell whether two copies of a table hold the same keys with the very same objects, in whatever order."""
    if len(before) != len(now):
        return False
    if all(map(operator.is_, before.values(), now.values())) and all(map(operator.is_, before, now)):
        return True
    return all(map(operator.is_, map(now.get, before, repeat(ABSENT)), before.values()))
