"""A loan: the modules that one world offers to the others, with what each of them cannot do without."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ancestors, namespace
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.state.references import NewModules


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
