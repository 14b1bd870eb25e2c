"""The attributes by which packages hold their submodules."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from types import ModuleType
from typing import Any, Final, NamedTuple

from pytest_import_isolation.machinery.dict_versions import Cell, Moment, cell_of, read_cells
from pytest_import_isolation.machinery.modules import ABSENT, namespace, parent_of
from pytest_import_isolation.state.differences import same_entries

#: How many of the keys are compared.
_LAST: Final = 16


class BindingIndex:
    """A copy of ``sys.modules``; for each submodule in it, its package's namespace and the attribute's name.

    Building it costs more than reading it, and ``sys.modules`` rarely changes between two windows: the
    last one is kept and used again for an equal table.
    """

    __slots__ = (
        "_cells",
        "_fingerprint",
        "_is_plain",
        "_last_keys",
        "_moment",
        "_names",
        "_orphans",
        "_readers",
        "_values",
        "_versions",
        "derived",
        "keys",
        "modules",
        "objects",
    )
    _last: BindingIndex | None = None

    def __init__(self, modules: dict[Any, object], before: BindingIndex | None = None) -> None:
        """Read a table.

        Args:
            modules: a copy of ``sys.modules``; nobody may change it afterwards.
            before: the index of an earlier table. What this one only adds to is not read again.
        """
        #: What the table held.
        self.modules = modules
        #: Two lists are compared at a quarter of the cost of two dictionaries.
        self.keys, self.objects = [*modules], [*modules.values()]
        #: What others computed from this table; see :meth:`ImportState.derive`.
        self.derived: dict[object, Any] = {}
        self._names: list[str] | None = None
        start, is_plain = 0, True
        self._readers: dict[str, _Reader] = {}
        # Submodules whose packages are not loaded.
        self._orphans: dict[str, list[str]] = {}
        if before is not None and before._is_beginning_of(self):
            start, is_plain = len(before.keys), before._is_plain
            self._readers, self._orphans = before._readers.copy(), before._orphans.copy()
        self._add(start)
        self._is_plain: bool = is_plain and are_hashed_by_identity(self.objects[start:])
        # Found at the first comparison: most tables are known to be unchanged.
        self._fingerprint: int | None = None
        self._last_keys = self.keys[: -_LAST - 1 : -1]
        # When ``sys.modules`` was seen to be equal.
        self._moment = Moment(None)
        # What the packages held when it was read, and the versions of their namespaces then.
        self._values: list[object] = []
        self._versions = b""
        cells = [reader.cell for reader in self._readers.values()]
        self._cells: list[Cell] = [] if None in cells else cells

    def _is_beginning_of(self, other: BindingIndex) -> bool:
        number = len(self.keys)
        try:
            return other.keys[:number] == self.keys and other.objects[:number] == self.objects
        except Exception:  # the entries of sys.modules, and their __eq__, may be anything
            return False

    def _add(self, start: int) -> None:
        packages: dict[str, list[str]] = {}
        for name in self.keys[start:]:
            if type(name) is str:
                if "." in name:
                    parent, child = parent_of(name)
                    packages.setdefault(parent, []).append(child)
                if name in self._orphans:
                    packages.setdefault(name, [])[:0] = self._orphans.pop(name)
        for parent, children in packages.items():
            package = self.modules.get(parent)
            space = namespace(package)
            if space is None:
                self._orphans[parent] = [*self._orphans.get(parent, ()), *children]
                continue
            known = self._readers.get(parent)
            everything = (*known.children, *children) if known else tuple(children)
            # The attributes of other objects may be kept outside of their dictionaries.
            cell = cell_of(space) if issubclass(type(package), ModuleType) else None
            self._readers[parent] = _Reader(space, everything, _read_function(everything), cell)

    @property
    def has_versions(self) -> bool:
        """Whether :meth:`read` sees at a glance that nothing has changed."""
        return bool(self._cells)

    @property
    def names(self) -> list[str]:
        """The submodules, in the order of :meth:`read`."""
        if self._names is None:
            readers = self._readers.items()
            self._names = [f"{parent}.{child}" for parent, reader in readers for child in reader.children]
        return self._names

    @classmethod
    def of(cls, table: dict[Any, object]) -> BindingIndex:
        """Return the index of ``sys.modules``, the last one if that was of an equal table."""
        last = cls._last
        if last is None or not last.is_of(table):
            moment = Moment(table)
            # ``dict()`` would cost five times more once a key was deleted from the table.
            last = cls._last = cls(table.copy(), last)
            last._moment = moment
        return last

    @classmethod
    def remember(cls, index: BindingIndex) -> None:
        """Let an index be the last one, if it is that of now; none otherwise.

        The one before would keep modules alive that are forgotten, and so would what packages held.
        """
        index._values, index._versions = [], b""
        if cls._last is not index:
            cls._last = index if index.is_of(sys.modules) else None

    def is_of(self, table: dict[Any, Any]) -> bool:
        """Tell whether ``sys.modules`` holds the same keys with the very same objects.

        A table that was filled in another order may count as another one. Of the keys only the last are
        looked at: for another key before those, with the same objects in the same order, everything behind
        it would have been taken out and put in again.
        """
        if self._moment.lasts_for(table):
            return True
        moment = Moment(table)  # before it is looked at: another thread may change it
        if not self._equals(table):
            return False
        self._moment = moment
        return True

    def _equals(self, table: dict[Any, Any]) -> bool:
        if self._is_plain and self._fingerprint is None:
            self._fingerprint = fingerprint(self.objects)
        if self._fingerprint is None:
            return same_entries(self.modules, table.copy())
        is_same = fingerprint(table.values()) == self._fingerprint
        return is_same and [*islice(reversed(table), _LAST)] == self._last_keys

    def looks_like(self, table: dict[Any, object]) -> bool:
        """Tell the same, where it has to be compared at half the cost, but for two things.

        It looks at no keys, and believes an object that claims to be equal to the one whose place it took.

        Raises:
            Exception: whatever the ``__eq__`` of an object raises.
        """
        return self.is_of(table) if self._moment.is_known else [*table.values()] == self.objects

    def read(self) -> list[object]:
        """Return what the packages hold under :attr:`names` now.

        Returns:
            A list that nobody may change; the same as the last time if no namespace has changed.
        """
        versions = read_cells(self._cells)
        if versions and versions == self._versions:
            return self._values
        values: list[object] = []
        for space, children, read, _ in self._readers.values():
            try:
                values += read(space)
            except KeyError:  # the package does not hold one of them
                values += [space.get(child, ABSENT) for child in children]
        self._values, self._versions = values, versions
        return values


class _Reader(NamedTuple):
    """What reads the attributes of one package."""

    space: dict[str, Any]
    children: tuple[str, ...]
    read: Callable[[dict[str, Any]], Iterable[object]]
    #: Holds the version of the namespace.
    cell: Cell | None


def _read_function(children: tuple[str, ...]) -> Callable[[dict[str, Any]], Iterable[object]]:
    """Return what reads all children of a package at the speed of C."""
    if len(children) > 1:
        return operator.itemgetter(*children)
    only = children[0]
    return lambda space: (space[only],)  # itemgetter() would give the bare value


def fingerprint(objects: Iterable[object]) -> int | None:
    """Return a number made of objects, in order; None if one cannot be hashed.

    Half as dear as a comparison of the identities one by one, and not taken in by an object that answers True
    to every ``==`` (``unittest.mock.ANY``).
    """
    try:
        return hash(tuple(objects))
    except Exception:  # what a test left may raise anything; another thread may be adding to a table
        return None


def are_hashed_by_identity(objects: Iterable[object]) -> bool:
    """Tell whether no code runs when objects are hashed: a lazy one might load what it stands for."""
    plain = object.__hash__
    return all(type(module).__hash__ is plain for module in objects)


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
