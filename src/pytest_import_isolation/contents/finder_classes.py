"""The classes of the finders on ``sys.meta_path``, whose methods libraries and tests replace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from pytest_import_isolation.contents.spaces import Space, space_of_class
from pytest_import_isolation.contents.watched_modules import UNWATCHED
from pytest_import_isolation.machinery.finders import class_of
from pytest_import_isolation.machinery.modules import class_home, class_name, top_level
from pytest_import_isolation.state.differences import items_of, same_items


class FinderClasses:
    """Finds them.

    Args:
        on_death: called when one of the classes dies, before anything is let go of.
    """

    def __init__(self, on_death: Callable[[Space], object]) -> None:
        self._on_death = on_death
        self._finders: tuple[object, ...] = ()
        #: Their namespaces, by the identities of the classes.
        self.spaces: dict[int, Space] = {}

    @property
    def are_same(self) -> bool:
        """Whether the finders are those of the last look."""
        return same_items(getattr(sys, "meta_path", None), self._finders)  # a test may have deleted it

    def look(self, known: Iterable[Space]) -> bool:
        """Look at the finders that are there now, and copy what has changed; tell whether anything has.

        Args:
            known: the classes that are looked at anyway.
        """
        changed = not self.are_same
        if changed:
            others = {id(space.owner()) for space in known}
            before, self.spaces, self._finders = self.spaces, {}, items_of("meta_path")
            for cls in {id(cls): cls for cls in map(class_of, self._finders)}.values():
                if id(cls) in others or top_level(class_home(cls)) in UNWATCHED:
                    continue
                old = before.get(id(cls))
                if old is None or old.owner() is not cls:
                    old = space_of_class(class_name(cls), class_home(cls), cls, self._on_death)
                if old is not None:
                    self.spaces[id(cls)] = old
        refreshed = [space.refresh() for space in self.spaces.values()]  # every one of them
        return changed or any(refreshed)
