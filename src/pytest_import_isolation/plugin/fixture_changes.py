"""What fixtures of a wider scope change: no leak as long as the fixture is alive."""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import Any, Final, NamedTuple

import pytest

from pytest_import_isolation.leaks.entries import is_first_import
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.executed_modules import EXECUTED, Maker

# Their fixtures change nothing before a test tells them to, and undo it at the end.
_SAYS_WHAT_TESTS_SAY: Final = frozenset(("_pytest", "pytest_import_isolation"))


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
        # The state before the teardown of a plugin's fixture, by the fixture's identity.
        self._torn_down: dict[int, ImportState] = {}
        # Whether a fixture of the users' own was set up since that of a plugin began.
        self._calls_users = False
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
        if self._plugin_of(fixturedef) is not None:
            return (yield from self._set_up_for_a_plugin(fixturedef))
        self._calls_users = True
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

    def _plugin_of(self, fixturedef: pytest.FixtureDef[Any]) -> Maker | None:
        """Return the module of an installed plugin that defines a fixture, None for any other fixture."""
        code = getattr(fixturedef.func, "__code__", None)
        file = getattr(code, "co_filename", "")
        if not self._origins.is_installed(file) or fixturedef.baseid:
            return None
        name = str(getattr(fixturedef.func, "__module__", ""))
        return None if top_level(name) in _SAYS_WHAT_TESTS_SAY else Maker(name, file)

    def _set_up_for_a_plugin(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Let a plugin answer for what it does in the setup of its fixture, and in the teardown.

        Unless a fixture of the users' own is set up in the midst of it.
        """
        around, self._calls_users = self._calls_users, False
        before = ImportState.capture()
        try:
            return (yield)
        finally:
            if not self._calls_users:
                self._attribute(fixturedef, before)
            self._calls_users = around or self._calls_users
            # Finalizers run in reverse order: this one before the fixture's own.
            fixturedef.addfinalizer(functools.partial(self._begin_teardown, fixturedef))

    def _begin_teardown(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self._torn_down[id(fixturedef)] = ImportState.capture()

    def _attribute(self, fixturedef: pytest.FixtureDef[Any], before: ImportState) -> None:
        maker = self._plugin_of(fixturedef)
        if maker is not None:
            EXECUTED.attribute(single_changes(before.differences(is_own_finder)), maker)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Report what a fixture of a wider scope did not undo."""
        before = self._torn_down.pop(id(fixturedef), None)
        if before is not None:
            self._attribute(fixturedef, before)
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
