"""Recording the modules that a test or the collection of a file imported first under a patch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.patched_imports import PatchedImports, SharedEnvironments
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.report.records import WARNING, Location, Polluter, make_leak
from pytest_import_isolation.state.single_changes import SingleChange

if TYPE_CHECKING:
    from collections.abc import Collection, Set

    from pytest_import_isolation.contents.changes import ContentChange
    from pytest_import_isolation.state.origins import Origins


class PatchedModules:
    """Records them as leaks.

    Args:
        origins: gives the verdicts on modules.
        here: returns the test or file that is running, and its phase.
        written: returns what test code has written to modules; see :class:`.PatchedImports`.
        found: takes the leaks.
        places: knows lines.
        is_undone: whether what tests do to modules is undone when their file is over.
    """

    def __init__(
        self,
        origins: Origins,
        here: Callable[[], Polluter | None],
        written: Callable[[Callable[[], Set[int]]], Collection[ContentChange]],
        found: FoundLeaks,
        places: Places,
        *,
        is_undone: bool,
    ) -> None:
        #: Finds them.
        self.imports = PatchedImports(origins, here, written, self._setters)
        self._found = found
        self._places = places
        self._is_undone = is_undone
        self._environments = SharedEnvironments()
        self._test: pytest.Item | None = None

    def begin_test(self, item: pytest.Item) -> None:
        """Take what is there now as what is around a test."""
        self._test = item
        self.imports.begin()

    def begin_collection(self) -> None:
        """Take what is there now as what is around the collection of a test file."""
        self._test = None
        self.imports.begin(is_collection=True)

    def begin_call(self) -> None:
        """Take note that a test is set up."""
        self._environments.begin_call()

    @property
    def excused(self) -> list[int]:
        """The numbers of leaks that are none: all later tests had the environment that a module read."""
        return self._environments.shared()

    def _setters(self) -> dict[str, str]:
        """Return what set variables of the environment, as far as monkeypatch did."""
        patch = getattr(self._test, "funcargs", {}).get("monkeypatch")
        items = getattr(patch, "_setitem", ()) if type(patch) is pytest.MonkeyPatch else ()
        return {key: "monkeypatch" for where, key, _ in items if where is os.environ and type(key) is str}

    def take(
        self,
        by: Callable[[str, Polluter], Polluter | None],
        place: Callable[[str], Location | None],
        *,
        are_contained: bool,
    ) -> None:
        """Record those that stay loaded at the end of a test, or of a file's collection.

        Args:
            by: returns who imported a module first, given who ran then.
            place: returns the statement that did so.
            are_contained: whether the file that was collected keeps them to itself.
        """
        for patched, detail in self.imports.take():
            polluter = by(patched.name, patched.by) or patched.by
            if polluter.nodeid != patched.by.nodeid:
                continue  # a second copy, which is told as what took the place of the first
            leak = make_leak(
                "tainted",
                patched.name,
                polluter,
                detail,
                location=place(patched.name) or self._places.of_text(polluter, patched.name),
                severity=WARNING,
                case="tainted-by-variable" if patched.has_left_variables else "tainted-by-patch",
            )
            change = SingleChange("entry", patched.name, ABSENT, sys.modules.get(patched.name))
            number = len(self._found.leaks)
            contained = are_contained if self._test is None else self._is_undone
            self._found.record_suspect(leak, change, contained=contained)
            if len(self._found.leaks) > number and not patched.is_refused:
                self._environments.note(number, patched)
