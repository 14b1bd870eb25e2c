"""A loan: the modules that one world offers to the others, and what another one has borrowed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, ancestors, namespace
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.references import NewModules
from pytest_import_isolation.window.window import Window


class Loan:
    """What other worlds may use of one that is put away.

    It stays as it was made: any thread that imports may be asking it while its world is put in place.

    Args:
        modules: the modules, with the attributes of their packages.
        importers: who imported them first.
    """

    def __init__(self, modules: Mapping[str, ParkedModule], importers: Mapping[str, Importer]) -> None:
        self.modules = dict(modules)
        self.importers = dict(importers)
        self._needs: dict[str, frozenset[str]] = {}

    def needs(self, name: str) -> frozenset[str]:
        """Return the names of the modules that one of them cannot do without, with its own."""
        found = self._needs.get(name)
        if found is None:
            found = self._needs[name] = frozenset(self._closure(name))
        return found

    def _closure(self, name: str) -> set[str]:
        entries = {name: parked.module for name, parked in self.modules.items()}
        new_modules = NewModules(entries)
        imported: dict[str, list[str]] = {}
        for child, importer in self.importers.items():
            imported.setdefault(importer.module, []).append(child)
        found: set[str] = set()
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name in found or name not in entries:
                continue
            found.add(name)
            waiting += ancestors(name)
            waiting += imported.get(name, ())
            # The attribute that importlib writes for a submodule is no need of the package.
            waiting += (
                home
                for home, key in new_modules.references(namespace(entries[name]) or {})
                if f"{name}.{key}" != home
            )
        return found


class Borrowed:
    """Modules of other worlds that are in place with one, with the attributes of their packages."""

    def __init__(self) -> None:
        #: Those that belong to what surrounds the world.
        self.modules: dict[str, ParkedModule] = {}
        # Those that windows inside it borrowed.
        self._inside: dict[str, ParkedModule] = {}

    def add(self, modules: Mapping[str, ParkedModule], windows: Sequence[Window]) -> None:
        """Take note of modules that are in place now.

        Args:
            modules: what is borrowed.
            windows: that of the world, and those inside it: it leaves with these, as what they execute does.
        """
        own, *inner = windows
        for window in inner:
            window.returned.begin_lent(modules)
        if inner:
            self._inside.update(modules)
        else:
            self._take_over(own, modules)

    def settle(self, window: Window) -> None:
        """Let what is borrowed, and still there, belong to what surrounds a world.

        Args:
            window: that of the world; none inside it is open.
        """
        if self._inside:
            borrowed, self._inside = self._inside, {}
            now = entries_in(sys.modules)
            self._take_over(window, {n: p for n, p in borrowed.items() if now.get(n, ABSENT) is p.module})

    def _take_over(self, window: Window, modules: Mapping[str, ParkedModule]) -> None:
        self.modules.update(modules)
        window.around.admit({name: parked.module for name, parked in modules.items()})
