"""Copies of tables such as ``sys.modules``, in which keys that have code of their own are stood for.

A key may be anything that was hashable once. None of its code is run here: an :class:`OddKey` stands for it,
and knows the hash that the table keeps.
"""

from __future__ import annotations

from typing import Any, Final

from pytest_import_isolation.machinery.identities import Identities
from pytest_import_isolation.machinery.modules import ABSENT, are_strings, class_attribute, class_name
from pytest_import_isolation.machinery.named_tuples import NamedTuple

# Their code is the interpreter's own. By identity: a class may have a metaclass that hashes it.
_PLAIN_TYPES: Final = frozenset(map(id, (str, bytes, int, float, bool, complex, type(None), type(...))))


class OddKey:
    """Stands for a key that has code of its own. Those of one key are equal.

    Args:
        key: the key.
        single: a set of this key alone, which was made without asking the key for its hash.
    """

    __slots__ = ("_single", "key")

    def __init__(self, key: object, single: set[Any]) -> None:
        self.key = key
        self._single = single

    def __eq__(self, other: object) -> bool:
        return type(other) is OddKey and other.key is self.key

    def __hash__(self) -> int:
        return hash(id(self.key))

    def __repr__(self) -> str:
        return self.text or f"<a key of {class_name(type(self.key))}>"

    @property
    def text(self) -> str | None:
        """The text of a key that is a string of some kind, None for any other."""
        return str.__str__(self.key) if issubclass(type(self.key), str) else None

    def entry(self, value: object) -> dict[Any, object]:
        """Return a table of this one entry; ``dict.update()`` takes the hash over from it."""
        return dict.fromkeys(self._single, value)


def is_text(key: object) -> bool:
    """Tell whether a key of a copied table is a string, or stands for one of some kind."""
    return type(key) is str or (type(key) is OddKey and key.text is not None)


def is_plain(key: object) -> bool:
    """Tell whether the code of a key, for ``hash()`` and ``==``, is the interpreter's own."""
    if type(key) is tuple:
        return all(map(is_plain, key))
    return id(type(key)) in _PLAIN_TYPES


class Copied(NamedTuple):
    """A copy of a table."""

    entries: dict[Any, object]
    #: Its keys, in order.
    keys: Identities
    #: Whether all of them are strings, with nobody's code.
    are_strings: bool


def entries_in(table: Any) -> dict[Any, object]:
    """Return a copy of what should be a table of modules and may be anything.

    Args:
        table: the table; of what is no dictionary nothing is copied.
    """
    return copied(table).entries


def copied(table: Any, strings: Identities | None = None) -> Copied:
    """Copy what should be a table of modules and may be anything.

    Args:
        table: the table; of what is no dictionary nothing is copied.
        strings: keys that are known to be strings, and with which the table may begin.
    """
    if type(table) is dict:
        entries: dict[Any, object] = table.copy()  # ``dict()`` costs five times more once a key was deleted
    elif issubclass(type(table), dict):
        if class_attribute(type(table), "__iter__") is dict.__iter__:
            entries = dict.copy(table)  # takes over the hashes, as above
        else:
            # Its class may iterate over something else, and to hash the keys anew is their code's turn.
            entries = {key: value for key, value in [*dict.items(table)] if is_plain(key)}
    else:
        entries = {}
    keys = Identities(entries)
    are_known = strings is not None and strings.are_first_of(keys)
    if are_strings(keys.behind(strings) if are_known and strings is not None else keys.objects):
        return Copied(entries, keys, are_strings=True)
    entries = _with_odd_keys(entries)
    return Copied(entries, Identities(entries), are_strings=False)


def _with_odd_keys(entries: dict[Any, object]) -> dict[Any, object]:
    """Put an :class:`OddKey` into the place of each key that has code of its own."""
    odd = {id(key) for key in entries if not is_plain(key)}
    if not odd:
        return entries
    # A set that is made of a dictionary, or taken from another set, takes over the hashes.
    others = set(entries)
    others.difference_update([key for key in entries if id(key) not in odd])
    stand_ins: dict[int, OddKey] = {}
    while others:
        all_of_them = others.copy()
        key = others.pop()
        stand_ins[id(key)] = OddKey(key, all_of_them - others)
    return {stand_ins.get(id(key), key): value for key, value in entries.items()}


def entry_in(table: Any, key: Any) -> object:
    """Return what a table holds under a key, ABSENT for nothing.

    Args:
        table: the table; what is no dictionary holds nothing.
        key: a key of a copy that :func:`entries_in` made.
    """
    if not issubclass(type(table), dict):
        return ABSENT
    if type(key) is not OddKey:
        return dict.get(table, key, ABSENT)
    return next((value for other, value in [*dict.items(table)] if other is key.key), ABSENT)
