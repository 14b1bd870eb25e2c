"""First-party files that are loaded under two names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Iterator

from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.modules import executed_file_of, places_executed
from pytest_import_isolation.parking.ownership import can_be_imported
from pytest_import_isolation.report.records import Leak, Polluter, make_leak
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange


class TwiceLoaded:
    """Finds the files that are loaded twice.

    Args:
        origins: gives the verdicts on modules.
        places: shortens file names.
        first_imports: tells where a module was imported.
    """

    def __init__(self, origins: Origins, places: Places, first_imports: FirstImports) -> None:
        self._origins = origins
        self._places = places
        self._first_imports = first_imports
        # Not lists: every garbage collection would look at each.
        self._names_by_file: dict[str, tuple[str, ...]] = {}

    def leaks(
        self, changes: Iterable[SingleChange], maker: Callable[[SingleChange], Polluter]
    ) -> Iterator[Leak]:
        """Yield the first-party files that were loaded under another name too.

        Args:
            changes: what is different; the modules that were entered among it.
            maker: tells who made one of the changes.
        """
        entered = {
            change.key: change
            for change in changes
            if change.what == "entry" and type(change.key) is str and can_be_imported(change.key)
        }
        files = {name: file for name in entered if (file := self._first_party_file(name))}
        for name, file in files.items():
            for other in self._names_with_file(name, file, files):
                if other in (name, "__main__") or not can_be_imported(other):
                    continue
                module = sys.modules.get(other)
                if module is sys.modules.get(name) or executed_file_of(module) != file:
                    continue
                detail = (
                    f"The file {self._places.shorten(file)} is loaded as {other} and as {name}: "
                    "two modules, two copies of every class."
                )
                first = self._first_imports.leak(name, maker(entered[name]))
                yield make_leak(
                    "twice-loaded", name, first.polluter, detail, location=first.location, chain=first.chain
                )

    def _names_with_file(self, name: str, file: str, new: Container[str]) -> tuple[str, ...]:
        """Return the names under which a file was loaded up to now, and note another one.

        Going through all modules for each file would take longer the more of both there are.

        Args:
            name: the name that was loaded now.
            file: its file.
            new: all that was loaded now.
        """
        if not self._names_by_file:
            for other, there in places_executed(sys.modules.copy()):
                if type(other) is str and other not in new:
                    self._names_by_file[there] = (*self._names_by_file.get(there, ()), other)
        known = self._names_by_file.get(file, ())
        if name not in known:
            known = self._names_by_file[file] = (*known, name)
        return known

    def _first_party_file(self, name: str) -> str | None:
        module = sys.modules.get(name)
        if module is None or not self._origins.is_first_party(name, module):
            return None
        return executed_file_of(module)
