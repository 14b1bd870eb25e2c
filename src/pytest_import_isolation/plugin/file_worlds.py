"""A world of its own for every test file whose collection changed the import state."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest

from pytest_import_isolation.machinery.modules import is_initializing, namespace
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sources import Sources, import_root, imported_with
from pytest_import_isolation.plugin.suite_worlds import SuiteWorlds
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.entries import loaded_now
from pytest_import_isolation.state.loaded_names import NamesInFolders
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.window.executions import WindowExecutions
from pytest_import_isolation.window.world import World


class FileWorlds:
    """Collects each file in a new world, and keeps that world if the file needs one.

    Args:
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        suite: the worlds.
        sources: tells what the text of a file could do.
        finds_beside: whether a test file finds the modules beside it.
        puts_first: whether pytest puts its directory first in ``sys.path`` for that, and not last.
    """

    def __init__(
        self,
        runner: Runner,
        origins: Origins,
        suite: SuiteWorlds,
        sources: Sources,
        *,
        finds_beside: bool,
        puts_first: bool,
    ) -> None:
        self._runner = runner
        self._origins = origins
        self._suite = suite
        self._sources = sources
        self._finds_beside = finds_beside
        self._puts_first = puts_first
        # What is imported together with the file that is being collected.
        self._expected: list[tuple[str, Path]] = []
        # What that executes.
        self._executions = WindowExecutions(origins)
        # The packages above test files whose modules are there for each file below them.
        self._given: set[Path] = set()
        # The names in the directories from which test files were imported.
        self._names = NamesInFolders(self._is_from_elsewhere)

    def collect(self, file: pytest.File) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Put the world in place in which a file is collected, and put away what that changes."""
        suite, path = self._suite, file.path
        self._runner.expect_entry_for(path)
        self._expected = imported_with(path) if isinstance(file, pytest.Module) else []
        # What is collected for its doctests alone is none: nothing runs but the body of the module.
        is_test_file = self._origins.is_test_file(str(path))
        loaded = loaded_now()  # held for those who look at once
        is_clashing = self._has_clashing_names(path)
        is_apart = is_clashing or self._is_to_be_apart()
        suite.swap(*suite.around(path), *([] if is_apart else [suite.shared(path)]))
        if is_test_file:
            suite.common_files.update(str(expected) for _, expected in self._expected)
        trial = suite.new(file.nodeid, is_watchful=is_apart)
        trial.test_code = [str(path)] if is_test_file else []
        suite.worlds.begin(trial)
        del loaded
        self._executions.begin(trial.window)
        suite.conftest_entry.put_for(path)
        if is_clashing and not self._puts_first:
            # Last, its directory would come behind that of the other file.
            suite.first_by_themselves.add(path)
            trial.window.own_items.add_path((str(import_root(path)),))
        if is_apart:
            FINDER.listen(self)
        report: pytest.CollectReport | None = None
        try:
            report = yield
            return report
        finally:
            if is_apart:
                FINDER.unlisten(self)
            self._executions.end()
            is_usable = report is not None and report.passed
            self._end(file, is_apart=is_apart, is_clashing=is_clashing, is_usable=is_usable)
            self._expected = []

    def _end(self, file: pytest.File, *, is_apart: bool, is_clashing: bool, is_usable: bool) -> None:
        suite = self._suite
        trial = suite.worlds.chain[-1]
        trial.window.stop_watching()
        loaded = loaded_now()  # as above
        difference, harmful = suite.judge(trial, file.path)
        contents = trial.window.written()
        del loaded
        has_copies = self._executions.have_thrown_out()
        is_harmful = bool(harmful or contents) or suite.replaces_import(difference) or has_copies
        suite.record_patched_imports(are_contained=is_harmful)
        polluter = Polluter(file.nodeid, "collect")
        if is_harmful:
            suite.record(difference, polluter)
            suite.record_contents(contents, polluter)
        else:
            suite.record_copies(difference, polluter)
            if not is_apart:
                suite.worlds.dissolve()
                return
            trial.is_common = suite.is_common_or_foreign
        suite.put_away()
        shared = suite.shared(file.path)
        # A file with names of its own may import them later, in a test.
        if not is_harmful and not is_clashing and shared.absorb(trial):
            return
        if not is_apart:
            trial.borrowed.modules = (
                shared.holdings()
            )  # it was collected in the shared world, and saw what was there
        if is_usable:
            trial.test_modules = [module for module in [getattr(file, "_obj", None)] if module is not None]
            suite.own[file.path] = trial
            # What it loaded may have been executed while they were so, or hold something of first copies.
            if not contents and not has_copies:
                suite.lend_if_harmless(trial, harmful)

    def _is_to_be_apart(self) -> bool:
        """Tell whether what is imported with the file may differ from what others should see."""
        new = [expected for _, expected in self._expected if expected not in self._given]
        # A package that imports something binds it, and stays bound for the files that come later.
        return any(self._sources.changes_imports(file) for file in new) or any(
            self._sources.imports_something(file) for file in new[:-1]
        )

    def _has_clashing_names(self, path: Path) -> bool:
        """Tell whether beside a file lie modules with the names of other modules of the shared world."""
        if not self._finds_beside:
            return False
        root = import_root(path)
        folder, names = str(root), self._sources.names_in(root)
        if folder not in self._names:
            self._names.add(folder, names)
        shared = self._suite.shared(path)
        if shared.is_in_place:
            if self._names.from_elsewhere(folder):
                return True
        elif any(
            _lies_elsewhere(module, folder) and self._origins.is_first_party(name, module)
            for name, module in shared.overlay.entries.items()
            if name in names
        ):
            return True
        return any(self._sources.imports(path, name) for name in self._names.shared(folder))

    def _is_from_elsewhere(self, name: str, folder: str) -> bool:
        module = sys.modules.get(name)
        return _lies_elsewhere(module, folder) and self._origins.is_first_party(name, module)

    # Called by the finder

    def importing(self, name: str, _: FrameType) -> None:
        """Give a package its layer, if importing it changed something, before what is in it is imported."""
        self._begin_below_packages(name)

    def _begin_below_packages(self, name: str) -> None:
        names = [expected for expected, _ in self._expected]
        if name not in names[1:]:
            return
        above = self._expected[: names.index(name)]
        if all(file in self._given for _, file in above):
            return
        if any(is_initializing(sys.modules.get(package)) for package, _ in above):
            return  # it imports what is in it itself, and is not done
        trial = self._suite.worlds.chain[-1]
        if self._give(trial, above[-1][1]):
            self._given.update(file for _, file in above)
            inner = self._suite.new(trial.name, is_watchful=True)
            inner.test_code = trial.test_code
            self._suite.worlds.begin(inner)
            self._executions.begin(inner.window)

    def _give(self, trial: World, file: Path) -> bool:
        """Let what a package did when it was imported be there for all files below it.

        Returns:
            Whether that could be done; everything is part of the file's own world if not.
        """
        suite = self._suite
        difference, harmful = suite.judge(trial, file)
        if harmful and file.parent not in suite.layers:
            suite.record(difference, Polluter(str(file), "collect"), stays=True)
            suite.layers[file.parent] = trial
            return True
        is_to_be_kept_apart = (
            harmful
            or trial.window.own_items.items
            or suite.replaces_import(difference)
            or self._executions.have_thrown_out()
            or trial.window.written()
        )
        if not is_to_be_kept_apart:
            suite.worlds.dissolve()
        return not is_to_be_kept_apart

    def seeking(self, name: str) -> None:
        """Do the same where pytest executes test files itself, with ``--import-mode=importlib``."""
        self._begin_below_packages(name)

    def reloading(self, name: str, module: object) -> None:
        """A reload imports no test file."""


def _lies_elsewhere(module: object, folder: str) -> bool:
    """Tell whether a module has a file that lies neither in a directory nor below it."""
    file = (namespace(module) or {}).get("__file__")
    return type(file) is str and not file.startswith(f"{folder}{os.sep}")
