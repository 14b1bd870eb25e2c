"""What is around each test: whether a process may begin and end inside of it, and what it records."""

from __future__ import annotations

import logging
import warnings
from types import ModuleType
from typing import Any, Final

import pytest

_SUITE: Final = "pytest_import_isolation.plugin.suite"
#: What does nothing at the end of a test but to tell the warnings that it recorded, and to tidy up.
_QUIET: Final = frozenset(
    ("_pytest.assertion", "_pytest.faulthandler", "_pytest.unittest", "_pytest.warnings", _SUITE)
)


def are_simple(config: pytest.Config) -> bool:
    """Tell whether all that is around a test may begin in one process and end in its child too.

    So it is for what pytest itself has there, unless it keeps an eye on the time.
    """
    try:
        if float(config.getini("faulthandler_timeout") or 0) > 0:
            return False
    except ValueError:  # pytest has not this plugin
        pass
    return all(name.startswith("_pytest.") or name == _SUITE for name in _around(config))


def are_quiet(config: pytest.Config) -> bool:
    """Tell whether all that is around a test does nothing at its end but to tell warnings and to tidy up."""
    return _QUIET.issuperset(_around(config))


def _around(config: pytest.Config) -> list[str]:
    """Return the modules of all that is around a test."""
    plugins = [
        one.plugin
        for one in config.hook.pytest_runtest_protocol.get_hookimpls()
        if one.wrapper or one.hookwrapper
    ]
    return [
        str(getattr(plugin, "__name__", "")) if isinstance(plugin, ModuleType) else type(plugin).__module__
        for plugin in plugins
    ]


def recorded_warnings() -> list[Any] | None:
    """Return the list to which the warnings of a test are added as it begins, None if there is none."""
    added = getattr(getattr(warnings, "_showwarnmsg_impl", None), "__self__", None)
    return added if type(added) is list else None


def must_wait(config: pytest.Config) -> bool:
    """Tell whether what children print directly must not come before what this process prints of them."""
    option = config.option
    live = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    return bool(
        getattr(option, "usepdb", False)
        or getattr(option, "trace", False)
        or getattr(option, "capture", "") == "no"
        or (live is not None and not isinstance(live, logging.NullHandler))
    )
