"""What belongs to the test run itself: pytest, its plugins, conftests and test modules."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, is_rewritten, namespace, top_level
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.plugin.sources import import_root
from pytest_import_isolation.state.origins import Origin, Origins, is_pytest_filler
from pytest_import_isolation.state.single_changes import SingleChange

#: Packages that do nothing but run tests; what they import for themselves stays loaded.
RUNNERS: Final = frozenset(("_pytest", "pytest", "pluggy", "xdist", "execnet"))


class Runner:
    """Tells the modules of a test run from those of the tests.

    Args:
        config: the run.
        origins: gives the verdicts on modules.
    """

    def __init__(self, config: pytest.Config, origins: Origins) -> None:
        self._manager = config.pluginmanager
        self._origins = origins
        self._own_entries = {os.fspath(entry) for entry in config.getini("pythonpath")}
        # The identities of all plugins, and the names of those that are modules; None if they have to be
        # asked for again.
        self._plugins: frozenset[int] | None = None
        self._plugin_modules: frozenset[str] | None = None
        self._patterns = _test_files(config)
        # Hooks and fixtures keep there what they make once for all tests.
        origins.holders["config"] = vars(config)
        origins.holders["config.stash"] = {"values": getattr(config.stash, "_storage", {})}  # private
        for plugin in self._manager.get_plugins():
            self._note_plugin(plugin)
        self._manager.register(self, "import-isolation-runner")

    @pytest.hookimpl(tryfirst=True)
    def pytest_plugin_registered(self, plugin: object) -> None:
        """Look at the plugins again."""
        self._plugins = self._plugin_modules = None
        self._note_plugin(plugin)

    def _note_plugin(self, plugin: object) -> None:
        space = (namespace(plugin) or {}) if isinstance(plugin, ModuleType) else {}
        file, name = space.get("__file__"), space.get("__name__")
        if type(file) is not str or type(name) is not str or top_level(name) == top_level(__name__):
            return
        if is_conftest(file):
            self._origins.note_test_file(file)
        elif self._origins.of_file("", file) is Origin.FIRST_PARTY and not any(
            plugin is each for each, _ in self._manager.list_plugin_distinfo()
        ):  # what has an entry point may be what is tested
            self._origins.note_plugin(file)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Take note of a test file."""
        self.note_test_file(collector)

    def note_test_file(self, collector: pytest.Collector | None) -> None:
        """Take note of a test file; a module that is collected for its doctests alone is none."""
        if isinstance(collector, pytest.Module) and (
            type(collector).collect is pytest.Module.collect
            or any(fnmatch(collector.path.name, pattern) for pattern in self._patterns)
        ):
            self._origins.note_test_file(str(collector.path))

    def is_plugin(self, module: object) -> bool:
        """Tell whether an object is registered as a plugin (conftest modules are)."""
        if self._plugins is None:
            self._plugins = frozenset(map(id, self._manager.get_plugins()))
        return id(module) in self._plugins

    def imports_for_itself(self, importer: Importer) -> bool:
        """Tell whether a module is part of pytest or is one of its plugins, and no conftest."""
        package = top_level(importer.module)
        if package in RUNNERS or package.startswith("pytest_"):
            return True
        if importer.file.endswith("conftest.py"):
            return False
        if self._plugin_modules is None:
            modules = (plugin for plugin in self._manager.get_plugins() if isinstance(plugin, ModuleType))
            self._plugin_modules = frozenset(module.__name__ for module in modules)
        return importer.module in self._plugin_modules

    def is_test_file(self, module: object) -> bool:
        """Tell whether a module is a test file or conftest, which pytest rewrote when it loaded it."""
        return is_rewritten(module) or self.is_plugin(module)

    def reason_to_stay(self, name: str, module: object, importer: Importer | None) -> str | None:
        """Return why a module that a window loaded stays loaded after it, or None."""
        if self.is_plugin(module):
            return "it is a plugin of this test run"
        # A test file that pytest loads inside a window is one of an inner run, and leaves with the window.
        if importer is None or self.is_test_file(module):
            return None
        if self._origins.is_first_party(name, module):
            return self._reason_of_framework(importer)
        if self.imports_for_itself(importer):
            return f"{importer.module} imported it for itself"
        return None

    def _reason_of_framework(self, importer: Importer) -> str | None:
        """Return why a first-party module stays that was imported by its name from an installed package.

        Django's URL resolver, Celery, a template engine: what they look up by name they register and cache.
        pytest and its plugins do so on behalf of a test (monkeypatch.setattr("app.x.f", ...)).
        """
        if self._origins.is_installed(importer.file) and not self.imports_for_itself(importer):
            return f"{importer.module} imported it by its name, and may hold on to it"
        return None

    def expect_entry_for(self, path: Path) -> None:
        """Remember the path entry that pytest inserts for a test file or conftest."""
        self._own_entries.add(str(import_root(path)))

    def is_own_entry(self, entry: object) -> bool:
        """Tell whether a path entry is pytest's own."""
        return type(entry) is str and entry in self._own_entries

    def is_own(self, change: SingleChange) -> bool:
        """Tell whether a change is pytest's own way of importing tests and conftests."""
        if change.what == "path":
            return self.is_own_entry(change.key)
        if change.what != "entry":
            return False
        if change.key == "conftest" and change.after is ABSENT and self.is_test_file(change.before):
            return True  # pytest itself takes one conftest out before it imports another of that name
        space = namespace(change.after) or {}
        return change.key == "__main__" or is_pytest_filler(space) or self.is_test_file(change.after)


def _test_files(config: pytest.Config) -> tuple[str, ...]:
    """Return the patterns of the names of test files."""
    try:
        return tuple(config.getini("python_files"))
    except ValueError:  # there are none with -p no:python, which leaves text files and those of plugins
        return ()
