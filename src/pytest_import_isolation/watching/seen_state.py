"""The import state as it was when it was looked at, compared at a glance with what it is now."""

from __future__ import annotations

import builtins
import gc
import sys
from collections.abc import Iterable, Iterator
from operator import is_
from typing import Any, Final

from pytest_import_isolation.machinery.dict_versions import (
    CELL_SIZE,
    HAS_NUMBERS,
    Cell,
    Moment,
    cell_of,
    read_cells,
)
from pytest_import_isolation.machinery.finders import class_of, import_function, without_own_finder
from pytest_import_isolation.machinery.lazy_settings import lazy_settings
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    are_strings,
    class_namespace,
    last_keys,
    missing_among,
)
from pytest_import_isolation.state.list_changes import LISTS, compare_lists, key_of

#: So many keys more than those that are new are looked at first, and among so many what is gone.
_FEW: Final = 8
_YOUNG: Final = 16
#: Hold what is looked at beside modules. As long as their numbers are the same, it is.
_AROUND: Final = (vars(sys), vars(builtins)) if HAS_NUMBERS else ()


class SeenState:
    """What there was when it was looked at.

    Args:
        before: what was seen earlier; its keys of ``sys.modules`` are used again if they still hold.
    """

    __slots__ = (
        "_behind",
        "_cells",
        "_numbers",
        "_signature",
        "classes",
        "containers",
        "function",
        "import_found",
        "keys",
        "lazy_imports",
        "lists",
        "moment",
    )

    def __init__(self, before: SeenState | None = None) -> None:
        self.moment: Moment
        #: The keys of ``sys.modules`` that are strings: the hash of another one is code of a user's. The
        #: modules themselves are not kept alive until the next import.
        self.keys: dict[str, None]
        if before is not None and before.moment.lasts_for(sys.modules):
            self.keys, self.moment = before.keys, before.moment
        else:
            self.moment = Moment(sys.modules)
            self.keys = _strings(sys.modules)
        #: The lists of ``sys`` themselves, then their items.
        self.containers = sys.path, sys.meta_path, sys.path_hooks
        self.lists: list[tuple[object, ...]] = [(*sys.path,), (*sys.meta_path,), (*sys.path_hooks,)]
        self._numbers = tuple(map(len, self.lists))
        self.import_found: object = builtins.__import__
        self.function: object = import_function()
        self.lazy_imports = lazy_settings()
        self.classes = [
            (cls, class_namespace(cls), class_namespace(cls).copy()) for cls in map(class_of, self.lists[1])
        ]
        spaces = [dictionary for _, space, _ in self.classes for dictionary in gc.get_referents(space)]
        cells = [cell_of(dictionary) for dictionary in (*_AROUND, *spaces)]
        self._cells: list[Cell] = [] if None in cells else cells
        # Behind what is read of sys and builtins stands what is read of classes.
        self._behind = len(_AROUND) * CELL_SIZE if self._cells else 0
        self._signature = self._sign()

    def _sign(self) -> Any:
        if self._cells:
            return read_cells(self._cells)
        # Without versions. What was there is alive, so nothing else can have its identity.
        return [[*map(id, space.values())] for _, space, _ in self.classes]

    @property
    def shows_same(self) -> bool:
        """Whether, at a glance and beside modules, all is as it was."""
        path, meta_path, path_hooks = self.containers
        if (len(path), len(meta_path), len(path_hooks)) != self._numbers:
            return False
        # This is asked twice for each import, and nearly always answered here.
        if _AROUND and self._cells and read_cells(self._cells) == self._signature:
            return True
        now = self._sign()
        is_same = (
            path is sys.path
            and meta_path is sys.meta_path
            and path_hooks is sys.path_hooks
            and builtins.__import__ is self.import_found
            and lazy_settings() is self.lazy_imports
            and now[self._behind :] == self._signature[self._behind :]
        )
        if is_same:
            self._signature = now  # something else is different in sys
        return is_same

    def follow(self) -> None:
        """Take over modules that were imported since; nothing else has changed."""
        self.keys.update(dict.fromkeys(self._new_keys(_FEW)))
        self.moment = self.moment.renewed(sys.modules)

    def exchange_keys(self, wanted: str = "") -> tuple[list[str], list[str]]:
        """Take over the keys of ``sys.modules``.

        Args:
            wanted: the module that is about to be imported, if one is; if it was there, it is gone.

        Returns:
            Those that are new, and those that are gone.
        """
        self.moment = self.moment.renewed(sys.modules)
        gone = self._remove_gone([wanted]) if wanted in self.keys else []
        new = self._new_keys(_FEW)
        if not (new or gone) or self._lacks(new):
            # Something young was taken out again, or renamed.
            gone += self._remove_gone(last_keys(self.keys, _YOUNG))
            # A look at all keys costs more than its time: it drives what runs out of the processor's caches.
            if not new or self._lacks(new):
                gone += self._remove_gone(self.keys)
                new = self._new_keys(_FEW)
                if self._lacks(new):
                    new = self._new_keys(len(sys.modules))
        self.keys.update(dict.fromkeys(new))
        return new, gone

    def _lacks(self, new: list[str]) -> bool:
        """Tell whether there are other keys than the known ones and these."""
        return len(self.keys) + len(new) != len(sys.modules)

    def _remove_gone(self, among: Iterable[str]) -> list[str]:
        gone = [*missing_among(among)]
        for name in gone:
            self.keys.pop(name, None)
        return gone

    def _new_keys(self, behind: int) -> list[str]:
        """Return the keys that are not known, in order, if all that are known are there.

        Args:
            behind: so many others may stand behind them, since they were taken out and put in again.
        """
        number = len(sys.modules) - len(self.keys)
        among = last_keys(sys.modules, number + behind) if number > 0 else []
        known = self.keys
        return [key for key in reversed(among) if type(key) is str and key not in known]

    def changes_to(self, now: SeenState) -> Iterator[tuple[str, object, object]]:
        """Yield what is different later, but for modules and classes: kind and key, and what is there."""
        for i, name in enumerate(LISTS):
            if now.containers[i] is not self.containers[i]:
                yield "rebound", f"sys.{name}", now.containers[i]
            both = self.lists[i], now.lists[i]
            if len(both[0]) == len(both[1]) and all(map(is_, *both)):
                continue
            change = compare_lists(*map(without_own_finder, both))
            yield from ((name, key_of(item), item) for item in change.added)
            yield from ((name, key_of(item), ABSENT) for item in change.removed)
            if change.moved:
                yield name, "order", tuple(map(key_of, now.lists[i]))
        if now.function is not self.function:
            yield "import_function", "", now.function
        if now.lazy_imports is not self.lazy_imports:
            yield "lazy_imports", "", now.lazy_imports

    def class_changes(self) -> Iterator[tuple[type, str, object, object]]:
        """Yield what is different now in the classes of finders: class and name, what was and is there."""
        for cls, space, earlier in self.classes:
            later = space.copy()
            if len(earlier) == len(later) and all(map(is_, earlier.values(), later.values())):
                continue  # the names are the same too, unless what one holds was put under another
            for name in [*earlier, *(name for name in later if name not in earlier)]:
                before, after = earlier.get(name, ABSENT), later.get(name, ABSENT)
                if before is not after and not name.startswith("__"):  # those are the interpreter's
                    yield cls, name, before, after


def _strings(table: dict[Any, Any]) -> dict[str, None]:
    keys = dict.fromkeys(table)  # takes over the hashes that are known
    return keys if are_strings(keys) else {key: None for key in keys if type(key) is str}
