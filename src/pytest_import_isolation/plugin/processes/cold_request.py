"""What a cold process is asked for: the run's options, one file and one test."""

from __future__ import annotations

import contextlib
import marshal
import os
import shlex
import stat
import sys
from types import ModuleType
from typing import Any, Final

import pytest

from pytest_import_isolation.machinery.modules import top_level
from pytest_import_isolation.processes.coverage_data import running_coverage

#: Options that would select other tests, start other processes, or write what the parent writes.
_CHANGED: Final[dict[str, Any]] = {
    "cacheclear": False,
    "clean_alluredir": False,
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
#: Has the arguments that somebody typed for pytest's process, and all that it was given.
COMMAND_LINE: Final = "import_isolation_command_line"
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
    written = _files_written_here()
    if written:
        folder = str(config.invocation_params.dir)
        options |= {name: os.devnull for name, value in options.items() if _file(folder, value) in written}
    options.pop("file_or_dir", None)
    typed = [*map(str, config.invocation_params.args)]
    given = [*config.getini("addopts"), *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *typed]
    options |= {"rootdir": str(config.rootpath), "plugins": [], IN_CHILD: True, COMMAND_LINE: (typed, given)}
    if config.inipath is not None:
        options["inifilename"] = str(config.inipath)
    names = [*(config.option.plugins or ()), *_LEFT_OUT]
    factory: Any = getattr(config, "_tmp_path_factory", None)
    return {
        "options": options,
        "arguments": [
            *(part for name in names for part in ("-p", name)),
            f"--assert={config.option.assertmode}",
            str(item.path),
        ],
        "path": str(item.path),
        "nodeid": item.nodeid,
        "number": number,
        "folders": (str(config.invocation_params.dir), os.getcwd()),
        "environment": dict(os.environ),
        "basetemp": None if factory is None else str(factory.getbasetemp()),
        "worker": getattr(config, "workerinput", None) and _plain(config.workerinput),  # type: ignore[attr-defined]
        "coverage": _coverage_settings(config),
    }


def _files_written_here() -> set[tuple[int, int]]:
    """Return the files that are open for writing, and not for reading, in this process.

    A plugin that opens the file of an option when a run begins would empty it in each cold process. What can
    also be read, as a database, is for the tests too.
    """
    try:
        import fcntl

        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except (ImportError, OSError, ValueError):  # there is no such folder
        return set()
    written = set()
    for number in numbers:
        with contextlib.suppress(OSError):  # it is closed, as the one of the folder is
            found = os.fstat(number)
            mode = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
            if stat.S_ISREG(found.st_mode) and mode == os.O_WRONLY:
                written.add((found.st_dev, found.st_ino))
    return written


def _file(folder: str, value: Any) -> tuple[int, int] | None:
    """Return what tells the file that an option names from all others, None if it names none."""
    if type(value) is not str or not value:
        return None
    try:
        found = os.stat(os.path.join(folder, value))
    except (OSError, ValueError):  # it is no path
        return None
    return found.st_dev, found.st_ino


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
