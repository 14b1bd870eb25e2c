"""A pytest plugin that runs each test in a fork, and nothing else: no event is told, and no crash is noticed.

The parent makes up the reports. Nothing that forks at the test can cost less as long as pytest runs the test in
the fork, and shows it here.
"""

from __future__ import annotations

import os

import pytest
from _pytest.runner import runtestprotocol

_PHASES = ("setup", "call", "teardown")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool:
    """Run a test in a fork."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    process = os.fork()
    if process == 0:
        runtestprotocol(item, log=False, nextitem=None)
        os._exit(0)
    os.waitpid(process, 0)
    for phase in _PHASES:
        report = pytest.TestReport(
            item.nodeid,
            item.location,
            dict.fromkeys(item.keywords, 1),
            "passed",
            None,
            phase,  # type: ignore[arg-type]
        )
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
