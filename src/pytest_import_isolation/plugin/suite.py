"""Isolation of a whole suite: what a test file does to the import state is there for that file alone.

The worlds of a run form chains. A *layer* belongs to a directory whose conftest or package changed the
import state. Inside it is either the world that all harmless files of the directory *share*, or the *own*
world of a file that changed something; and inside that, while tests run, the *run* of their file.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.plugin.executions import Executions
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sources import Sources, import_root, imported_with
from pytest_import_isolation.report.records import INFO, Polluter
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.origins import Origin, Origins, is_pytest_filler
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.window.window import Window
from pytest_import_isolation.window.worlds import World, Worlds

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.boundaries import Boundaries

_CONFTEST = "conftest.py"


class SuiteIsolation:
    """The hooks that give every file and directory its world.

    Args:
        config: the run.
        settings: its options.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        boundaries: is told what the worlds contain, if leaks are reported.
        executions: is told which modules were put away.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        runner: Runner,
        origins: Origins,
        boundaries: Boundaries | None,
        executions: Executions,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._origins = origins
        self._boundaries = boundaries
        self._executions = executions
        self._sources = Sources()
        self._worlds = Worlds(origins)
        self._layers: dict[Path, World] = {}
        # By the directories of the layers around them.
        self._shared: dict[tuple[Path, ...], World] = {}
        self._own: dict[Path, World] = {}
        self._runs: dict[Path, World] = {}
        # How many tests of each file are still to be run.
        self._to_do: Counter[Path] = Counter()
        # The world in which a conftest is being loaded.
        self._trial: World | None = None
        # Directories beside each other whose conftests are loaded before the collection.
        self._divided: frozenset[Path] = frozenset()
        # What is imported together with the file that is being collected.
        self._expected: list[tuple[str, Path]] = []
        # Test files and the packages above them, which stay loaded.
        self._common_files: set[str] = set()
        self._conftests: set[Path] = set()
        # The directories from which test files were imported.
        self._roots: frozenset[Path] = frozenset()
        self._finds_beside = config.getoption("importmode", "prepend") != "importlib"

    # Worlds

    def _new_world(self, name: str, *, is_watchful: bool = False) -> World:
        return World(
            name,
            self._origins,
            self._must_stay,
            self._is_common,
            self._runner.is_own_entry,
            is_watchful=is_watchful,
        )

    def _must_stay(self, name: str, module: object, importer: Importer | None) -> str | None:
        pattern = self._settings.keep.match(name)
        if pattern:
            return f"import_isolation_keep names {pattern!r}"
        return self._runner.reason_to_stay(name, module, importer)

    def _is_common(self, name: str, module: object) -> bool:
        """Tell whether a module that a file or directory with a world of its own loaded is everybody's."""
        space = namespace(module) or {}
        is_own = "@pytest_ar" in space or "__path__" in space
        return (
            (is_own and space.get("__file__") in self._common_files)
            or is_pytest_filler(space)
            or self._runner.is_plugin(module)
        )

    def _is_common_or_foreign(self, name: str, module: object) -> bool:
        return (
            self._origins.verdict(name, module).origin is Origin.FOREIGN
            or self._runner.is_test_file(module)
            or self._is_common(name, module)
        )

    def _layers_of(self, path: Path) -> list[tuple[Path, World]]:
        if not self._layers:
            return []
        return [(folder, self._layers[folder]) for folder in reversed(path.parents) if folder in self._layers]

    def _around(self, path: Path) -> list[World]:
        return [world for _, world in self._layers_of(path)]

    def _shared_world(self, path: Path) -> World:
        key = tuple(folder for folder, _ in self._layers_of(path))
        world = self._shared.get(key)
        if world is None:
            world = self._shared[key] = self._new_world("another test file")
            world.is_common = self._is_common_or_foreign
            world.is_for_all = True
            self._worlds.add_lender(world)
        return world

    def _home(self, path: Path) -> World:
        return self._own.get(path) or self._shared_world(path)

    def _unobserved(self) -> AbstractContextManager[None]:
        return self._boundaries.swapping() if self._boundaries else nullcontext()

    def _swap(self, *chain: World) -> None:
        if chain != self._worlds.chain:
            with self._unobserved():
                for world, changes in self._worlds.swap(*chain).items():
                    self._executions.note(changes, world.name, world.forgotten_packages)

    def _put_away(self) -> None:
        world = self._worlds.chain[-1]
        self._executions.note(self._worlds.leave(), world.name, world.forgotten_packages)

    def _judge(self, world: World) -> tuple[Difference, list[SingleChange]]:
        """Return what changed in a world that is in place, and of that what could harm others."""
        difference = world.window.all_differences()
        judge = Judge(self._origins, world.log)
        harmful = []
        for change in single_changes(difference):
            if not self._runner.is_own(change):
                leak = judge.leak(change, Polluter("", "collect"))
                if leak is not None and leak.severity != INFO:
                    harmful.append(change)
        return difference, harmful

    def _lend_if_harmless(self, world: World, harmful: list[SingleChange]) -> None:
        """Let others use the modules of a world that differs in path entries at most.

        Unless one of them may have added those: who borrows it would not get them.
        """
        if any(change.what != "path" for change in harmful):
            return
        for name, module in world.overlay.entries.items():
            file = (namespace(module) or {}).get("__file__")
            if (
                isinstance(file, str)
                and self._origins.is_first_party(name, module)
                and self._sources.mentions_imports(Path(file))
            ):
                return
        self._worlds.add_lender(world)

    # Conftests

    def begin_initial_conftests(self, folders: list[Path]) -> None:
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

    def end_initial_conftests(self) -> None:
        """Expect no more of them."""
        self._divided = frozenset()
        self._end_trial()

    def _begin_trial(self, name: str) -> None:
        self._trial = self._new_world(name, is_watchful=True)
        self._worlds.begin(self._trial)

    def _end_trial(self) -> None:
        """Let what was loaded belong to what surrounds it."""
        if self._trial is not None:
            self._trial = None
            self._worlds.dissolve()

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Give a directory its layer if its conftest changed the import state."""
        file = getattr(plugin, "__file__", None) if isinstance(plugin, ModuleType) else None
        if not file or os.path.basename(file) != _CONFTEST:
            return
        conftest = Path(file)
        self._conftests.add(conftest)
        self._runner.expect_entry_for(conftest)
        trial = self._trial
        if trial is None:
            return
        if not self._divided or conftest.parent in self._divided:
            self._judge_conftest(trial, conftest)
        self._end_trial()
        if self._divided:
            self._begin_trial("the conftests")
        else:
            self._swap(*self._around(conftest))

    def _judge_conftest(self, trial: World, conftest: Path) -> None:
        difference, harmful = self._judge(trial)
        if harmful or self._imported_beside(difference, conftest.parent):
            self._trial = None
            if self._boundaries is not None:
                self._boundaries.record_contained(difference, Polluter(str(conftest), "conftest"))
            self._put_away()
            self._layers[conftest.parent] = trial
            self._lend_if_harmless(trial, harmful)

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

    # Collection

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Put the world in place in which something is collected, and put away what that changes."""
        if isinstance(collector, pytest.Directory):
            return (yield from self._collect_directory(collector.path / _CONFTEST))
        file = collector.getparent(pytest.File)  # type: ignore[type-abstract]
        if file is None:
            return (yield)
        if file is not collector or file.path in self._own:
            self._swap(*self._around(file.path), self._home(file.path))
            return (yield)
        return (yield from self._collect_file(file))

    def _collect_directory(
        self, conftest: Path
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        if conftest in self._conftests or not conftest.is_file():
            self._swap(*self._around(conftest), self._shared_world(conftest))
            return (yield)
        self._conftests.add(conftest)
        self._swap(*self._around(conftest))
        self._begin_trial(str(conftest))
        try:
            return (yield)
        finally:
            self._end_trial()  # it could not be loaded

    def _collect_file(self, file: pytest.File) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        path = file.path
        self._runner.expect_entry_for(path)
        self._expected = imported_with(path) if isinstance(file, pytest.Module) else []
        self._common_files.update(str(expected) for _, expected in self._expected)
        is_apart = any(self._sources.changes_imports(expected) for _, expected in self._expected)
        is_clashing = self._has_clashing_names(path)
        is_apart = is_apart or is_clashing
        self._swap(*self._around(path), *([] if is_apart else [self._shared_world(path)]))
        self._worlds.begin(self._new_world(file.nodeid, is_watchful=is_apart))
        if is_apart:
            FINDER.listen(self)
        report: pytest.CollectReport | None = None
        try:
            report = yield
            return report
        finally:
            if is_apart:
                FINDER.unlisten(self)
            is_usable = report is not None and report.passed
            self._end_collection(file, is_apart=is_apart, is_clashing=is_clashing, is_usable=is_usable)
            self._expected = []

    def _end_collection(
        self, file: pytest.File, *, is_apart: bool, is_clashing: bool, is_usable: bool
    ) -> None:
        trial = self._worlds.chain[-1]
        trial.window.stop_watching()
        difference, harmful = self._judge(trial)
        is_harmful = bool(harmful) or difference.import_function
        if not is_harmful and not is_apart:
            self._worlds.dissolve()
            return
        if not is_harmful:
            trial.is_common = self._is_common_or_foreign
        elif self._boundaries is not None:
            self._boundaries.record_contained(difference, Polluter(file.nodeid, "collect"))
        self._put_away()
        shared = self._shared_world(file.path)
        # A file with names of its own may import them later, in a test.
        if not is_harmful and not is_clashing and shared.absorb(trial):
            return
        if not is_apart:
            trial.borrowed = shared.loan()  # it was collected in the shared world, and saw what was there
        if is_usable:
            trial.inhabitants = [module for module in [getattr(file, "_obj", None)] if module is not None]
            self._own[file.path] = trial
            self._lend_if_harmless(trial, harmful)

    def _has_clashing_names(self, path: Path) -> bool:
        """Tell whether beside a file lie modules with the names of other modules of the shared world."""
        if not self._finds_beside:
            return False
        root = import_root(path)
        shared = self._shared_world(path)
        loaded = sys.modules if shared.is_in_place else shared.overlay.entries
        for name in self._sources.names_in(root):
            module = loaded.get(name)
            if module is not None and self._origins.is_first_party(name, module):
                file = (namespace(module) or {}).get("__file__")
                if isinstance(file, str) and not file.startswith(f"{root}{os.sep}"):
                    return True
        others, self._roots = self._roots - {root}, self._roots | {root}
        return any(
            name in self._sources.names_in(other) and self._sources.imports(path, name)
            for name in self._sources.names_in(root)
            for other in others
        )

    # The packages above a test file

    def importing(self, name: str) -> None:
        """Give a package its layer, if importing it changed something, before what is in it is imported."""
        names = [expected for expected, _ in self._expected]
        if name not in names[1:]:
            return
        trial = self._worlds.chain[-1]
        difference, harmful = self._judge(trial)
        file = self._expected[names.index(name) - 1][1]
        if harmful and file.parent not in self._layers:
            if self._boundaries is not None:
                self._boundaries.record_contained(difference, Polluter(str(file), "collect"))
                self._boundaries.rebase()
            self._layers[file.parent] = trial
            self._worlds.begin(self._new_world(trial.name, is_watchful=True))

    def reloading(self, name: str, module: object) -> None:
        """A reload imports no test file."""

    # Tests

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session) -> None:
        """Let the hooks of conftests that look at all tests see the shared world."""
        self._swap(self._shared_world(session.path / _CONFTEST))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests of each file."""
        self._to_do.update(path_of(item) for item in session.items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, Any, Any]:
        """Put the world of a test's file in place, and away again if the next test is of another file."""
        path = path_of(item)
        # The chain ends with the run of a file if the test before was of this file too.
        run = self._runs.get(path)
        if run is None or self._worlds.innermost is not run:
            self._enter(path, item)
        try:
            return (yield)
        finally:
            self._to_do[path] -= 1
            if nextitem is None or path_of(nextitem) != path:
                self._leave(path)

    def _enter(self, path: Path, item: pytest.Item) -> None:
        home = self._home(path)
        run = self._runs.get(path)
        if run is None:
            run = self._runs[path] = World(
                item.nodeid.partition("::")[0],
                self._origins,
                self._must_stay,
                self._is_common,
                self._runner.is_own_entry,
                is_alone=path in self._own,
                is_watchful=path in self._own,
            )
            # Nobody runs the code of the file once its last test is over.
            module = getattr(item.getparent(pytest.Module), "_obj", None)
            run.inhabitants = [] if module is None else [module]
        chain = (*self._around(path), home, run)
        if chain == self._worlds.chain:
            return
        self._swap(*chain)
        root = str(import_root(path))
        if self._finds_beside and root in sys.path and sys.path[0] != root and path not in self._own:
            with self._unobserved():
                run.window.add_path((root,))  # as when the file was collected

    def _leave(self, path: Path) -> None:
        *outer, run = self._worlds.chain
        self._swap(*outer)
        if self._to_do[path] <= 0:
            self._worlds.drop(run)
            del self._runs[path]

    def window_inside(self, fixturedef: pytest.FixtureDef[Any]) -> Window | None:
        """Return the window that ends before a fixture of a wider scope does, or None if none is known.

        A fixture of the file's own lives no longer than its world.
        """
        chain = self._worlds.chain
        if not chain or chain[-1] not in self._runs.values() or fixturedef.scope in ("class", "module"):
            return None
        home = chain[-2]
        if home in self._own.values() and fixturedef.baseid.partition("::")[0].endswith(".py"):
            return None
        return home.window

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let the hooks of conftests see the shared world."""
        self._swap(self._shared_world(session.path / _CONFTEST))

    def pytest_unconfigure(self) -> None:
        """End the worlds; what is in place stays, as it does without isolation."""
        self._worlds.close()


def path_of(item: pytest.Item) -> Path:
    """Return the file that a test belongs to."""
    file = item.getparent(pytest.File)  # type: ignore[type-abstract]
    return item.path if file is None else file.path
