"""The attributes by which packages hold their submodules."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pytest_import_isolation.differences import same_entries
from pytest_import_isolation.machinery import ABSENT, namespace, parent_of


class BindingIndex:
    """A copy of ``sys.modules``; for each submodule in it, its package's namespace and the attribute's name.

    Building it costs more than reading it, and ``sys.modules`` rarely changes between two windows: the
    last one is kept and used again for an equal table.
    """

    __slots__ = ("_fingerprint", "_readers", "derived", "keys", "modules", "names", "objects")
    _last: BindingIndex | None = None

    def __init__(self, modules: dict[Any, object]) -> None:
        #: What the table held; nobody changes this copy.
        self.modules = modules
        #: Two lists are compared at a quarter of the cost of two dictionaries.
        self.keys, self.objects = [*modules], [*modules.values()]
        #: What others computed from this table; see :meth:`ImportState.derive`.
        self.derived: dict[object, Any] = {}
        self.names: list[str] = []
        self._fingerprint = fingerprint(modules) if _are_hashed_by_identity(modules) else None
        packages: dict[str, list[str]] = {}
        for name in modules:
            if type(name) is str and "." in name:
                parent, child = parent_of(name)
                packages.setdefault(parent, []).append(child)
        self._readers: list[
            tuple[dict[str, Any], tuple[str, ...], Callable[[dict[str, Any]], Iterable[object]]]
        ] = []
        for parent, children in packages.items():
            space = namespace(modules.get(parent))
            if space is not None:
                self.names += (f"{parent}.{child}" for child in children)
                self._readers.append((space, tuple(children), _reader(children)))

    @classmethod
    def of(cls, modules: dict[Any, object]) -> BindingIndex:
        """Return the index of a table, the last one if that table was equal."""
        last = cls._last
        if last is None or not last.is_of(modules):
            last = cls._last = cls(modules)
        return last

    @classmethod
    def remember(cls, index: BindingIndex) -> None:
        """Let an index be the last one, if it is that of now; none otherwise.

        The one before would keep modules alive that are forgotten.
        """
        if cls._last is not index:
            cls._last = index if index.is_of({**sys.modules}) else None

    def is_of(self, table: dict[Any, object]) -> bool:
        """Tell whether a copy of ``sys.modules`` holds the same keys with the very same objects.

        A table that was filled in another order may count as another one.
        """
        if self._fingerprint is None:
            return same_entries(self.modules, table)
        return fingerprint(table) == self._fingerprint

    def read(self) -> list[object]:
        """Return what the packages hold under :attr:`names` now."""
        values: list[object] = []
        try:
            for space, _, reader in self._readers:
                values += reader(space)
        except KeyError:  # a package does not hold a submodule
            return [space.get(c, ABSENT) for space, children, _ in self._readers for c in children]
        return values


def _reader(children: list[str]) -> Callable[[dict[str, Any]], Iterable[object]]:
    """Return what reads all children of a package at the speed of C."""
    if len(children) > 1:
        return operator.itemgetter(*children)
    only = children[0]
    return lambda space: (space[only],)  # itemgetter() would give the bare value


def fingerprint(table: dict[Any, object]) -> int | None:
    """Return a number made of the keys and the objects of a table, in order; None if one cannot be hashed.

    Half as dear as a comparison of the identities one by one, and not taken in by an object that answers True
    to every ``==`` (``unittest.mock.ANY``).
    """
    try:
        return hash((*table, *table.values()))
    except Exception:  # what a test left may raise anything
        return None


def _are_hashed_by_identity(table: dict[Any, object]) -> bool:
    """Tell whether no code runs when objects are hashed: a lazy one might load what it stands for."""
    plain = object.__hash__
    return all(type(module).__hash__ is plain for module in table.values())


def depth(name: object) -> int:
    """Return how many packages a module name names above it; 0 for a key that is no string."""
    return name.count(".") if type(name) is str else 0


def parent_namespace(name: str) -> dict[str, Any] | None:
    """Return the namespace of the loaded package above a module, or None."""
    parent = parent_of(name)[0]
    return namespace(sys.modules.get(parent)) if parent else None


def bound_value(name: str) -> object:
    """Return what the package above a module holds under the module's last name, or ABSENT."""
    space = parent_namespace(name)
    return ABSENT if space is None else space.get(parent_of(name)[1], ABSENT)


def bind(space: dict[str, Any] | None, child: str, value: object) -> None:
    """Write a package's attribute for a submodule, or remove it where the value is ABSENT.

    Written through the namespace: a package's class may have a ``__setattr__``.
    """
    if space is None:
        return
    if value is ABSENT:
        space.pop(child, None)
    else:
        space[child] = value
