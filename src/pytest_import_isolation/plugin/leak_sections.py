"""Telling a failing test or file which leaks it met, and which modules were loaded or executed before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.hints import (
    EXECUTED_TITLE,
    GUARD_TITLE,
    executed_hint,
    guard_hint,
    hint,
    title_of,
)
from pytest_import_isolation.leaks.loaded_before import LoadedBefore
from pytest_import_isolation.leaks.touched import Touched
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.plugin.sections import add_section
from pytest_import_isolation.report.seen_from import Relocate, leaks_seen_from


class LeakSections:
    """Takes note of what tests and collections come to, and adds sections to the reports of failures.

    Args:
        found: the leaks up to now.
        loaded_before: finds what a failing test wanted absent, or executed.
        relocate: gives paths as the user sees them; None if they are relative to rootdir.
    """

    def __init__(
        self, found: FoundLeaks, loaded_before: LoadedBefore, relocate: Relocate | None = None
    ) -> None:
        self._found = found
        self._loaded_before = loaded_before
        self._relocate = relocate
        self._call: pytest.CallInfo[Any] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> None:
        """Remember how a phase ended; pytest puts the failure of a unittest method there in a moment."""
        self._call = call

    def note_test(self, report: pytest.TestReport, test: pytest.Item) -> None:
        """Take note of what a phase of a test came to.

        Args:
            report: of the phase.
            test: the test.
        """
        call, self._call = self._call, None
        module = test.getparent(pytest.Module)
        space = namespace(getattr(module, "_obj", None)) or {}
        name = str(space.get("__name__"))
        outcome = _outcome_of(report, str(report.when))
        error = call.excinfo.value if call is not None and call.excinfo is not None else None
        met = self._note(report, str(report.when), outcome, error, [(name, space)] if space else ())
        if outcome not in ("failed", "error") or error is None:
            return
        if not self._add_guards(report, error) and not met:
            executed = self._loaded_before.wanted_executed(error, _functions_of(test), name, report.nodeid)
            if executed:
                add_section(report, EXECUTED_TITLE, executed_hint(leaks_seen_from(executed, self._relocate)))

    def note_collection(self, report: pytest.CollectReport) -> None:
        """Take note of what a collection came to."""
        outcome = _outcome_of(report, "collect")
        excinfo = getattr(getattr(report, "call", None), "excinfo", None)
        error = None if excinfo is None else excinfo.value
        self._note(report, "collect", outcome, error)
        if outcome == "error" and error is not None:
            self._add_guards(report, error)

    def _note(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        phase: str,
        outcome: str,
        error: BaseException | None,
        holders: Sequence[tuple[str, dict[str, Any]]] = (),
    ) -> bool:
        failure = str(report.longrepr) if report.failed else ""
        touched: list[Touched] = []

        def touches(name: str) -> bool:
            if not touched:  # most failures met nothing
                touched.append(Touched(error, failure))
            return touched[0](name)

        met = self._found.note_outcome(report.nodeid, phase, outcome, holders, failure, touches)
        if met:
            add_section(report, title_of(met), hint([one.seen_from(self._relocate) for one in met]))
        return bool(met)

    def _add_guards(self, report: pytest.TestReport | pytest.CollectReport, error: BaseException) -> bool:
        loaded = self._loaded_before.wanted_absent(error, report.nodeid)
        if loaded:
            users = self._loaded_before.users_of(leak.name for leak in loaded)
            add_section(report, GUARD_TITLE, guard_hint(leaks_seen_from(loaded, self._relocate), users))
        return bool(loaded)


def _outcome_of(report: pytest.TestReport | pytest.CollectReport, phase: str) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else report.outcome
    return "error" if report.failed and phase != "call" else report.outcome


def _functions_of(test: pytest.Item) -> Iterator[object]:
    """Yield the function of a test and those of its fixtures."""
    yield getattr(test, "obj", None)
    info = getattr(
        test, "_fixtureinfo", None
    )  # private, as are the definitions; without them, fewer functions
    for definitions in getattr(info, "name2fixturedefs", {}).values():
        yield from (definition.func for definition in definitions)
