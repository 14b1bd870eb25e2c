"""A pytest plugin that loads the modules of the report, has its hooks, and does nothing in them.

No report can cost less as long as it consists of these modules.
"""

from __future__ import annotations

from benchmarks.empty_hooks import (
    pytest_runtest_call,
    pytest_runtest_logreport,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_runtest_setup,
    pytest_runtest_teardown,
)
from pytest_import_isolation.plugin.loading import plain_imports

with plain_imports():
    import pytest_import_isolation.plugin.executions
    import pytest_import_isolation.plugin.observer
    import pytest_import_isolation.plugin.plugin_hooks  # noqa: F401 - to load it is all

__all__ = [
    "pytest_runtest_call",
    "pytest_runtest_logreport",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
]
