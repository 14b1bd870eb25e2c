"""What fixtures of a wider scope and packages do in the window of a test or file that ends before them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.errors import ImportIsolationWarning
from pytest_import_isolation.machinery.functions import function_of
from pytest_import_isolation.plugin.fixture_scopes import would_outlive_file
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.window.adoption import (
    HeldThen,
    adopting,
    contents_now,
    follow_contents,
    follow_from,
)
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.wording import listing

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.file_runs import FileRuns
    from pytest_import_isolation.plugin.windows import ItemContext


class FixtureAdoption:
    """Lets what a fixture of a wider scope loads, and what its teardown undoes, belong to the world outside.

    Args:
        contexts: those of tests that are open; it changes.
        runs: knows the worlds in which the windows are, if the whole suite is isolated.
    """

    def __init__(self, contexts: Sequence[ItemContext], runs: FileRuns | None) -> None:
        self._contexts = contexts
        self._runs = runs
        # The state before the teardown of a fixture that is being torn down, by the fixture's identity.
        self._finalizing: dict[int, tuple[ImportState, HeldThen]] = {}
        # Made when there is one of them.
        self._file_fixtures: FileFixtures | None = None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, None]:
        """Let what a fixture of a wider scope loads belong to the world outside of the test's window."""
        if fixturedef.scope == "function":
            yield
            return
        if self._runs is not None and would_outlive_file(fixturedef):
            self._end_with_file(fixturedef, request, self._runs)
        refused: dict[str, str] = {}
        try:
            window = self._window_inside(fixturedef)
            if window is None:
                yield
            else:
                with adopting(window) as refused:
                    yield
        finally:
            # Finalizers run in reverse order: this one before the fixture's own.
            fixturedef.addfinalizer(functools.partial(self._before_finalizer, fixturedef))
            if refused:
                _warn_of(refused, fixturedef)

    def _end_with_file(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest, runs: FileRuns
    ) -> None:
        if self._file_fixtures is None:
            self._file_fixtures = FileFixtures(runs)
            request.config.pluginmanager.register(self._file_fixtures)
        self._file_fixtures.add(fixturedef, request)

    def _window_inside(self, fixturedef: pytest.FixtureDef[Any] | None) -> Window | None:
        """Return the outermost window that ends before a fixture of a wider scope, or a package (None)."""
        window = self._runs.window_inside(fixturedef) if self._runs else None
        return self._contexts[-1].innermost if window is None and self._contexts else window

    def _before_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self._begin_teardown(fixturedef, self._window_inside(fixturedef))

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Let what the teardown of a fixture of a wider scope undid stay undone after the test's window."""
        if id(fixturedef) in self._finalizing:  # as no fixture of a single test is
            self._end_teardown(fixturedef, self._window_inside(fixturedef))

    def _begin_teardown(self, of: object, window: Window | None) -> None:
        if window is not None:
            self._finalizing[id(of)] = ImportState.capture(), contents_now(window)

    def _end_teardown(self, of: object, window: Window | None) -> None:
        then = self._finalizing.pop(id(of), None)
        if window is not None and then is not None:
            before, held = then
            follow_contents(window, held)
            follow_from(window, before)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Let what the setup of a package does belong to the world outside of its first test's window.

        pytest imports the package then, which adds a folder to the path, and calls ``setup_module`` in it.
        """
        seen: set[pytest.Collector] = set()
        for item in session.items:
            node: Any = item.parent
            while node is not None and node not in seen:
                seen.add(node)
                if isinstance(node, pytest.Directory) and type(node).setup is not pytest.Directory.setup:
                    vars(node)["setup"] = functools.partial(self._set_up, node, node.setup)
                node = node.parent

    def _set_up(self, package: pytest.Directory, setup: Callable[[], None]) -> None:
        __tracebackhide__ = True  # a failure shows the package
        window = self._window_inside(None)
        if window is None:
            setup()
            return
        # Finalizers run in reverse order: the package's own between these two.
        package.addfinalizer(lambda: self._end_teardown(package, self._window_inside(None)))
        with adopting(window):
            setup()
        package.addfinalizer(lambda: self._begin_teardown(package, self._window_inside(None)))


class FileFixtures:
    """Tears down with the last test of a file the fixtures of it that would outlive it.

    No other file can request them. What they changed is put away with the file: a later teardown would not
    find it, and the tests of other files shall not.

    Args:
        runs: knows which test is the last one.
    """

    def __init__(self, runs: FileRuns) -> None:
        self._runs = runs
        self._fixtures: list[tuple[Any, pytest.FixtureRequest]] = []

    def add(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
        """Expect a fixture to be torn down with the file that runs."""
        self._fixtures.append((fixturedef, request))

    # Inside of what closes the window of the test: it is in the world of the file.
    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, Any, None]:
        """Tear down what the file has set up."""
        outcome = yield
        if not self._fixtures or not self._runs.ends_with(item, nextitem):
            return
        while self._fixtures:
            fixturedef, request = self._fixtures.pop()
            try:
                fixturedef.finish(request)
            except BaseException as error:  # also pytest.exit() and Ctrl-C
                if outcome.excinfo is None:
                    outcome.force_exception(error)


def _warn_of(refused: dict[str, str], fixturedef: pytest.FixtureDef[Any]) -> None:
    function = function_of(fixturedef.func)
    code = None if function is None else function.__code__
    shown = listing([f"{name} ({reason})" for name, reason in refused.items()])
    warnings.warn_explicit(
        f"the {fixturedef.scope}-scoped fixture {fixturedef.argname!r} was set up while these modules "
        f"differed from their state elsewhere: {shown}. They are undone with the test or file that "
        "changed them, but the fixture still holds objects from them. Request the fixture earlier, "
        "where nothing is faked, or give it function scope.",
        ImportIsolationWarning,
        code.co_filename if code else "<unknown>",
        code.co_firstlineno if code else 0,
    )
