"""Sections that are added to the report of a failure."""

from __future__ import annotations

import pytest


def add_section(report: pytest.TestReport | pytest.CollectReport, title: str, text: str) -> None:
    """Add a section to the failure itself, where that takes one: other sections may be switched off.

    Args:
        report: of a test or file that failed.
        title: the heading.
        text: what it says.
    """
    add = getattr(report.longrepr, "addsection", None)
    if add is not None:
        add(title, text, "-")
    else:  # a collection error is a plain text, and --show-capture=no hides what is added beside it
        report.sections.append((title, text))
