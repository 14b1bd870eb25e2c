"""From changes of the import state to leaks: every change is judged alone, by the rules for what changed."""

from __future__ import annotations

from pathlib import Path

from pytest_import_isolation.leaks.attributes import judge_attribute
from pytest_import_isolation.leaks.containers import judge_item, judge_rebinding
from pytest_import_isolation.leaks.entries import is_first_import, judge_entry
from pytest_import_isolation.leaks.findings import Finding
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.report.records import Leak, Polluter, make_leak
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.import_log import ImportLog


class Judge:
    """Turns single changes into leaks.

    Args:
        origins: gives the verdicts on modules.
        log: who imported what first.
        places: finds the statements.
    """

    def __init__(self, origins: Origins, log: ImportLog, places: Places | None = None) -> None:
        self._origins = origins
        self._places = places or Places(Path())
        self._first_imports = FirstImports(origins, log, self._places)

    def leak(self, change: SingleChange, polluter: Polluter) -> Leak | None:
        """Return the leak that a change is, or None for a change that harms nobody."""
        if is_first_import(change, self._origins):
            return self._first_imports.leak(change.key, polluter)
        found = self._judge(change, polluter.phase)
        if found is None:
            return None
        name = found.name
        if name is None:
            name = change.key if isinstance(change.key, str) else repr(change.key)
        location, chain = self._places.of(change, polluter, name)
        return make_leak(
            found.kind, name, polluter, found.detail, location=location, chain=chain, severity=found.severity
        )

    def _judge(self, change: SingleChange, phase: str) -> Finding | None:
        if change.what == "entry":
            return judge_entry(change, phase, self._origins)
        if change.what == "attribute":
            return judge_attribute(change)
        if change.what == "rebound":
            return judge_rebinding(change)
        return judge_item(change, self._origins)
