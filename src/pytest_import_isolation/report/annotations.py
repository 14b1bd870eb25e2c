"""The report as annotations of GitHub Actions: lines that it shows beside the source of a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_import_isolation.report.records import ERROR, WARNING, Leak, Report

#: GitHub shows that many of each severity for one step of a job.
_MOST: Final = 10


def annotate(report: Report, prefix: str = "") -> Iterator[str]:
    """Yield a workflow command for each harmful leak, errors first, those that made tests fail before all.

    Args:
        report: what to tell.
        prefix: the rootdir, relative to the root of the repository.
    """
    for severity in (ERROR, WARNING):
        leaks = [leak for leak in report.leaks if leak.is_harmful and leak.severity == severity]
        leaks.sort(key=_harm)
        for leak in leaks[:_MOST]:
            yield _annotation(leak, prefix)


def _harm(leak: Leak) -> tuple[int, int]:
    failed = sum(exposure.outcome in ("failed", "error") for exposure in leak.exposed)
    return -failed, -len(leak.exposed)


def _annotation(leak: Leak, prefix: str) -> str:
    place, by = leak.location, leak.polluter
    file = place.file if place is not None else by.nodeid.partition("::")[0]
    properties = {}
    if file:
        absolute = file.startswith("/") or ":" in file[:3]
        properties["file"] = f"{prefix}/{file}" if prefix and not absolute else file
    if place is not None:
        properties["line"] = str(place.line)
    properties["title"] = f"import leak: {leak.kind} {leak.name}"
    probably = "" if place is None or place.exact else "Probably this statement, "
    who = f"{probably}{'run by' if probably else 'By'} {by.nodeid or 'the test run'} ({by.phase})."
    exposed = f" Exposed: {len(leak.exposed)}, failed: {-_harm(leak)[0]}." if leak.exposed else ""
    told = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{leak.severity} {told}::{_escaped(f'{who} {leak.detail}{exposed} {leak.advice}')}"


def _escaped(text: str, more: str = "") -> str:
    """Escape a text as GitHub reads it: percent and line ends, and what separates properties."""
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
