"""Modules under test that pytest itself executes, because it collects them for their doctests."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation.machinery.modules import file_of
from pytest_import_isolation.machinery.paths import packages_of
from pytest_import_isolation.plugin.sources import imported_with
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.executed_modules import EXECUTED


class CollectedModules:
    """Tells :data:`.EXECUTED` of modules under test; registered in the import mode ``importlib`` alone.

    There pytest does not ask importlib for them, so that nobody else hears of it.

    Args:
        origins: knows the test files.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    # The innermost wrapper: worlds change places outside of it.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Put down to a module under test what is different after its collection."""
        if not isinstance(collector, pytest.Module) or self._origins.is_test_file(str(collector.path)):
            return (yield)
        name = _name(collector.path, collector.config.rootpath)
        if name in sys.modules:
            return (yield)
        body = EXECUTED.begin(name)
        try:
            return (yield)
        finally:
            if body is not None:
                is_there = file_of(sys.modules.get(name)) == str(collector.path)
                EXECUTED.end(body, None if is_there else ImportError(name=name))


def _name(path: Path, root: Path) -> str:
    """Return the name under which pytest executes a file."""
    if packages_of(path):
        name, _ = imported_with(path)[-1]
        return name.removesuffix(".__init__")
    try:
        parts = path.relative_to(root).with_suffix("").parts
    except ValueError:  # then pytest leaves nothing away but the drive
        parts = path.with_suffix("").parts[1:]
    parts = parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts
    return ".".join(part.replace(".", "_") for part in parts)
