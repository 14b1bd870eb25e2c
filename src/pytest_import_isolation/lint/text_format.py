"""Findings as lines for a terminal, and as annotations of GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from pytest_import_isolation.lint.findings import ERROR, INFO, SEVERITIES, WARNING, Finding
from pytest_import_isolation.wording import count, listing, plain

#: How GitHub calls the severities.
_COMMANDS: Final = {ERROR: "error", WARNING: "warning", INFO: "notice"}


def as_lines(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Yield lines for a terminal, each with its severity.

    Names that one statement writes in the same way share a line.
    """
    for _, group in groupby(findings, key=lambda one: one[:5]):
        first, *others = group
        more = f" (also {listing([other.name for other in others])})" if others else ""
        place = f"{first.file}:{first.line}:{first.column}"
        yield plain(f"{place}: {first.severity} {first.rule} {first.message}{more}"), first.severity


def summary(findings: Sequence[Finding]) -> str:
    """Return the last line."""
    if not findings:
        return "no findings"
    number = {one: sum(finding.severity == one for finding in findings) for one in SEVERITIES}
    information = f", {number[INFO]} for information" if number[INFO] else ""
    return f"{count(number[ERROR], 'error')}, {count(number[WARNING], 'warning')}{information}"


def as_annotations(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield a workflow command for each finding."""
    for finding in findings:
        properties = {
            "file": finding.file,
            "line": str(finding.line),
            "col": str(finding.column),
            "title": f"{finding.rule} {finding.name}",
        }
        told = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
        yield f"::{_COMMANDS[finding.severity]} {told}::{_escaped(finding.message)}"


def _escaped(text: str, more: str = "") -> str:
    """Escape a text as GitHub reads it: percent and line ends, and what separates properties."""
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
