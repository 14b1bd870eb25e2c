"""What installed plugins change in their fixtures: these answer for it, and not the tests that use them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any, Final, Protocol

import pytest

from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.functions import function_of
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.plugin.wrapped_functions import users_file
from pytest_import_isolation.state.differences import NO_DIFFERENCE, Difference
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import single_changes
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.makers import Maker
from pytest_import_isolation.window.open_windows import innermost_window

# Their fixtures change nothing before a test tells them to, and undo it at the end.
_SAYS_WHAT_TESTS_SAY: Final = frozenset(("_pytest", "pytest_import_isolation"))
_HOOKS_OF_TESTS: Final = "import-leaks-of-plugin-fixtures-in-tests"


class PluginFixtures:
    """The hooks that look at the import state around the setup and the teardown of such a fixture.

    Args:
        manager: where the hooks of tests are registered once they are needed: they are called for each test.
        origins: knows what is installed.
    """

    def __init__(self, manager: pytest.PytestPluginManager, origins: Origins) -> None:
        self._manager = manager
        self._origins = origins
        # The plugins that define fixtures, by a fixture's identity.
        self._plugins: dict[int, tuple[pytest.FixtureDef[Any], Maker | None]] = {}
        # The state before the teardown of a plugin's fixture, by the fixture's identity.
        self._torn_down: dict[int, ImportState] = {}
        # Whether a fixture of the users' own was set up since that of a plugin began, and how many fixtures
        # are being set up, each in the midst of the one before.
        self._calls_users = False
        self._depth = 0
        # The state of a moment ago: some plugins have a dozen for each test. Not kept while users' code runs,
        # since it holds modules.
        self._last: ImportState | None = None
        # What there is after the setup or teardown of a plugin's fixture, until anything else is seen.
        self._fresh: ImportState | None = None
        # The state since which the attributes of packages were not looked at, and the plugin whose fixture
        # was set up or torn down last: several follow each other, and to look at them takes most of the time.
        self._unread: tuple[ImportState, Maker] | None = None
        #: Returns a state that somebody keeps anyway, and that may still be that of now.
        self.kept: Callable[[], ImportState | None] = _around_window
        # Whether tests are set up or torn down now: then nothing but pytest runs between two fixtures.
        self._is_in_phase = False

    def plugin_of(self, fixturedef: pytest.FixtureDef[Any]) -> Maker | None:
        """Return the module of an installed plugin that defines a fixture, None for any other fixture."""
        known, maker = self._plugins.get(id(fixturedef), (None, None))
        if known is not fixturedef:
            maker = self._find_plugin_of(fixturedef)
            self._plugins[id(fixturedef)] = fixturedef, maker
        return maker

    def _find_plugin_of(self, fixturedef: pytest.FixtureDef[Any]) -> Maker | None:
        function = function_of(fixturedef.func)
        if function is None or fixturedef.baseid:
            return None
        # A conftest of the root directory has no other base than a plugin.
        if users_file(function, self._origins) is not None:
            return None
        name = str(function.__module__)
        if top_level(name) in _SAYS_WHAT_TESTS_SAY:
            return None
        return Maker(name, function.__code__.co_filename, is_call=True)

    # Users' code may raise here: a wrapper of the new style is a frame in its traceback.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, None]:
        """Let a plugin answer for what it does in the setup of its fixture, and in the teardown.

        Unless a fixture of the users' own is set up in the midst of it.
        """
        maker = self.plugin_of(fixturedef)
        if maker is None:
            self._read()
            self._calls_users = True
            self._forget()
            self._depth += 1
            yield
            self._depth -= 1
            self._forget()
            # Before the teardown: finalizers run in reverse order.
            fixturedef.addfinalizer(self._read)
            return
        around, self._calls_users = self._calls_users, False
        before = self._take(fixturedef)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._calls_users:
                self._compare(maker, before)
            self._calls_users = around or self._calls_users
            self._end(fixturedef)
            fixturedef.addfinalizer(functools.partial(self._begin_teardown, fixturedef))

    def _begin_teardown(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self._torn_down[id(fixturedef)] = self._take(fixturedef)

    def _take(self, fixturedef: pytest.FixtureDef[Any]) -> ImportState:
        fresh, self._fresh = self._fresh, None
        if not self._manager.has_plugin(_HOOKS_OF_TESTS):
            self._manager.register(_Phases(self._begin_phase), _HOOKS_OF_TESTS)
        if self._last is None and fixturedef.scope == "function":  # around a wider one it may be changed
            kept = fresh or self.kept()
            if kept is not None and (kept is fresh or kept.is_unchanged()):
                return kept
        # Nothing but pytest runs after a fixture, unless that is a part of another one. In one that asks for
        # another, anything may have run.
        if self._last is None or not (self._last is fresh or self._last.is_unchanged()):
            self._read()
            self._last = ImportState.capture()
        return self._last

    def _forget(self) -> None:
        self._last = self._fresh = None

    def _begin_phase(self, *, is_for_fixtures: bool) -> None:
        """Keep no state: users' code runs."""
        self._read()
        self._forget()
        self._is_in_phase = is_for_fixtures

    def _end(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        if not self._is_in_phase or self._depth:
            self._fresh = None
        if self._fresh is None or fixturedef.scope != "function":  # which is judged at once
            self._read()

    def _compare(self, maker: Maker | None, before: ImportState) -> None:
        """Let a plugin answer for what has changed in the setup or teardown of its fixture."""
        is_same = before.holds_still()
        self._fresh = before if is_same else None
        if maker is not None and is_same:
            self._unread = before, maker
        else:
            self._unread = None
            self._attribute(maker, before.differences(is_own_finder))

    def _read(self) -> None:
        """Look at the attributes of packages after plugins' fixtures."""
        if self._unread is not None:
            (before, maker), self._unread = self._unread, None
            self._attribute(maker, NO_DIFFERENCE._replace(bindings=dict(before.changed_bindings())))

    # Before those who judge what the fixture left.
    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Let a plugin answer for what its teardown did."""
        before = self._torn_down.pop(id(fixturedef), None)
        if before is None:
            self._forget()
            return
        self._compare(self.plugin_of(fixturedef), before)
        self._end(fixturedef)

    def _attribute(self, maker: Maker | None, difference: Difference) -> None:
        if not difference:
            return
        self._forget()
        if maker is not None:
            from pytest_import_isolation.leaks.entries import is_first_import  # most fixtures change nothing

            changes = single_changes(difference)
            # A real module is that of who asked for it: first-party ones are executed anew.
            EXECUTED.attribute((one for one in changes if not is_first_import(one, self._origins)), maker)


def _around_window() -> ImportState | None:
    window = innermost_window()
    return None if window is None else window.around


class _Begin(Protocol):
    """What is called when a phase of a test begins or ends."""

    def __call__(self, *, is_for_fixtures: bool) -> object:
        """Take note of it.

        Args:
            is_for_fixtures: whether fixtures are set up or torn down from now on.
        """


class _Phases:
    """The hooks of the phases of tests.

    Args:
        begin: called when one begins, and when the last is over.
    """

    def __init__(self, begin: _Begin) -> None:
        self._begin = begin

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Tell of it."""
        self._begin(is_for_fixtures=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Tell of it."""
        self._begin(is_for_fixtures=False)

    # Within those who judge what the teardown has changed. Users' code may raise here: a wrapper of the new
    # style is a frame in its traceback.
    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, None]:
        """Tell of it, and of its end."""
        self._begin(is_for_fixtures=True)
        yield
        self._begin(is_for_fixtures=False)
