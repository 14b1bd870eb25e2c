"""Telling a failing test or file which leaks it met, and which modules were loaded before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.hints import GUARD_TITLE, TITLE, guard_hint, guarded_names, hint
from pytest_import_isolation.plugin.sections import add_section


def note_outcome(
    report: pytest.TestReport | pytest.CollectReport,
    phase: str,
    found: FoundLeaks,
    holders: Iterable[tuple[str, dict[str, Any]]] = (),
) -> None:
    """Take note of what a phase of a test, or a collection, came to; add sections to a failure.

    Args:
        report: of the test or file.
        phase: of the run.
        found: the leaks up to now.
        holders: names and namespaces in which objects of an older execution of a module may be held.
    """
    outcome: str = "error" if report.failed and phase != "call" else report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else report.outcome
    met = found.note_outcome(report.nodeid, phase, outcome, holders)
    if met:
        add_section(report, TITLE, hint(met, str(report.longrepr)))
    if outcome == "failed":
        loaded = found.loaded_before(guarded_names(str(report.longrepr)), report.nodeid)
        if loaded:
            add_section(report, GUARD_TITLE, guard_hint(loaded))
