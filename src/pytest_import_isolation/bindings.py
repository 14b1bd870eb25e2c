"""The attributes by which packages hold their submodules."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any

from pytest_import_isolation.differences import same_entries
from pytest_import_isolation.machinery import ABSENT, namespace, parent_of


class BindingIndex:
    """For each loaded submodule, the namespace of its package and the attribute's name.

    Building it costs more than reading it, and ``sys.modules`` rarely changes between two windows: the
    last one is kept and used again for an equal table.
    """

    __slots__ = ("_readers", "derived", "modules", "names")
    _last: BindingIndex | None = None

    def __init__(self, modules: dict[Any, object]) -> None:
        self.modules = modules
        #: What others computed from this table; see :meth:`ImportState.derive`.
        self.derived: dict[object, Any] = {}
        self.names: list[str] = []
        packages: dict[str, list[str]] = {}
        for name in modules:
            if type(name) is str and "." in name:
                parent, child = parent_of(name)
                packages.setdefault(parent, []).append(child)
        self._readers: list[tuple[dict[str, Any], tuple[str, ...], Callable[[Any], Any] | None]] = []
        for parent, children in packages.items():
            space = namespace(modules.get(parent))
            if space is not None:
                self.names += (f"{parent}.{child}" for child in children)
                self._readers.append((space, tuple(children), _reader(space, children)))

    @classmethod
    def of(cls, modules: dict[Any, object]) -> BindingIndex:
        """Return the index of a table, the last one if that table was equal."""
        last = cls._last
        if last is None or not same_entries(last.modules, modules):
            last = cls._last = cls(modules)
        return last

    @classmethod
    def forget(cls) -> None:
        """Let go of the last table, if it is no longer that of now: it would keep forgotten modules alive."""
        if cls._last is not None and not same_entries(cls._last.modules, {**sys.modules}):
            cls._last = None

    def read(self) -> list[object]:
        """Return what the packages hold under :attr:`names` now."""
        values: list[object] = []
        for space, children, reader in self._readers:
            if reader is not None:
                try:
                    values += reader(space)
                    continue
                except KeyError:  # an attribute was deleted since
                    pass
            values += [space.get(child, ABSENT) for child in children]
        return values


def _reader(space: dict[str, Any], children: list[str]) -> Callable[[Any], Any] | None:
    """Return what reads all children at once, at the speed of C, where all are there now."""
    # With one name, itemgetter() gives the bare value.
    if len(children) > 1 and all(child in space for child in children):
        return operator.itemgetter(*children)
    return None


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
