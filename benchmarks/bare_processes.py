"""A pytest plugin that runs each test, or each file, in a fork, and nothing else: no event is told.

The parent makes up the reports, and notices no crash. Nothing that forks from the run can cost less as long as
pytest runs the test in the fork, and shows it here.
"""

from __future__ import annotations

import itertools
import os

import pytest
from _pytest.runner import runtestprotocol

_PHASES = ("setup", "call", "teardown")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the run say what gets a process."""
    parser.addoption("--bare-process", choices=("test", "file"), default="test")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool:
    """Run a test in a fork, or the tests of its file if it is the first one."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    if item.config.getoption("--bare-process") == "test":
        _fork([item])
    else:
        items = item.session.items
        at = items.index(item)
        if at == 0 or items[at - 1].path != item.path:
            _fork(list(itertools.takewhile(lambda other: other.path == item.path, items[at:])))
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


def _fork(items: list[pytest.Item]) -> None:
    """Run tests in one fork."""
    process = os.fork()
    if process == 0:
        for item, following in itertools.zip_longest(items, items[1:]):
            runtestprotocol(item, log=False, nextitem=following)
        os._exit(0)
    os.waitpid(process, 0)
