"""Modules that were executed and thrown out of ``sys.modules`` again, by no restore of ours.

``mock.patch.dict(sys.modules)`` and pytest's own snapshots remove what was first imported in their block.
Nothing is different afterwards, but the next import executes a second copy.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from types import ModuleType

from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.watching.import_log import ImportLog


def evicted_modules(names: Iterable[str], log: ImportLog, origins: Origins) -> dict[str, ModuleType]:
    """Return the foreign modules among those that were asked for that were executed and have no entry now.

    Args:
        names: modules that were asked for.
        log: who asked for what.
        origins: gives the verdicts.

    Returns:
        The module objects by name, as far as they are still alive.
    """
    gone = {
        name
        for name in names
        if name not in sys.modules and name not in FINDER.lot and not origins.was_first_party(name)
    }
    # Most absent names are optional dependencies that are not installed. A module that was executed has
    # imported something itself, as a rule; only then it is worth a search through all objects.
    if not gone or not any(
        importer.module in gone and origins.of_file(importer.module, importer.file) is Origin.FOREIGN
        for importer in list(log.importers.values())
    ):
        return {}
    found: dict[str, ModuleType] = {}
    for candidate in gc.get_objects():
        if type(candidate) is ModuleType:
            name = candidate.__dict__.get("__name__")
            if (
                type(name) is str
                and name in gone
                and origins.verdict(name, candidate).origin is Origin.FOREIGN
            ):
                found.setdefault(name, candidate)
    return found
