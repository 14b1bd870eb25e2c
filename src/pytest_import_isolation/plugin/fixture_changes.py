"""What fixtures of a wider scope change: no leak as long as the fixture is alive."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import pytest

from pytest_import_isolation.leaks.entries import is_first_import
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.state.snapshot import ImportState


class _Pending(NamedTuple):
    """The changes of a fixture that is alive."""

    polluter: Polluter
    single_changes: list[SingleChange]


class FixtureChanges:
    """The hooks that watch fixtures of a wider scope.

    Args:
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        judge: judges changes.
        found: takes the leaks.
    """

    def __init__(self, runner: Runner, origins: Origins, judge: Judge, found: FoundLeaks) -> None:
        self._runner = runner
        self._origins = origins
        self._judge = judge
        self._found = found
        self._pending: dict[int, _Pending] = {}
        # What such fixtures changed and undid during the running test.
        self._ended: list[SingleChange] = []

    @property
    def explains_any(self) -> bool:
        """Whether there are changes for which the running test does not answer."""
        return bool(self._pending or self._ended)

    @property
    def explained(self) -> list[SingleChange]:
        """The changes for which the running test does not answer."""
        return [*self._ended, *(change for pending in self._pending.values() for change in pending[1])]

    def begin_test(self) -> None:
        """Forget the fixtures that ended in the test before."""
        self._ended = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Attribute to a fixture of a wider scope what its setup changes, until it is torn down."""
        if fixturedef.scope == "function":
            return (yield)
        before = ImportState.capture()
        try:
            return (yield)
        finally:
            changed = [
                change
                for change in single_changes(before.differences(is_own_finder))
                if not is_first_import(change, self._origins)
            ]
            if changed:
                self._pending[id(fixturedef)] = _Pending(Polluter(request.node.nodeid, "setup"), changed)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Report what a fixture of a wider scope did not undo."""
        pending = self._pending.pop(id(fixturedef), None)
        if pending is None:
            return
        self._ended += pending.single_changes
        for change in pending.single_changes:
            if not change.is_in_place:
                self._ended.append(change.undone())
            elif not self._runner.is_own(change):
                leak = self._judge.leak(change, pending.polluter)
                if leak is not None:
                    self._found.record(leak, change=change)
