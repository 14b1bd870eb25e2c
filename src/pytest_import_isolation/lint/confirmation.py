"""What a run confirmed: findings for which its report has a leak."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytest_import_isolation.lint.findings import SEVERITIES, Finding
from pytest_import_isolation.lint.values import overlap
from pytest_import_isolation.report.records import Leak, Report

_ENTRIES: Final = frozenset(("fake-left", "replaced", "removed", "blocked-left", "evicted", "tainted"))
#: The kinds of leaks that confirm a finding of a rule.
KINDS_OF: Final = {
    "IL101": _ENTRIES,
    "IL102": _ENTRIES | {"reloaded"},
    "IL103": frozenset(("rebound",)),
    "IL104": frozenset(("name-clash", "replaced", "twice-loaded")),
    "IL105": _ENTRIES | {"reloaded"},
    "IL106": frozenset(("stale-attribute",)),
    "IL107": frozenset(("evicted",)),
    "IL108": frozenset(("evicted", "replaced", "stale-attribute")),
    "IL109": frozenset(("attribute-left", "class-attribute-left")),
}


def confirm(findings: Iterable[Finding], report: Report) -> list[Finding]:
    """Return findings with the severity that a run gave them, where that is worse.

    Args:
        findings: what the text tells.
        report: what a run saw.
    """
    return [_confirmed(finding, report) for finding in findings]


def _confirmed(finding: Finding, report: Report) -> Finding:
    for leak in report.leaks:
        if not leak.allowed and _is_of(leak, finding):
            return finding._replace(
                severity=min(finding.severity, leak.severity, key=SEVERITIES.index),
                message=f"{finding.message} (confirmed: {leak.kind} {leak.name} by {leak.polluter.nodeid})",
            )
    return finding


def _is_of(leak: Leak, finding: Finding) -> bool:
    if leak.kind not in KINDS_OF[finding.rule] or not overlap((leak.name,), (finding.name,)):
        return False
    files = [leak.polluter.nodeid.partition("::")[0]]
    if leak.location is not None:
        files.append(leak.location.file)
    return any(_is_same(file, finding.file) for file in files)


def _is_same(one: str, other: str) -> bool:
    """Compare files that are named relative to different folders."""
    one, other = f"/{one.replace(chr(92), '/').lstrip('/')}", f"/{other.lstrip('/')}"
    return one == other or one.endswith(other) or other.endswith(one)
