"""Foreign classes, which are looked at if test code writes to what is called so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Set
from typing import Any

from pytest_import_isolation.contents.spaces import Space, space_of_class
from pytest_import_isolation.contents.watched_modules import is_unwatched
from pytest_import_isolation.machinery.modules import class_home, class_qualname, namespace
from pytest_import_isolation.state.origins import Origins


class ForeignClasses:
    """Finds them by their names.

    Args:
        on_death: called when one of the classes dies, before anything is let go of.
        on_find: called when others were found.
    """

    def __init__(self, on_death: Callable[[Space], object], on_find: Callable[[], object]) -> None:
        self._on_death = on_death
        self._on_find = on_find
        self._names: Set[str] = frozenset()
        #: The namespaces of those that were found, by the identities of the classes.
        self.spaces: dict[int, Space] = {}

    def name(self, names: Set[str], modules: Callable[[], Iterable[object]], known: Container[int]) -> None:
        """Look for classes of some names from now on.

        Args:
            names: the names.
            modules: returns those that are loaded: to copy the table costs, and most names are known.
            known: the identities of classes that are looked at anyway.
        """
        new = names - self._names
        if new:
            self._names |= new
            self._look(new, modules(), known)

    @property
    def has_names(self) -> bool:
        """Whether classes of any name are looked for."""
        return bool(self._names)

    def look(self, modules: Iterable[object], known: Container[int]) -> None:
        """Look for classes in modules that were executed; see :meth:`name`."""
        self._look(self._names, modules, known)

    def _look(self, names: Set[str], modules: Iterable[object], known: Container[int]) -> None:
        before = len(self.spaces)
        for dictionary in filter(None, map(namespace, modules)):
            for name in filter(dictionary.__contains__, names):  # at the speed of C: most hold none of them
                value: Any = dictionary.get(name)
                if not issubclass(type(value), type) or id(value) in known or id(value) in self.spaces:
                    continue
                home = class_home(value)
                if is_unwatched(home) or Origins.usual().is_first_party(home, sys.modules.get(home)):
                    continue  # the latter are looked at with their module
                space = space_of_class(f"{home}.{class_qualname(value)}", home, value, self._on_death)
                if space is not None:
                    self.spaces[id(value)] = space
        if len(self.spaces) > before:
            self._on_find()

    def refresh(self) -> bool:
        """Copy what has changed; tell whether anything has."""
        refreshed = [space.refresh() for space in list(self.spaces.values())]  # every one of them
        return any(refreshed)
