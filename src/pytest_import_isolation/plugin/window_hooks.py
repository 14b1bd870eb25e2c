"""The hooks of tests that have windows; registered once a test has one, since all tests pay for them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_import_isolation.fakes.missing import INTERCEPTOR
from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.plugin.patched_everywhere import bring_back_for
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.window.adoption import follow_exchanged

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.windows import ItemWindows

_LOGGING_HOOKS: Final = "isolated-import-windows-at-logging"


class WindowHooks:
    """Opens the window of a test in its setup, and closes it after its teardown.

    The hook points were found by trying: only these are right for session fixtures, reruns, unittest
    methods, doctests and a fixture's teardown alike.

    Args:
        windows: the windows.
    """

    def __init__(self, windows: ItemWindows) -> None:
        self._windows = windows

    # Users' code may raise here: a wrapper of the new style is a frame in its traceback.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Open the window before any fixture is set up."""
        bring_back_for(item)
        self._windows.begin_test(item)
        yield

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_setup")
    def pytest_runtest_setup_refused(self, item: pytest.Item) -> None:
        """Fail a test whose window could not be opened."""
        # Here and not in the wrapper: the wrappers of other plugins have to begin before they can end.
        self._windows.refuse(item)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Close the window after every fixture was torn down."""
        try:
            yield
        finally:
            self._windows.end_test(item)


class ReportHooks:
    """Lets pytest report on tests that have modules missing, faked or fresh.

    Args:
        windows: the windows.
    """

    def __init__(self, windows: ItemWindows) -> None:
        self._windows = windows

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Let pytest find what it imports to report on a test that has it missing."""
        # Nothing is blocked between most tests, and a context manager costs more than the question.
        if not INTERCEPTOR.blocks:
            return (yield)
        with INTERCEPTOR.lifted():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True, specname="pytest_runtest_makereport")
    def pytest_runtest_makereport_explained(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, Any, Any]:
        """Explain a failure before the wrappers of other plugins see its report."""
        report = yield
        if call.excinfo is not None and report.outcome == "failed":
            self._windows.explain(item, report, call.excinfo)
        return report


class OtherPlugins:
    """Lets what other plugins change between two phases of a test belong to the state around its window.

    pyfakefs takes its file system away while pytest reports on a test, and puts another one there.

    Args:
        windows: the windows.
        manager: knows the other plugins.
    """

    def __init__(self, windows: ItemWindows, manager: pytest.PytestPluginManager) -> None:
        self._manager = manager
        self._logging = _LoggingHooks(windows)

    def pytest_plugin_registered(self) -> None:
        """Be there when a test is logged, once a plugin is neither pytest's nor of this one that is, too."""
        if not self._manager.has_plugin(_LOGGING_HOOKS):
            implementations = self._manager.hook.pytest_runtest_logreport.get_hookimpls()
            homes = {top_level(str(one.function.__module__)) for one in implementations}
            if not homes <= {"_pytest", top_level(__name__)}:
                self._manager.register(self._logging, _LOGGING_HOOKS)


class _LoggingHooks:
    """The hooks that are called when a phase of a test is logged.

    Args:
        windows: the windows.
    """

    def __init__(self, windows: ItemWindows) -> None:
        self._windows = windows

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, None, None]:
        """Follow what changes."""
        window = self._windows.open[-1].outermost if self._windows.open else None
        if window is None:
            return (yield)
        before = ImportState.capture()
        try:
            return (yield)
        finally:
            FINDER.give_back()
            follow_exchanged(window, before)
            del before
            # The last snapshot holds what a plugin may have thrown out, and nobody shall find that alive.
            ImportState.capture()
