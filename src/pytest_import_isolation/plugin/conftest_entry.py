"""The entry ``conftest`` of ``sys.modules``: several conftest files may stand there, one after the other."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.state.writing import put_in

_NAME: Final = "conftest"


class ConftestEntry:
    """Remembers the conftests of this name, and lets a file meet the one that it would meet alone."""

    def __init__(self) -> None:
        self._by_folder: dict[Path, ModuleType] = {}

    def note(self, conftest: Path, module: ModuleType) -> None:
        """Take note of a conftest that was loaded.

        Args:
            conftest: its file.
            module: what pytest made of it.
        """
        if (namespace(module) or {}).get("__name__") == _NAME:  # one in a package has the package's name too
            self._by_folder[conftest.parent] = module

    def put_for(self, path: Path) -> None:
        """Enter the conftest that is nearest above a file, in the place of another one."""
        there = sys.modules.get(_NAME)
        nearest = next(filter(None, map(self._by_folder.get, path.parents)), None)
        if there is not None and nearest is not None and there is not nearest:
            put_in(_NAME, nearest)
