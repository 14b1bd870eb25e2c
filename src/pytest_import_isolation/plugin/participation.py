"""Which files took part in a run with all of their tests: only of these can be said what leaks no more."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from pytest_import_isolation.report.policy import Parts


class Participation:
    """The hooks that count what this process collects and runs.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected: dict[str, set[str]] = {}
        self._ran: dict[str, set[str]] = {}
        self._whole: set[str] = set()
        self._broken: set[str] = set()
        config.pluginmanager.register(self, "import-leak-participation")

    @property
    def parts(self) -> Parts:
        """What was seen up to now."""
        return Parts(
            {file: len(tests) for file, tests in self._collected.items()},
            {file: len(tests) for file, tests in self._ran.items()},
            self._whole | set(self._plugins()),
            self._broken,
        )

    def _plugins(self) -> list[str]:
        """Return the files of conftests, and of other plugins of the project."""
        files = [
            Path(str(plugin.__file__))
            for plugin in self._config.pluginmanager.get_plugins()
            if isinstance(plugin, ModuleType) and getattr(plugin, "__file__", None)
        ]
        root = self._config.rootpath
        return [
            file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
            for file in files
            if file.name == "conftest.py" or file.is_relative_to(root)
        ]

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Count a test, before anybody deselects it or takes it away."""
        self._collected.setdefault(_file(item.nodeid), set()).add(item.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note whether a file could be collected."""
        if not report.passed:
            self._broken.add(_file(report.nodeid))
        elif "::" not in report.nodeid:
            self._whole.add(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that was executed; one that was skipped may leak elsewhere, or tomorrow."""
        if report.when == "call" and (not report.skipped or hasattr(report, "wasxfail")):
            self._ran.setdefault(_file(report.nodeid), set()).add(report.nodeid)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class Selection:
    """What the arguments of a run select.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        option, folder, root = config.option, config.invocation_params.dir, config.rootpath
        #: Files of which single tests were named.
        self.files: set[str] = set()
        #: Whether only a part of the suite was asked for.
        self.is_partial = False
        # With --lf, files without failures are not even imported, and look as if they were empty.
        self.is_unknown = bool(getattr(option, "lf", False))
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            return
        paths = []
        for argument in config.args:
            name, separator, _ = argument.partition("::")
            path = Path(os.path.abspath(folder / name))  # as pytest does: links are not followed
            paths.append(path)
            if separator:
                self.files.add(path.relative_to(root).as_posix() if path.is_relative_to(root) else name)
            # With --pyargs it is the name of a package.
            self.is_unknown = self.is_unknown or not os.path.exists(path)
            self.is_partial = self.is_partial or not os.path.isdir(path)
        for named in config.getini("testpaths"):
            place = Path(os.path.abspath(root / named))
            if not any(place.is_relative_to(path) for path in paths):
                self.is_partial = True
