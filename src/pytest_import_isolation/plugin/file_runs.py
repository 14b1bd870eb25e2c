"""What the tests of a file leave, which goes when the last of them is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_import_isolation.plugin.fixture_scopes import ends_with_file
from pytest_import_isolation.plugin.run_hooks import RunHooks
from pytest_import_isolation.plugin.sources import import_root
from pytest_import_isolation.plugin.suite_worlds import SuiteWorlds
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.list_changes import key_of
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.window.world import World


class FileRuns:
    """Puts the worlds in place in which tests run.

    Args:
        suite: the worlds.
        puts_first: whether pytest puts the directory of a test file first in ``sys.path``.
    """

    def __init__(self, suite: SuiteWorlds, *, puts_first: bool) -> None:
        self._suite = suite
        self._run_hooks = RunHooks(suite.worlds)
        self._puts_first = puts_first
        self._runs: dict[Path, World] = {}
        # How many tests of each file are still to be run.
        self._to_do: Counter[Path] = Counter()
        # The parent of the test that was asked about last, and its file.
        self._last: tuple[pytest.Collector | None, Path] = (None, Path())
        #: Whether this process runs tests for another one, which puts the worlds in place and away.
        self.is_child = False

    def expect(self, items: Iterable[pytest.Item]) -> None:
        """Count the tests of each file."""
        self._to_do.update(map(self._path_of, items))

    def begin_hooks(self) -> None:
        """Take note that the hooks run which see all tests, up to the first test."""
        self._run_hooks.begin()

    def begin_test(self, item: pytest.Item) -> None:
        """Put the world of a test's file in place."""
        self._run_hooks.end()
        path = self._path_of(item)
        # The chain ends with the run of a file if the test before was of this file too.
        run = self._runs.get(path)
        if run is None or self._suite.worlds.innermost is not run:
            self._enter(path, item)

    def end_test(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Put the world of a test's file away if the next test is of another file."""
        if self.is_child:
            return
        path = self._path_of(item)
        self._to_do[path] -= 1
        if nextitem is None or self._path_of(nextitem) != path:
            self._leave(path)

    def _path_of(self, item: pytest.Item) -> Path:
        """Return the file that a test belongs to."""
        parent, path = self._last
        if item.parent is not parent or parent is None:
            file = item.getparent(pytest.File)  # type: ignore[type-abstract]
            if file is None:
                return item.path
            path = file.path
            self._last = item.parent, path
        return path

    def _enter(self, path: Path, item: pytest.Item) -> None:
        suite = self._suite
        home, is_apart = suite.home(path), path in suite.own
        run = self._runs.get(path)
        if run is None:
            run = self._runs[path] = suite.new(
                item.nodeid.partition("::")[0], is_alone=is_apart, is_watchful=is_apart
            )
            run.test_code = [str(path)]
            # Nobody runs the code of the file once its last test is over.
            parent = item.getparent(pytest.Module) if suite.is_test_file(path) else None
            module = getattr(parent, "_obj", None)
            run.test_modules = [] if module is None else [module]
        chain = (*suite.around(path), home, run)
        if chain == suite.worlds.chain:
            return
        suite.swap(*chain)
        suite.conftest_entry.put_for(path)
        root = str(import_root(path))
        entries = [key_of(entry) for entry in items_of("path")]
        is_behind = self._puts_first and root in entries[1:] and entries[0] != root and not is_apart
        if is_behind or path in suite.first_by_themselves:
            with suite.unobserved():
                run.window.own_items.add_path((root,))  # as when the file was collected

    def _leave(self, path: Path) -> None:
        *outer, run = self._suite.worlds.chain
        self._suite.swap(*outer)
        if self._to_do[path] <= 0:
            self._suite.worlds.drop(run)
            del self._runs[path]

    def window_inside(self, fixturedef: pytest.FixtureDef[Any] | None) -> Window | None:
        """Return the window that ends before a fixture of a wider scope does, or None if none is known.

        A fixture of the file's own lives no longer than the run of its tests.

        Args:
            fixturedef: the fixture; None for a package of tests.
        """
        chain = self._suite.worlds.chain
        if not chain or chain[-1] not in self._runs.values():
            return None
        return None if fixturedef is not None and ends_with_file(fixturedef) else chain[-2].window

    def ends_with(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Tell whether a test is the last one of its file, as far as this process knows."""
        path = self._path_of(item)
        if nextitem is not None and self._path_of(nextitem) == path:
            return False
        # A worker does not know which tests it will get.
        return self._to_do[path] <= 1 or hasattr(item.config, "workerinput")
