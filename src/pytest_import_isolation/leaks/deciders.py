"""Conftests and first-party plugins: what their bodies and hooks change is a decision for many tests."""

from __future__ import annotations

import os
from typing import Final

from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange

_CONFTEST: Final = "conftest.py"


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

        What its fixtures and other functions do is the doing of who asks for that.
        """
        entry = self._places.entry_of(change)
        if entry is None:
            return None
        if is_conftest(entry.file):
            is_decided = entry.is_hook or entry.code == "<module>"
        else:
            is_decided = entry.is_hook and not self._origins.is_test_file(entry.file)
        return self.add(entry.file) if is_decided else None

    def add(self, file: str) -> str:
        """Take note that a file decides; return its name as node ids have it."""
        name = self._places.shorten(file)
        self._others.add(name)
        return name

    def has(self, polluter: Polluter) -> bool:
        """Tell whether a change is a decision, by who made it."""
        return polluter.nodeid in self._others or is_conftest(polluter.nodeid)


def is_conftest(file: str) -> bool:
    """Tell whether a file, or a node id, is that of a conftest."""
    return os.path.basename(file) == _CONFTEST


def folder_of(nodeid: str) -> str | None:
    """Return how the node ids begin for which a conftest decides; None for a root's, and for other files."""
    if not is_conftest(nodeid) or os.path.isabs(nodeid):
        return None
    return nodeid.removesuffix(_CONFTEST) or None
