"""Path entries, finders and path hooks that a window itself puts before all others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from pytest_import_isolation.machinery.finders import ask_finders, is_own_finder
from pytest_import_isolation.machinery.modules import ABSENT, namespace, parent_of
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.list_changes import ListChange, beyond, key_of
from pytest_import_isolation.state.writing import prepend_path, put_first
from pytest_import_isolation.watching.finder_log import FinderLog


class OwnItems:
    """What a window put first in the lists of ``sys``.

    Args:
        undo: what is to be done when the window ends, the last first; steps are added here.
    """

    __slots__ = ("_finder_log", "_undo", "items")

    def __init__(self, undo: list[Callable[[], object]]) -> None:
        self._undo = undo
        #: The items, by the names of the lists.
        self.items: dict[str, tuple[object, ...]] = {}
        self._finder_log: FinderLog | None = None

    def add_path(self, entries: tuple[str, ...]) -> None:
        """Put entries before ``sys.path``."""
        if entries:
            prepend_path(entries)
            self.items["path"] = (*self.items.get("path", ()), *entries)

    def put_first(self, list_name: str, items: tuple[object, ...]) -> None:
        """Put finders (``"meta_path"``) or path hooks (``"path_hooks"``) before all others."""
        if not items:
            return
        if list_name == "meta_path":
            FINDER.ahead[:0] = items
            self._undo.append(lambda: _remove_all(FINDER.ahead, items))
        self.items[list_name] = items
        put_first(list_name, items)
        if self._finder_log is None:
            self._finder_log = FinderLog()
            self._undo.append(self._finder_log.begin())

    def found_by(self, name: str) -> object:
        """Return the finder that answered the last import of a module, or that would answer one now."""
        found = self._finder_log.found.get(name, ABSENT) if self._finder_log else ABSENT
        if found is ABSENT or is_own_finder(found):
            # What came back from where it was parked was found by nobody under test.
            path = (namespace(sys.modules.get(parent_of(name)[0])) or {}).get("__path__")
            found, _ = ask_finders(
                name, path, lambda f: is_own_finder(f) or (found is not ABSENT and f in FINDER.ahead)
            )
        return found

    def holds(self, list_name: str, key: object) -> bool:
        """Tell whether the window put an item into a list; ``key`` is what the item is compared by."""
        return any(key_of(item) == key for item in self.items.get(list_name, ()))

    def without_own(self, lists: Mapping[str, ListChange]) -> dict[str, ListChange]:
        """Return what became of the lists of ``sys``, without what the window put there."""
        others = dict(lists)
        for list_name, items in self.items.items():
            if list_name in others:
                change = others[list_name]
                others[list_name] = change._replace(added=tuple(beyond(change.added, items)))
        return {name: change for name, change in others.items() if change}


def _remove_all(items: list[object], leaving: Iterable[object]) -> None:
    """Remove objects from a list by their identity, each once."""
    for item in leaving:
        place = next((place for place, other in enumerate(items) if other is item), None)
        if place is not None:
            del items[place]
