"""The lists in which packages say where their submodules lie, looked at if test code speaks of them.

Such a list is an attribute, but what changes is what it holds: no version of a namespace tells of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from pytest_import_isolation.contents.path_changes import PATH
from pytest_import_isolation.contents.spaces import Copy, Space
from pytest_import_isolation.contents.watched_modules import HAS_VERSIONS, is_unwatched
from pytest_import_isolation.machinery.dict_versions import DEAD_CELL
from pytest_import_isolation.machinery.identities import Identities
from pytest_import_isolation.machinery.modules import is_initializing, is_rewritten, namespace
from pytest_import_isolation.state.list_changes import keys_of


class PathSpace(Space):
    """What a package's list holds, in the form of a namespace with one name: a tuple under ``__path__``.

    The same contents are the same tuple, so that they are compared as all other values are.

    Args:
        name: of the package.
        module: the package, which is not kept alive.
        path: the list.
        on_death: called with this before anything is let go of, when the package dies.
    """

    __slots__ = ("_is_on", "_known", "path")

    def __init__(
        self, name: str, module: object, path: list[object], on_death: Callable[[Space], object]
    ) -> None:
        #: The list itself.
        self.path = path
        self._known: dict[tuple[object, ...], tuple[object, ...]] = {}
        self._is_on = True
        super().__init__(name, name, module, {}, on_death)
        # Nothing tells of changes: whoever looks compares.
        self.cell = DEAD_CELL if HAS_VERSIONS else None
        self.copy = self.first = Copy({PATH: self._items()})

    @property
    def dictionary(self) -> dict[str, Any] | None:
        """What it holds now, as a namespace; None once the package is no more."""
        return {PATH: self._items()} if self._is_on else None

    @dictionary.setter
    def dictionary(self, value: dict[str, Any] | None) -> None:
        self._is_on = value is not None

    def _items(self) -> tuple[object, ...]:
        items = (*self.path,)
        # Equal texts name the same folder. Whatever else stands there is not asked whether it is equal.
        return self._known.setdefault(tuple(keys_of(items)), items)

    def put(self, items: object) -> bool:
        """Let the list hold what it held at an earlier moment; tell whether it does."""
        if type(items) is not tuple:
            return False
        self.path[:] = items
        return self._items() is items

    def refresh(self) -> bool:
        """Take note of what it holds now; tell whether that is something else than before."""
        items = self._items()
        if self.copy.get(PATH) is items:
            return False
        self.hold(self.copy)
        self.copy = Copy({PATH: items})
        return True

    def may_differ(self, before: Copy, held: object) -> bool:
        """Tell whether it may hold something else than before: nothing tells that but a look."""
        return True


class PackagePaths:
    """Knows the lists of the packages that are loaded.

    Args:
        on_death: called when one of the packages dies, before anything is let go of.
    """

    def __init__(self, on_death: Callable[[Space], object]) -> None:
        self._on_death = on_death
        #: Whether test code that ran, or runs, speaks of such lists.
        self.is_on = False
        #: What they hold, by the identities of the lists.
        self.spaces: dict[int, PathSpace] = {}
        # What they held at the last look, all in a row, and how many items each had.
        self._lists: list[list[object]] = []
        self._seen = Identities(())
        self._numbers: list[int] = []

    @property
    def are_same(self) -> bool:
        """Whether all hold what they held at the last look."""
        lists = self._lists
        return not lists or (
            [*map(len, lists)] == self._numbers and self._seen.are_those_of(chain.from_iterable(lists))
        )

    def look(self, modules: Iterable[tuple[object, object]]) -> bool:
        """Look from now on at the lists of some modules, given with their names; tell whether any is new.

        A list of another type finds out by itself what it holds, as those of namespace packages do.
        """
        before = len(self.spaces)
        for name, module in modules if self.is_on else ():
            path = (namespace(module) or {}).get(PATH)
            if type(path) is not list or id(path) in self.spaces or is_unwatched(name):
                continue
            if not (is_initializing(module) or is_rewritten(module)):
                try:
                    self.spaces[id(path)] = PathSpace(str(name), module, path, self._on_death)
                except TypeError:  # nothing can refer to it weakly: it is no module
                    continue
        return len(self.spaces) > before

    def refresh(self) -> bool:
        """Copy what has changed; tell whether anything has."""
        spaces = list(self.spaces.values())
        refreshed = [space.refresh() for space in spaces]  # every one of them
        self._lists = [space.path for space in spaces]
        self._seen, self._numbers = Identities(chain.from_iterable(self._lists)), [*map(len, self._lists)]
        return any(refreshed)
