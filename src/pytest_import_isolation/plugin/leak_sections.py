"""Telling a failing test or file which leaks it met, and which modules were loaded or executed before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile, islice
from types import TracebackType
from typing import Any

import pytest

from pytest_import_isolation.leaks.exposures import FAILURES
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.hints import (
    EXECUTED_TITLE,
    GUARD_TITLE,
    executed_hint,
    guard_hint,
    hint,
    title_of,
)
from pytest_import_isolation.leaks.holders import Failure, Holder
from pytest_import_isolation.leaks.loaded_before import LoadedBefore
from pytest_import_isolation.leaks.touched import Touched, steps
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.plugin.fixture_functions import fixture_functions
from pytest_import_isolation.plugin.sections import Section, add_section, may_be_expected
from pytest_import_isolation.report.seen_from import Relocate, leaks_seen_from


class LeakSections:
    """Takes note of what tests and collections come to, and adds sections to the reports of failures.

    The sections are there before other plugins see the report of a test: some of them, such as allure-pytest,
    read its text in ``pytest_runtest_makereport``, and with pytest-forked the process that knows ends before
    the report is logged. Some failures are known only when they are logged: those of tests that may be
    expected to fail, and those that another plugin's hook makes of a success.

    Args:
        found: the leaks up to now.
        loaded_before: finds what a failing test wanted absent, or executed.
        running: returns the test that runs, if any.
        around: what is called before there are sections, and with a report that has them: it may get another.
        relocate: gives paths as the user sees them; None if they are relative to rootdir.
    """

    def __init__(
        self,
        found: FoundLeaks,
        loaded_before: LoadedBefore,
        running: Callable[[], pytest.Item | None],
        around: tuple[Callable[[], None], Callable[[pytest.TestReport], None]],
        relocate: Relocate | None = None,
    ) -> None:
        self._found = found
        self._loaded_before = loaded_before
        self._running = running
        self._blame, self._hint = around
        self._relocate = relocate
        # Of the phases of the last test: plugins that run tests again log them later, all at once.
        self._calls: dict[str, pytest.CallInfo[Any]] = {}
        self._told: list[tuple[pytest.TestReport, list[Section]]] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Be the first to be asked for reports, although a conftest of the tests may want to make them."""
        manager = session.config.pluginmanager
        if next(_makers(manager.hook.pytest_runtest_makereport)).plugin is not self:
            name = manager.get_name(self)
            manager.unregister(self)
            manager.register(self, name)

    # A wrapper would cost each phase of each test more than all else that is done there.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> pytest.TestReport | None:
        """Tell a failing test which leaks it met, before the wrappers of other plugins see its report."""
        if call.when == "setup":
            self._calls.clear()
            self._told.clear()
        self._calls[call.when] = call
        if call.excinfo is None or item is not self._running():
            return None
        report = self._made_by_others(item, call)
        if report is not None and report.outcome == "failed" and not may_be_expected(item, call):
            sections = self._sections_of_test(report, item, call)
            self._told.append((report, sections))
            for section in sections:
                add_section(report, *section)
            self._hint(report)
        return report

    def _made_by_others(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> pytest.TestReport | None:
        """Return the report that the first of the others makes, as pluggy would call them after this one."""
        given: dict[str, object] = {"item": item, "call": call}
        makers = dropwhile(
            lambda maker: maker.plugin is not self, _makers(item.ihook.pytest_runtest_makereport)
        )
        reports = (maker.function(*map(given.get, maker.argnames)) for maker in islice(makers, 1, None))
        return next((report for report in reports if report is not None), None)

    def note_test(self, report: pytest.TestReport) -> None:
        """Take note of what a phase of a test came to.

        Args:
            report: of the phase.
        """
        test = self._running()
        if test is None or report.nodeid != test.nodeid:
            return
        if report.failed:
            self._blame()
        outcome = _outcome_of(report, str(report.when))
        self._found.note_outcome(report.nodeid, str(report.when), outcome)
        if outcome not in FAILURES:
            return
        sections = next((sections for told, sections in self._told if told is report), None)
        if sections is None:
            sections = self._sections_of_test(report, test, self._calls.get(str(report.when)))
        for section in sections:
            add_section(report, *section)

    def _sections_of_test(
        self, report: pytest.TestReport, test: pytest.Item, call: pytest.CallInfo[Any] | None
    ) -> list[Section]:
        """Return what there is to say of a failure."""
        self._blame()
        module = test.getparent(pytest.Module)
        space = namespace(getattr(module, "_obj", None)) or {}
        name = str(space.get("__name__"))
        error = call.excinfo.value if call is not None and call.excinfo is not None else None
        own = [Holder(name, space)] if space else []
        sections = self._met(report, str(report.when), error, own, [*_functions_of(test)])
        if error is None:
            return sections
        sections += self._guards(report, error)
        if not sections and not issubclass(type(error), pytest.FixtureLookupError):  # nothing of it ran
            executed = self._loaded_before.wanted_executed(error, _functions_of(test), name, report.nodeid)
            if executed:
                sections.append((EXECUTED_TITLE, executed_hint(leaks_seen_from(executed, self._relocate))))
        return sections

    def note_collection(self, report: pytest.CollectReport) -> None:
        """Take note of what a collection came to."""
        outcome = _outcome_of(report, "collect")
        self._found.note_outcome(report.nodeid, "collect", outcome)
        if outcome not in FAILURES:
            return
        excinfo = getattr(getattr(report, "call", None), "excinfo", None)
        error = None if excinfo is None else excinfo.value
        sections = self._met(report, "collect", error)
        if error is not None:
            sections += self._guards(report, error)
        for section in sections:
            add_section(report, *section)

    def _met(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        phase: str,
        error: BaseException | None,
        own: Sequence[Holder] = (),
        functions: Sequence[object] = (),
    ) -> list[Section]:
        text, passed = str(report.longrepr), list(steps(error))
        frames = [step.tb_frame for step in reversed(passed)]
        failure = Failure(text, [*own, *map(_holder_at, passed)], functions, frames)
        touched: list[Touched] = []

        def touches(name: str) -> bool:
            if not touched:  # most failures met nothing
                touched.append(Touched(error, text))
            return touched[0](name)

        met = self._found.met_by_failing(report.nodeid, phase, failure, touches)
        if not met:
            return []
        return [(title_of(met), hint([one.seen_from(self._relocate) for one in met]))]

    def _guards(
        self, report: pytest.TestReport | pytest.CollectReport, error: BaseException
    ) -> list[Section]:
        loaded = self._loaded_before.wanted_absent(error, report.nodeid)
        if not loaded:
            return []
        users = self._loaded_before.users_of(leak.name for leak in loaded)
        return [(GUARD_TITLE, guard_hint(leaks_seen_from(loaded, self._relocate), users))]


def _makers(hook: Any) -> Iterator[Any]:
    """Yield the implementations of a hook that are no wrappers, in the order in which they are called."""
    return (one for one in reversed(hook.get_hookimpls()) if not (one.hookwrapper or one.wrapper))


def _holder_at(step: TracebackType) -> Holder:
    frame = step.tb_frame
    # Code may run in a mapping of the user's own.
    space = frame.f_globals if type(frame.f_globals) is dict else {}
    name = space.get("__name__")
    place = frame.f_code.co_filename, step.tb_lineno or 0
    return Holder(name if type(name) is str else "", space, place, frame.f_code)


def _outcome_of(report: pytest.TestReport | pytest.CollectReport, phase: str) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else report.outcome
    return "error" if report.failed and phase != "call" else report.outcome


def _functions_of(test: pytest.Item) -> Iterator[object]:
    """Yield the function of a test and those of its fixtures."""
    yield getattr(test, "obj", None)
    yield from fixture_functions(test)
