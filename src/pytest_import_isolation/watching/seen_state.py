"""The import state as it was when it was looked at, compared at a glance with what it is now."""

from __future__ import annotations

import builtins
import gc
import sys
from collections.abc import Iterator
from itertools import compress, count, filterfalse
from operator import is_not
from typing import Any

from pytest_import_isolation.machinery.dict_versions import Cell, Moment, cell_of, read_cells
from pytest_import_isolation.machinery.finders import class_of, import_function
from pytest_import_isolation.machinery.lazy_settings import lazy_settings
from pytest_import_isolation.machinery.modules import class_namespace, last_keys


class SeenState:
    """What there was when it was looked at.

    Args:
        before: what was seen earlier; its keys of ``sys.modules`` are used again if they still hold.
    """

    __slots__ = (
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
        #: The keys of ``sys.modules``. The modules themselves are not kept alive until the next import.
        self.keys: list[Any]
        if before is not None and before.moment.lasts_for(sys.modules):
            self.keys, self.moment = before.keys, before.moment
        else:
            self.moment = Moment(sys.modules)
            self.keys = [*sys.modules]
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
        cells = [
            cell_of(dictionary) for _, space, _ in self.classes for dictionary in gc.get_referents(space)
        ]
        self._cells: list[Cell] = [] if None in cells else cells
        self._signature = self._sign()

    def _sign(self) -> object:
        if self._cells:
            return read_cells(self._cells)
        # Without versions. What was there is alive, so nothing else can have its identity.
        return [[*map(id, space.values())] for _, space, _ in self.classes]

    @property
    def shows_same(self) -> bool:
        """Whether, at a glance and beside modules, all is as it was."""
        path, meta_path, path_hooks = self.containers
        # Written out: this is asked twice for each import.
        return (
            path is sys.path
            and meta_path is sys.meta_path
            and path_hooks is sys.path_hooks
            and builtins.__import__ is self.import_found
            and lazy_settings() is self.lazy_imports
            and (len(path), len(meta_path), len(path_hooks)) == self._numbers
            and self._sign() == self._signature
        )

    def follow(self) -> None:
        """Take over modules that were imported since; nothing else has changed."""
        new = last_keys(sys.modules, len(sys.modules) - len(self.keys))
        self.keys += reversed(new)
        self.moment = Moment(sys.modules)

    def exchange_keys(self) -> tuple[list[str], list[str]]:
        """Take over the keys of ``sys.modules``.

        Returns:
            Those that are new, and those that are gone, without those that are no strings: the hash of
            another key is code of a user's.
        """
        before, now = self.keys, [*sys.modules]
        self.moment, self.keys = Moment(sys.modules), now
        # Nearly always it is the end that differs: what is new goes there.
        same = next(compress(count(), map(is_not, before, now)), min(len(before), len(now)))
        old, new = (dict.fromkeys(_strings(keys[same:])) for keys in (before, now))
        return [*filterfalse(old.__contains__, new)], [*filterfalse(new.__contains__, old)]


def _strings(keys: list[Any]) -> Iterator[str]:
    return (key for key in keys if type(key) is str)
