"""The users' own code: which files are theirs, and which statement of theirs asks for an import."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from typing import Final

from pytest_import_isolation.machinery.frames import Importer, callers, callers_beside
from pytest_import_isolation.state.origins import Origin, Origins

_OWN_DIRECTORY: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep


class UserCode:
    """Tells the users' own code from that of libraries and of this package.

    Args:
        origins: gives the verdicts on files.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._known: dict[str, bool] = {}
        #: Returns the file and line at which the running test, or file, says the name of a module.
        self.place_in_test: Callable[[str], tuple[str, int] | None] = lambda name: None

    def has(self, file: str) -> bool:
        """Tell whether code is the users' own, by the name of its file, which may be no real one."""
        known = self._known.get(file)
        if known is None:
            known = self._origins.of_file("", file) is Origin.FIRST_PARTY
            # A part of the standard library may say that it is frozen, in the place of its file.
            known = known and not file.startswith((_OWN_DIRECTORY, "<frozen "))
            self._known[file] = known
        return known

    def has_source(self, file: str) -> bool:
        """Tell whether a file is Python source of the users' own."""
        return file.endswith(".py") and self.has(file)

    def importer(self, asker: Importer) -> Importer:
        """Return the users' own statement that imports; a library asks in the name of somebody.

        Args:
            asker: the statement that asks.
        """
        if self.has(asker.file):
            return asker
        return next((by for by in chain(callers(), callers_beside()) if self.has_source(by.file)), asker)

    def place(self, importer: Importer, name: str) -> tuple[str, int]:
        """Return the file and line at which a module is imported, as users are told it.

        A decorator such as ``mock.patch()`` imports what it is given: no line of the users' own runs then.

        Args:
            importer: what :meth:`importer` returned.
            name: the module.
        """
        place = None if self.has(importer.file) else self.place_in_test(name)
        return place or (importer.file, importer.line)
