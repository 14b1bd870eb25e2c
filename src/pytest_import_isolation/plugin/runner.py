"""What belongs to the test run itself: pytest, its plugins, conftests and test modules."""

from __future__ import annotations

from types import ModuleType

import pytest

from pytest_import_isolation.machinery import Importer, namespace, top_level

# Packages that do nothing but run tests; what they import for themselves stays loaded.
_RUNNERS = frozenset(("_pytest", "pytest", "pluggy", "xdist", "execnet"))


class Runner:
    """Tells the modules of a test run from those of the tests.

    Args:
        config: the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._manager = config.pluginmanager

    def is_plugin(self, module: object) -> bool:
        """Tell whether an object is registered as a plugin (conftest modules are)."""
        return any(plugin is module for plugin in self._manager.get_plugins())

    def imports_for_itself(self, importer: Importer) -> bool:
        """Tell whether a module is part of pytest or is one of its plugins, and no conftest."""
        package = top_level(importer.module)
        if package in _RUNNERS or package.startswith("pytest_"):
            return True
        space_file = importer.file
        return any(
            isinstance(plugin, ModuleType)
            and plugin.__name__ == importer.module
            and not space_file.endswith("conftest.py")
            for plugin in self._manager.get_plugins()
        )

    def is_test_file(self, module: object) -> bool:
        """Tell whether a module is a test file or conftest, which pytest rewrote when it loaded it."""
        return "@pytest_ar" in (namespace(module) or {}) or self.is_plugin(module)

    def reason_to_stay(self, name: str, module: object, importer: Importer | None) -> str | None:
        """Return why a module that a window loaded stays loaded after it, or None."""
        if self.is_plugin(module):
            return "it is a plugin of this test run"
        # A test file that pytest loads inside a window is one of an inner run, and leaves with the window.
        if importer is not None and self.imports_for_itself(importer) and not self.is_test_file(module):
            return f"{importer.module} imported it for itself"
        return None
