"""Conftests and first-party plugins: what their bodies and hooks change is a decision for many tests."""

from __future__ import annotations

import os
from typing import Final

from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.paths import CONFTEST, is_conftest
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.statements import Step

#: How the names of hooks begin that are called for a test, or for the tests of a file.
_OF_NODES: Final = (
    *("pytest_runtest_", "pytest_fixture_", "pytest_pyfunc_", "pytest_assert", "pytest_exception_"),
    *("pytest_generate_", "pytest_make_", "pytest_pycollect_", "pytest_item"),
    *("pytest_collectstart", "pytest_collectreport", "pytest_subtest"),
)


class Deciders:
    """Knows the files whose changes are decisions.

    Args:
        places: knows which statement made a change.
        origins: knows the test files.
    """

    def __init__(self, places: Places, origins: Origins) -> None:
        self._places = places
        self._origins = origins
        # The plugins that were seen to change something, and conftests above the root.
        self._others: set[str] = set()

    def of(self, change: SingleChange) -> str | None:
        """Return the file whose hook or body was seen to make a change, if that is such a file.

        What its fixtures and other functions do is the doing of who asks for that, and what a hook does that
        pytest calls for a test, or for a file, that of the test or file.
        """
        entry = self._places.entry_of(change)
        if entry is None:
            return None
        is_body = entry.code == "<module>" and is_conftest(entry.file)
        is_decided = is_body or (self._is_hook(entry) and not entry.code.startswith(_OF_NODES))
        return self.add(entry.file) if is_decided else None

    def is_by_hook(self, change: SingleChange) -> bool:
        """Tell whether a hook of such a file was seen to make a change, whatever it was called for."""
        entry = self._places.entry_of(change)
        return entry is not None and self._is_hook(entry)

    def _is_hook(self, entry: Step) -> bool:
        return entry.is_hook and (is_conftest(entry.file) or not self._origins.is_test_file(entry.file))

    def add(self, file: str) -> str:
        """Take note that a file decides; return its name as node ids have it."""
        name = self._places.shorten(file)
        self._others.add(name)
        return name

    def has(self, polluter: Polluter) -> bool:
        """Tell whether a change is a decision, by who made it."""
        nodeid = polluter.nodeid
        if nodeid in self._others or is_conftest(nodeid):
            return True
        return any(nodeid == self._places.shorten(file) for file in self._origins.plugin_files)


def folder_of(nodeid: str) -> str | None:
    """Return how the node ids begin for which a conftest decides; None for a root's, and for other files."""
    if not is_conftest(nodeid) or os.path.isabs(nodeid):
        return None
    return nodeid.removesuffix(CONFTEST) or None
