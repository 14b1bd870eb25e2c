"""The windows of tests: what is parsed from marks, opened and closed."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.errors import ImportIsolationError, ImportIsolationWarning
from pytest_import_isolation.fakes.missing import INTERCEPTOR
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.functions import function_in
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.plugin.executions import Executions
from pytest_import_isolation.plugin.interruptions import Interruptions
from pytest_import_isolation.plugin.marker import MARKER, parameters_of
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.changes import NO_CHANGES
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.window.closing import close_untouched, close_with_inner
from pytest_import_isolation.window.context import IsolatedImportContext, warn_of
from pytest_import_isolation.window.open_windows import open_windows
from pytest_import_isolation.window.opening import reopen_window
from pytest_import_isolation.window.parameters import NOTHING_ASKED, Parameters, contradiction
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.wording import count

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.boundaries import Boundaries

#: The running context of a test.
context_key = pytest.StashKey["ItemContext"]()
_parameters_key = pytest.StashKey[Parameters]()
_refusal_key = pytest.StashKey[str | BaseException]()
#: How many wrong marks are told.
_MOST_MISTAKES = 20
_HOOKS_OF_TESTS = "isolated-import-windows-of-tests"
_HOOKS_OF_OTHERS = "isolated-import-windows-beside-plugins"
_HOOKS_OF_REPORTS = "isolated-import-windows-in-reports"


class ItemContext(IsolatedImportContext):
    """The context of a test: it also keeps what the test run itself needs.

    Args:
        parameters: what is different inside.
        settings: the options of the run.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        site: the line that its warnings are about.
        after: the import state after the test before, if nothing but pytest ran since.
    """

    _title = MARKER

    def __init__(
        self,
        parameters: Parameters,
        settings: Settings,
        runner: Runner,
        origins: Origins,
        site: Importer | None,
        after: ImportState | None = None,
    ) -> None:
        self._prepare(parameters, origins, site, settings.keep)
        if settings.contents != "undo":
            self._writers = None
        self._after = after
        self._settings = settings
        self._runner = runner

    def reason_to_stay(self, name: str, module: object, importer: Importer | None) -> str | None:
        """Keep what the ini file names, test modules, plugins, and what pytest imports for itself."""
        pattern = self._settings.keep.match(name)
        if pattern:
            return f"import_isolation_keep names {pattern!r}"
        return self._runner.reason_to_stay(name, module, importer)

    def resume(self, window: Window) -> bool:
        """Start with the window of the test before, if that saw nothing; tell whether that was so."""
        if not reopen_window(window, self._site):
            return False
        self._after = None
        self._windows.append(window)
        return True

    @property
    def outermost(self) -> Window | None:
        """The window that was opened first; None if the test itself has closed all of them."""
        return self._windows[0] if self._windows else None

    @property
    def innermost(self) -> Window | None:
        """The window that was opened last; None if the test itself has closed all of them."""
        return self._windows[-1] if self._windows else None

    def stop_untouched(self) -> bool:
        """Close the window if nothing at all happened in it; tell whether that was so."""
        if len(self._windows) != 1 or not close_untouched(self._windows[0]):
            return False
        self.changes = NO_CHANGES
        self._windows = []
        return True

    def stop_with_inner(self) -> list[Window]:
        """Close the window, and before it those inside it that somebody forgot to close.

        Returns:
            The forgotten windows.
        """
        windows, self._windows = self._windows, []
        if not windows or windows[0] not in open_windows:
            return []
        self.changes, forgotten = close_with_inner(windows[0])
        return forgotten


class ItemWindows:
    """Opens and closes the windows of tests.

    Args:
        manager: where the hooks of tests are registered once they are needed: they are called for each test.
        settings: the options of the run.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        boundaries: is told what the windows contain, if leaks are reported.
        executions: is told which modules were forgotten.
        interruptions: tears down what is still set up at the end of the run.
    """

    def __init__(
        self,
        manager: pytest.PytestPluginManager,
        settings: Settings,
        runner: Runner,
        origins: Origins,
        boundaries: Boundaries | None,
        executions: Executions,
        interruptions: Interruptions,
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._runner = runner
        self._boundaries = boundaries
        self._origins = origins
        self._executions = executions
        self._interruptions = interruptions
        #: The hooks that are called for each test, and those for each report; they use the windows.
        self.hooks_of_tests: object = None
        self.hooks_of_reports: object = None
        #: Those that are called beside those of other plugins.
        self.hooks_of_others: object = None
        #: The contexts of tests that are open, the innermost last.
        self.open: list[ItemContext] = []
        # The file of the test before, and its window, which is closed.
        self._last: tuple[Path | None, Window | None] = (None, None)

    def context(
        self, parameters: Parameters, site: Importer | None = None, after: ImportState | None = None
    ) -> ItemContext:
        """Return a context for a test, not opened yet.

        Args:
            parameters: what is different inside.
            site: the line that its warnings are about; by default the one that opens it.
            after: the import state after the test before, if nothing but pytest ran since.
        """
        return ItemContext(parameters, self._settings, self._runner, self._origins, site, after)

    def prepare(self, items: list[pytest.Item]) -> None:
        """Parse the marks of every test, so that mistakes end the run before it begins.

        Raises:
            pytest.UsageError: marks cannot be used; it has a message for each.
        """
        mistakes: dict[object, str] = {}
        for item in items:
            parameters = parameters_of(item, mistakes)
            if parameters is not None:
                self.watch_reports()
            elif self._settings.isolate == "test":
                parameters = NOTHING_ASKED
            if parameters is not None:
                self.watch_tests()
                mistake = contradiction(parameters.fresh, parameters.keep + self._settings.keep)
                if mistake:
                    who = f"{item.nodeid}: @pytest.mark.{MARKER}"
                    # The other parameters of the test have the same marks.
                    mistakes.setdefault((item.nodeid.partition("[")[0], mistake), f"{who}: {mistake}")
                item.stash[_parameters_key] = parameters
        if mistakes:
            more = len(mistakes) - _MOST_MISTAKES
            told = [*mistakes.values()][:_MOST_MISTAKES]
            raise pytest.UsageError(
                *told, *([f"... and {count(more, 'more wrong mark')}"] if more > 0 else [])
            )

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Put packages of the top level back, before plugins that measured them look where they lie."""
        result = yield
        with nullcontext() if self._boundaries is None else self._boundaries.unjudged():
            self._executions.put_packages_back()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_exception_interact(self) -> Generator[None, Any, Any]:
        """Let plugins find what they import to handle a failure."""
        with INTERCEPTOR.lifted():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Close what an interrupted test left open, when its fixtures are torn down."""
        if self.open:
            self._interruptions.tear_down(session)
            self.pytest_unconfigure()
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Close what is still open."""
        for context in reversed(self.open[:]):
            self.leave(context, "an interrupted test")

    def watch_tests(self) -> None:
        """Open the windows of tests in their setups, and close them after their teardowns, from now on."""
        if not self._manager.has_plugin(_HOOKS_OF_TESTS):
            self._manager.register(self.hooks_of_tests, _HOOKS_OF_TESTS)
            self._manager.register(self.hooks_of_others, _HOOKS_OF_OTHERS)

    def watch_reports(self) -> None:
        """Let pytest find all modules when it reports on tests, from now on."""
        if not self._manager.has_plugin(_HOOKS_OF_REPORTS):
            self._manager.register(self.hooks_of_reports, _HOOKS_OF_REPORTS)

    def begin_test(self, item: pytest.Item) -> None:
        """Open the window of a test, if it has one; a test whose window cannot be opened is refused."""
        parameters = item.stash.get(_parameters_key, None)
        if parameters is not None:
            self._enter(item, parameters)

    def refuse(self, item: pytest.Item) -> None:
        """Fail a test whose window could not be opened."""
        refusal = item.stash.get(_refusal_key, "")
        if isinstance(refusal, BaseException):
            raise refusal
        if refusal:
            pytest.fail(refusal, pytrace=False)

    def end_test(self, item: pytest.Item) -> None:
        """Close the window of a test, if it has one."""
        context = item.stash.get(context_key, None)
        if context is not None:
            del item.stash[context_key]
            window = context.outermost
            self.leave(context, item.nodeid)
            self._last = (item.path, window)

    def explain(
        self, item: pytest.Item, report: pytest.TestReport, failure: pytest.ExceptionInfo[BaseException]
    ) -> None:
        """Add to a report of a failure what the window of the test has to do with it.

        Args:
            item: the test.
            report: of one of its phases.
            failure: what was raised.
        """
        context = item.stash.get(context_key, None)
        window = context.innermost if context is not None else None
        if window is not None:
            self._executions.explain_fresh(report, failure, window)

    def _enter(self, item: pytest.Item, parameters: Parameters) -> None:
        (file, last), self._last = self._last, (None, None)
        if file != item.path:
            last = None  # another file may be in another world
        context = self.context(parameters, _site_of(item), last.around if last else None)
        item.stash[_refusal_key] = ""
        try:
            if last is None or parameters or not context.resume(last):
                context.start()
        except (ImportIsolationError, ImportIsolationWarning) as error:
            item.stash[_refusal_key] = f"{item.nodeid}: @pytest.mark.{MARKER}: {error}"
            return
        except Exception as error:  # the source text of a fake, or the real module of an autospec
            item.stash[_refusal_key] = (
                f"{item.nodeid}: @pytest.mark.{MARKER}: {type(error).__name__}: {error}"
            )
            return
        except BaseException as error:  # a module may end the run, or skip the test, when it is imported
            item.stash[_refusal_key] = error
            return
        item.stash[context_key] = context
        self.open.append(context)

    def enter(self, context: ItemContext) -> None:
        """Open a window in the middle of a test, for a fixture that was asked for there."""
        self.watch_tests()
        self.watch_reports()
        context.start()
        self.open.append(context)

    def leave(self, context: ItemContext, nodeid: str) -> None:
        """Close a window, and before it those that the test forgot to close inside it."""
        self.open.remove(context)
        window = context.outermost
        if window is None or context.stop_untouched():  # without a window the test called stop() itself
            return
        window.admit_installed_later()
        if self._boundaries is not None:
            self._boundaries.record_contained(window.differences())
            self._boundaries.record_contained_contents(window.written())
        forgotten = context.stop_with_inner()
        if self._boundaries is not None and window.kept_taints:
            self._boundaries.record_kept_taints(window.kept_taints, Polluter(nodeid, "call"))
        self._executions.note(context.changes, nodeid, window)
        for inner in forgotten:
            opened_by = inner.opened_by
            warnings.warn_explicit(
                f"{nodeid} left {inner} open; it was closed now. Use a with statement, or call stop().",
                ImportIsolationWarning,
                opened_by.file if opened_by else "<unknown>",
                opened_by.line if opened_by else 0,
            )
        warn_of(window)


def _site_of(item: pytest.Item) -> Importer | None:
    """Return the line at which a test, with its decorators, begins; the line of its mark as a rule."""
    function = function_in(getattr(item, "obj", None))
    if function is None:
        return None
    name = (namespace(getattr(item, "module", None)) or {}).get("__name__")
    code = function.__code__
    return Importer(name if type(name) is str else "?", code.co_filename, code.co_firstlineno)
