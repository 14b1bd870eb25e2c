"""From an event to a finding: at which line it is told, and how bad it is there."""

from __future__ import annotations

from pytest_import_isolation.lint.events import Event
from pytest_import_isolation.lint.findings import INFO, RULES, Finding, Located
from pytest_import_isolation.lint.test_files import CONFTEST
from pytest_import_isolation.lint.traces import Trace


def located(
    trace: Trace, event: Event, rule: str, name: str, message: str, severity: str | None = None
) -> Located:
    """Return the finding of a rule at an event.

    Args:
        trace: the execution.
        event: what happened in it.
        rule: the id of the rule.
        name: what is meant.
        message: the sentence, from its verb on.
        severity: in place of the rule's own.
    """
    places = [*event.calls, event.place]
    place = event.place
    if trace.function is None and event.calls and (not event.is_literal or place.file != trace.source.name):
        place = event.calls[0]
    severity = severity or RULES[rule].severity
    if trace.source.role == CONFTEST or place.file.rpartition("/")[2] == "conftest.py":
        severity = INFO  # a change for the whole run is a decision
    finding = Finding(place.file, place.line, place.column, rule, severity, name, f"{event.text}: {message}")
    return Located(finding, tuple((one.file, one.line, one.end_line) for one in places))
