"""Modules that were executed and thrown out of ``sys.modules`` again, by no restore of ours.

``mock.patch.dict(sys.modules)`` and pytest's own snapshots remove what was first imported in their block.
Nothing is different afterwards, but the next import executes a second copy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType

from pytest_import_isolation.machinery.modules import missing_among
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.watching.executed_modules import EXECUTED
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
        for name in missing_among(names)
        if name not in FINDER.lot and name not in EXECUTED.failed and not origins.was_first_party(name)
    }
    if not gone:
        return {}
    loaded = {*map(id, entries_in(getattr(sys, "modules", None)).values())}
    found: dict[str, ModuleType] = {}
    for name, module in log.executed_among(gone).items():
        verdict = origins.verdict(name, module)
        # What was renamed is not gone; the next import makes another one, and is meant to. C code executes
        # its module only once.
        is_renamed = id(module) in loaded and not verdict.is_extension
        if verdict.origin is Origin.FOREIGN and not is_renamed and not FINDER.lot.has_given_up(module):
            found[name] = module
    return found
