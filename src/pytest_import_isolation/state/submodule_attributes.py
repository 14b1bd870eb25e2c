"""The attributes by which packages hold their submodules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Set
from itertools import chain, repeat
from types import ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.dict_versions import (
    CELL_SIZE,
    Cell,
    Gathered,
    cell_of,
    gathered,
    other_cells,
    read_cells,
)
from pytest_import_isolation.machinery.modules import ABSENT, namespace, parent_of, reader_of
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.entries import Entries


class _Read(NamedTuple):
    """What packages held when they were read. One object: other threads read and forget it."""

    #: The versions of their namespaces.
    versions: bytes
    #: What each holds under the names of its submodules.
    parts: list[tuple[object, ...]]
    #: All of that.
    values: list[object]


_NOTHING_READ: Final = _Read(b"", [], [])
#: So often versions are read one by one before what reads them at once is made.
_FEW: Final = 4


class BindingIndex:
    """A copy of ``sys.modules``; for each submodule in it, its package's namespace and the attribute's name.

    Building it costs more than reading it, and ``sys.modules`` rarely changes between two windows: the
    last one is kept and used again for an equal table.
    """

    __slots__ = (
        "_cells",
        "_gathered",
        "_last_read",
        "_names",
        "_orphans",
        "_readers",
        "_reads",
        "derived",
        "entries",
    )
    _last: BindingIndex | None = None

    def __init__(self, entries: Entries, before: BindingIndex | None = None) -> None:
        """Read a table.

        Args:
            entries: those of ``sys.modules``.
            before: the index of an earlier table. What this one only adds to is not read again.
        """
        #: What the table held.
        self.entries = entries
        #: What others computed from this table; see :meth:`ImportState.derive`.
        self.derived: dict[object, Any] = {}
        self._names: list[str] | None = None
        self._readers: dict[str, _Reader] = {}
        # Submodules whose packages are not loaded.
        self._orphans: dict[str, list[str]] = {}
        # Where the versions of the namespaces are read: nowhere if one of them has none.
        self._cells: list[Cell] = []
        # What reads them at once, and how often they were read: to make it takes as long as some reads do.
        self._gathered: Gathered | None = None
        self._reads = 0
        # What the packages held when it was read, and the versions of their namespaces then.
        self._last_read = _NOTHING_READ
        start = 0
        if before is not None and before.entries.are_beginning_of(entries):
            start = len(before.entries.keys)
            self._readers, self._orphans = before._readers.copy(), before._orphans.copy()
        others = self._add(start)
        if start and before is not None and not others:  # what came lies in no package
            self._names, self._cells, self._last_read = before._names, before._cells, before._last_read
            self._gathered, self._reads = before._gathered, before._reads
            return
        cells = [reader.cell for reader in self._readers.values()]
        self._cells = [] if None in cells else cells
        if start and before is not None and self._cells:
            self._last_read = self._begin_with(before._last_read, others)

    def _begin_with(self, read: _Read, others: Set[str]) -> _Read:
        """Return what was read for an earlier table, as if packages that have others had changed since."""
        if not read.versions:
            return read
        more = len(self._cells) - len(read.parts)
        versions = bytearray(read.versions + bytes(CELL_SIZE * more))
        for at, parent in enumerate(self._readers):
            if parent in others:
                versions[at * CELL_SIZE : (at + 1) * CELL_SIZE] = bytes(CELL_SIZE)
        return _Read(bytes(versions), [*read.parts, *[()] * more], read.values)

    def _add(self, start: int) -> Set[str]:
        """Add the entries from a number on; return the packages that have other submodules than before."""
        packages: dict[str, list[str]] = {}
        for name in self.entries.keys.objects[start:]:
            if type(name) is str:
                if "." in name:
                    parent, child = parent_of(name)
                    packages.setdefault(parent, []).append(child)
                if name in self._orphans:
                    packages.setdefault(name, [])[:0] = self._orphans.pop(name)
        for parent, children in packages.items():
            package = self.entries.contents.get(parent)
            space = namespace(package)
            if space is None:
                self._orphans[parent] = [*self._orphans.get(parent, ()), *children]
                continue
            known = self._readers.get(parent)
            everything = (*known.children, *children) if known else tuple(children)
            # The attributes of other objects may be kept outside of their dictionaries.
            cell = cell_of(space) if issubclass(type(package), ModuleType) else None
            self._readers[parent] = _Reader(space, everything, reader_of(everything), cell)
        return packages.keys()

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
    def of(cls, table: object) -> BindingIndex:
        """Return the index of ``sys.modules``, the last one if that was of an equal table."""
        last = cls._last
        entries = Entries.of(table, None if last is None else last.entries)
        if last is None or entries is not last.entries:
            last = cls._last = cls(entries, last)
        return last

    @classmethod
    def remember(cls, index: BindingIndex) -> None:
        """Let an index be the last one, if it is that of now; none otherwise.

        The one before would keep modules alive that are forgotten, and so would what packages held.
        """
        index._last_read = _NOTHING_READ
        if cls._last is not index:
            cls._last = index if index.entries.are_of(sys.modules) else None

    def _versions(self) -> bytes:
        if self._gathered is None:
            self._reads += 1
            if self._reads < _FEW:
                return read_cells(self._cells)
            self._gathered = gathered(self._cells)
        return self._gathered.read()

    def read(self) -> list[object]:
        """Return what the packages hold under :attr:`names` now.

        Returns:
            A list that nobody may change; the same as the last time if no namespace has changed.
        """
        before, versions = self._last_read, self._versions()
        if versions and versions == before.versions:
            return before.values
        readers = [*self._readers.values()]
        if versions and len(versions) == len(before.versions):
            # Nearly always it is one package that has got another submodule.
            parts = [*before.parts]
            for at in other_cells(before.versions, versions):
                parts[at] = readers[at].held()
        else:
            parts = [reader.held() for reader in readers]
        values = [*chain.from_iterable(parts)]
        self._last_read = _Read(versions, parts, values)
        return values


class _Reader(NamedTuple):
    """What reads the attributes of one package."""

    space: dict[str, Any]
    children: tuple[str, ...]
    read: Callable[[dict[str, Any]], tuple[object, ...]]
    #: Holds the version of the namespace.
    cell: Cell | None

    def held(self) -> tuple[object, ...]:
        """Return what the package holds under the names of its submodules now."""
        try:
            return self.read(self.space)
        except KeyError:  # it does not hold one of them
            return (*map(self.space.get, self.children, repeat(ABSENT)),)


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


def bind_others(laid: Mapping[Any, object], before: Mapping[Any, object]) -> None:
    """Give packages the submodules that are loaded, and were imported beside another copy of the package.

    A fixture of the session did so, in the world of a file that plants fakes.

    Args:
        laid: entries that were laid over others just now, among them the packages.
        before: what was loaded before that.
    """
    packages = {name for name, module in laid.items() if before.get(name, module) is not module}
    for name in before if packages else ():
        parent, child = parent_of(name) if type(name) is str else ("", "")
        if parent in packages and name not in laid and bound_value(name) is ABSENT:
            bind(parent_namespace(name), child, sys.modules.get(name, ABSENT))
