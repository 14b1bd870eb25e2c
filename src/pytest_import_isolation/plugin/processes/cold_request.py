"""What a cold process is asked for: the run's options, one file and one test."""

from __future__ import annotations

import marshal
import os
import sys
from types import ModuleType
from typing import Any, Final

import pytest

from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.processes.coverage_data import running_coverage

#: Options that would select other tests, start other processes, or write what the parent writes.
_CHANGED: Final[dict[str, Any]] = {
    "cacheclear": False,
    "collectonly": False,
    "dist": "no",
    "distload": False,
    "failedfirst": False,
    "isolate_imports": "off",
    "last_failed": False,
    "lf": False,
    "log_file": os.devnull,
    "looponfail": False,
    "newfirst": False,
    "numprocesses": None,
    "pastebin": None,
    "px": None,
    "stepwise": False,
    "tx": [],
}
#: What pytest itself imports when a run begins, and not before.
_WHEN_A_RUN_BEGINS: Final = ("_pytest._argcomplete", "readline", "pdb")
#: Says in a child that it is one.
IN_CHILD: Final = "import_isolation_in_child"
#: It measures here with the settings of the parent, not with its own.
_LEFT_OUT: Final = ("no:pytest_cov",)


def modules_to_import(config: pytest.Config) -> list[str]:
    """Return the plugins that are installed, or named with ``-p``, and the parts of this package in use.

    They are no part of the suite. What the server has imported no process has to import for its test.
    """
    installed = {id(plugin) for plugin, _ in config.pluginmanager.list_plugin_distinfo()}
    named = set(config.option.plugins or ())
    plugins = [
        plugin.__name__
        for plugin in config.pluginmanager.get_plugins()
        if isinstance(plugin, ModuleType)
        and (id(plugin) in installed or plugin.__name__ in named or plugin.__name__.startswith("_pytest."))
    ]
    own = top_level(__name__)
    parts = [name for name in list(sys.modules) if type(name) is str and top_level(name) == own]
    return [*plugins, *parts, *(name for name in _WHEN_A_RUN_BEGINS if name in sys.modules)]


def request_for(item: pytest.Item, number: int) -> dict[str, Any]:
    """Return what a cold process has to know to run a test.

    Args:
        item: the test.
        number: how many of the run's tests before it have the same node id.
    """
    config = item.config
    options = {name: value for name, value in vars(config.option).items() if _can_be_told(value)}
    options |= {name: value for name, value in _CHANGED.items() if name in options}
    options.pop("file_or_dir", None)
    options |= {"rootdir": str(config.rootpath), "plugins": [], IN_CHILD: True}
    if config.inipath is not None:
        options["inifilename"] = str(config.inipath)
    names = [*(config.option.plugins or ()), *_LEFT_OUT]
    factory: Any = getattr(config, "_tmp_path_factory", None)
    return {
        "options": options,
        "arguments": [part for name in names for part in ("-p", name)] + [str(item.path)],
        "path": str(item.path),
        "nodeid": item.nodeid,
        "number": number,
        "folders": (str(config.invocation_params.dir), os.getcwd()),
        "environment": dict(os.environ),
        "basetemp": None if factory is None else str(factory.getbasetemp()),
        "worker": getattr(config, "workerinput", None) and _plain(config.workerinput),  # type: ignore[attr-defined]
        "coverage": _coverage_settings(config),
    }


def _can_be_told(value: Any) -> bool:
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if _can_be_told(value)}


def _coverage_settings(config: pytest.Config) -> tuple[dict[str, Any], bool] | None:
    """Return the settings of coverage here, and whether each test is a context; None without it."""
    running = running_coverage()
    if running is None:
        return None
    return _plain(vars(running.config)), config.pluginmanager.has_plugin("_cov_contexts")
