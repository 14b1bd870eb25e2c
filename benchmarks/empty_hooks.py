"""A pytest plugin that has the hooks of the report for each test, and nothing in them.

No report can cost less as long as it hears of the same things.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, Any, None]:
    """Stand for the hook at the begin and the end of a test."""
    yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Stand for the hook before a setup."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Stand for the hook before a call."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Stand for the hook before a teardown."""


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Stand for the hook around the report of each phase."""
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Stand for the hook after the report of each phase."""
