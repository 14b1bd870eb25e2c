"""A layer for every directory whose conftest changed the import state."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.suite_worlds import SuiteWorlds
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.window.world import World


class ConftestWorlds:
    """Puts each conftest into a world of its own while it is loaded.

    Args:
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        suite: the worlds.
        finds_beside: whether a test file finds the modules beside it.
    """

    def __init__(self, runner: Runner, origins: Origins, suite: SuiteWorlds, *, finds_beside: bool) -> None:
        self._runner = runner
        self._origins = origins
        self._suite = suite
        self._finds_beside = finds_beside
        self._known: set[Path] = set()
        # The world in which a conftest is being loaded.
        self._trial: World | None = None
        # Directories beside each other whose conftests are loaded before the collection.
        self._divided: frozenset[Path] = frozenset()

    def begin_initial(self, folders: list[Path]) -> None:
        """Expect the conftests that are loaded before the collection.

        What those of a single line of directories do is there for the whole run. If there are directories
        beside each other, it is there for what is in the directory.

        Args:
            folders: the directories.
        """
        self._divided = frozenset(
            folder
            for folder in folders
            if any(folder not in (o, *o.parents) and o not in folder.parents for o in folders)
        )
        if self._divided:
            self._begin_trial("the conftests")

    def end_initial(self) -> None:
        """Expect no more of them."""
        self._divided = frozenset()
        self._end_trial()

    def collect_directory(
        self, conftest: Path
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Put the world in place in which a directory is collected, which loads its conftest.

        Args:
            conftest: the file, which need not exist.
        """
        if conftest in self._known or not conftest.is_file():
            self._suite.swap(*self._suite.around(conftest), self._suite.shared(conftest))
            return (yield)
        self._known.add(conftest)
        self._suite.swap(*self._suite.around(conftest))
        self._begin_trial(str(conftest))
        try:
            return (yield)
        finally:
            self._end_trial()  # it could not be loaded

    def loaded(self, conftest: Path) -> None:
        """Give a directory its layer if its conftest, which was just loaded, changed the import state."""
        self._known.add(conftest)
        self._runner.expect_entry_for(conftest)
        trial = self._trial
        if trial is None:
            return
        if not self._divided or conftest.parent in self._divided:
            self._judge(trial, conftest)
        self._end_trial()
        if self._divided:
            self._begin_trial("the conftests")
        else:
            self._suite.swap(*self._suite.around(conftest))

    def _begin_trial(self, name: str) -> None:
        self._trial = self._suite.new(name, is_watchful=True)
        self._suite.worlds.begin(self._trial)

    def _end_trial(self) -> None:
        """Let what was loaded belong to what surrounds it."""
        if self._trial is not None:
            self._trial = None
            self._suite.worlds.dissolve()

    def _judge(self, trial: World, conftest: Path) -> None:
        difference, harmful = self._suite.judge(trial, conftest)
        if harmful or self._imported_beside(difference, conftest.parent):
            self._trial = None
            self._suite.record(difference, Polluter(str(conftest), "conftest"))
            self._suite.put_away()
            self._suite.layers[conftest.parent] = trial
            self._suite.lend_if_harmless(trial, harmful)

    def _imported_beside(self, difference: Difference, folder: Path) -> bool:
        """Tell whether modules were imported from a directory; another may have some of the same names."""
        if not self._finds_beside:
            return False
        return any(
            type(name) is str
            and "." not in name
            and self._origins.is_first_party(name, module)
            and not self._runner.is_test_file(module)
            and Path(str((namespace(module) or {}).get("__file__"))).parent == folder
            for name, module in difference.added.items()
        )
