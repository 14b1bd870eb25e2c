"""Reloads in place, and the modules that hold objects of the old execution."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Final

from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.modules import home_of, namespace
from pytest_import_isolation.report.records import ERROR, Leak, Location, Polluter, make_leak
from pytest_import_isolation.watching.import_log import Reload
from pytest_import_isolation.wording import listing

_MOST_HOLDERS: Final = 5


def leak_of_reload(reload: Reload, polluter: Polluter, places: Places) -> Leak:
    """Return the record of a reload in place.

    Args:
        reload: what was seen.
        polluter: who did it.
        places: shortens file names.
    """
    name, importer, module, before = reload
    now = namespace(module) or {}
    old = {
        id(value)
        for key, value in before.items()
        if (home := home_of(value)) is not None and home[0] == name and now.get(key) is not value
    }
    holders = list(_holders(old, module)) if old else []
    detail = f"{name} was executed again in place."
    if holders:
        detail = (
            f"{name} was executed again in place, but objects of the old execution are still held by "
            f"{listing(holders, _MOST_HOLDERS)}."
        )
    location = None
    if importer is not None:
        location = Location(places.shorten(importer.file), importer.line, exact=True)
    severity = ERROR if holders else None
    return make_leak("reloaded", name, polluter, detail, location=location, severity=severity)


def _holders(old: Collection[int], reloaded: object) -> Iterator[str]:
    for name, module in sys.modules.copy().items():
        if module is reloaded or type(name) is not str:
            continue
        for key, value in list((namespace(module) or {}).items()):
            if id(value) in old:
                yield f"{name}.{key}"
