"""What is looked at only if test code names it: classes of libraries, and the lists of packages."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Set
from typing import Any

from pytest_import_isolation.contents.foreign_classes import ForeignClasses
from pytest_import_isolation.contents.package_paths import PackagePaths
from pytest_import_isolation.contents.path_changes import PATH
from pytest_import_isolation.contents.spaces import Space


class NamedSpaces:
    """Finds both.

    Args:
        on_death: called when a class or package dies, before anything is let go of.
        on_find: called when others were found.
    """

    def __init__(self, on_death: Callable[[Space], object], on_find: Callable[[], object]) -> None:
        self._on_find = on_find
        self._classes = ForeignClasses(on_death, on_find)
        self._paths = PackagePaths(on_death)

    def name(
        self, names: Set[str], entries: Callable[[], Mapping[Any, object]], known: Container[int]
    ) -> None:
        """Look from now on for what has some names.

        Args:
            names: the names; ``__path__`` for the lists of all packages.
            entries: returns what is loaded: to copy the table costs, and most names are known.
            known: the identities of classes that are looked at anyway.
        """
        self._classes.name(names - {PATH}, lambda: entries().values(), known)
        if PATH in names and not self._paths.is_on:
            self._paths.is_on = True
            self.follow(entries())

    @property
    def has_names(self) -> bool:
        """Whether anything is looked for."""
        return self._classes.has_names or self._paths.is_on

    @property
    def are_same(self) -> bool:
        """Whether all holds what it held at the last look, as far as no version tells."""
        return self._paths.are_same

    @property
    def spaces(self) -> Iterator[Space]:
        """What was found."""
        # Of copies: other threads may import, which enters modules.
        yield from list(self._classes.spaces.values())
        yield from list(self._paths.spaces.values())

    def look(self, name: str, module: object, known: Container[int]) -> None:
        """Look at a module that was executed; see :meth:`name`."""
        self._classes.look([module], known)
        self.follow({name: module})

    def follow(self, entries: Mapping[Any, object]) -> None:
        """Look at the lists of modules that may have other ones now."""
        if self._paths.look(entries.items()):
            self._on_find()

    def forget(self, space: Space) -> None:
        """Look no more at what belongs to a class or package that dies."""
        self._classes.spaces.pop(space.identity, None)
        for key in [key for key, one in list(self._paths.spaces.items()) if one is space]:
            self._paths.spaces.pop(key, None)

    def refresh(self, entries: Mapping[Any, object]) -> bool:
        """Copy what has changed; tell whether anything has, or was found among what is loaded."""
        found = self._paths.look(entries.items())
        refreshed = self._classes.refresh(), self._paths.refresh()  # both of them
        return found or any(refreshed)
