"""The worlds of a suite: which belongs to which directory and file, and what in them could harm others."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_import_isolation.contents.findings import Findings
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.machinery.finders import import_function
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, is_rewritten, namespace
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.plugin.conftest_entry import ConftestEntry
from pytest_import_isolation.plugin.executions import Executions
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sources import Sources
from pytest_import_isolation.report.records import INFO, Polluter
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.origins import Origin, Origins, is_pytest_filler
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.window.world import World
from pytest_import_isolation.window.worlds import Worlds

if TYPE_CHECKING:
    from pytest_import_isolation.plugin.boundaries import Boundaries


class SuiteWorlds:
    """Makes the worlds of a suite, and puts them in place.

    Args:
        settings: the options of the run.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        boundaries: is told what the worlds contain, if leaks are reported.
        executions: is told which modules were put away.
        sources: tells what the text of a file mentions.
    """

    def __init__(
        self,
        settings: Settings,
        runner: Runner,
        origins: Origins,
        boundaries: Boundaries | None,
        executions: Executions,
        sources: Sources,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._origins = origins
        self._boundaries = boundaries
        self._executions = executions
        self._sources = sources
        self._ownership = Ownership(origins)
        self._places = Places(Path())
        self._writers = Writers.of(origins) if settings.contents == "undo" else None
        # By the directories of the layers around them.
        self._shared: dict[tuple[Path, ...], World] = {}
        #: What ``conftest`` means for each file.
        self.conftest_entry = ConftestEntry()
        #: Those that are in place.
        self.worlds = Worlds(origins)
        #: Those of directories.
        self.layers: dict[Path, World] = {}
        #: Those of files that changed something.
        self.own: dict[Path, World] = {}
        #: Files whose imports need the directory they lie in before all other entries of ``sys.path``.
        self.first_by_themselves: set[Path] = set()
        #: Test files and the packages above them, which stay loaded.
        self.common_files: set[str] = set()

    # Which there are

    def new(self, name: str, *, is_alone: bool = True, is_watchful: bool = False) -> World:
        """Return a new world; see :class:`.World` for the arguments."""
        return World(
            name,
            self._origins,
            self._must_stay,
            self._is_common,
            self._runner.is_own_entry,
            is_alone=is_alone,
            is_watchful=is_watchful,
            writers=self._writers,
        )

    def around(self, path: Path) -> list[World]:
        """Return the layers around a file or directory, the outermost first."""
        return [self.layers[folder] for folder in self._layered_above(path)]

    def shared(self, path: Path) -> World:
        """Return the world that a file would share with the harmless files of its directory."""
        key = tuple(self._layered_above(path))
        world = self._shared.get(key)
        if world is None:
            world = self._shared[key] = self.new("another test file")
            world.is_common = self.is_common_or_foreign
            world.is_for_all = True
            # What was executed with the fakes of a directory is nobody's outside of it.
            world.lends_inside = tuple(layer for layer in self.around(path) if layer.is_harmful)
            self.worlds.add_lender(world)
        return world

    def home(self, path: Path) -> World:
        """Return the world in which a file is: its own, or else the shared one."""
        return self.own.get(path) or self.shared(path)

    def _layered_above(self, path: Path) -> list[Path]:
        if not self.layers:
            return []
        return [folder for folder in reversed(path.parents) if folder in self.layers]

    def is_test_file(self, path: Path) -> bool:
        """Tell whether a file holds tests, and not only doctests of an application's module."""
        return self._origins.is_test_file(str(path))

    # What belongs to everybody

    def _must_stay(self, name: str, module: object, importer: Importer | None) -> str | None:
        pattern = self._settings.keep.match(name)
        if pattern:
            return f"import_isolation_keep names {pattern!r}"
        return self._runner.reason_to_stay(name, module, importer)

    def _is_common(self, name: str, module: object) -> bool:
        """Tell whether a module that a file or directory with a world of its own loaded is everybody's."""
        space = namespace(module) or {}
        is_own = is_rewritten(module) or "__path__" in space
        return (
            (is_own and type(file := space.get("__file__")) is str and file in self.common_files)
            or is_pytest_filler(space)
            or self._runner.is_plugin(module)
        )

    def is_common_or_foreign(self, name: str, module: object) -> bool:
        """Tell whether a module that harmless code loaded is everybody's."""
        return (
            self._origins.verdict(name, module).origin is Origin.FOREIGN
            or self._runner.is_test_file(module)
            or self._is_common(name, module)
        )

    # Putting them in place

    def swap(self, *chain: World) -> None:
        """Put a chain of worlds in place, the outermost first."""
        if chain != self.worlds.chain:
            with self.unobserved():
                for world, changes in self.worlds.swap(*chain).items():
                    self._executions.note(changes, world.name, world)

    def put_away(self) -> None:
        """Leave the innermost world."""
        world = self.worlds.chain[-1]
        self._executions.note(self.worlds.leave(), world.name, world)

    # What they changed

    def judge(self, world: World, file: Path) -> tuple[Difference, list[SingleChange]]:
        """Return what changed in a world that is in place, and of that what could harm others.

        Args:
            world: the world.
            file: the test file or conftest that was executed in it.
        """
        difference = world.window.all_differences()
        judge = Judge(self._origins, world.log, self._places)
        harmful = []
        changes, polluter = list(single_changes(difference)), Polluter(str(file), "collect")
        for change in (*changes, *(change for change, _ in judge.unbound(changes, polluter))):
            if not self._runner.is_own(change) and self._ownership.owner(change) is None:
                leak = judge.leak(change, polluter)
                if leak is not None and leak.severity != INFO:
                    harmful.append(change)
        return difference, harmful

    def replaces_import(self, difference: Difference) -> bool:
        """Tell whether test code replaced ``builtins.__import__``, or let other imports be lazy."""
        changes = []
        if difference.import_function:
            changes.append(SingleChange("import_function", "", ABSENT, import_function()))
        if difference.lazy_imports:
            changes.append(SingleChange("lazy_imports", "", *difference.lazy_imports))
        return any(self._ownership.owner(change) is None for change in changes)

    def lend_if_harmless(self, world: World, harmful: list[SingleChange]) -> None:
        """Let others use the modules of a world that differs in path entries at most.

        Unless one of them may have added those: who borrows it would not get them.
        """
        if any(change.what != "path" for change in harmful):
            world.is_harmful = True
            return
        if world.has_undone:
            return
        for name, module in world.overlay.entries.items():
            file = (namespace(module) or {}).get("__file__")
            if (
                type(file) is str
                and self._origins.is_first_party(name, module)
                and self._sources.mentions_imports(Path(file))
            ):
                return
        self.worlds.add_lender(world)

    # The report

    def record(self, difference: Difference, polluter: Polluter, *, stays: bool = False) -> None:
        """Let the report say what a world contains.

        Args:
            difference: what changed in it.
            polluter: who changed it.
            stays: whether the world stays in place for what comes next.
        """
        if self._boundaries is not None:
            self._boundaries.record_contained(difference, polluter)
            if stays:
                self._boundaries.rebase()

    def record_copies(self, difference: Difference, polluter: Polluter) -> None:
        """Let the report say which files are loaded under two names in a world that others will share."""
        if self._boundaries is not None:
            self._boundaries.record_copies(single_changes(difference), polluter)

    def record_contents(self, findings: Findings, polluter: Polluter) -> None:
        """Let the report say what a world contains in modules; see :meth:`record`."""
        if self._boundaries is not None:
            self._boundaries.record_contained_contents(findings, polluter)

    def record_patched_imports(self, *, are_contained: bool) -> None:
        """Let the report say what a file imported while something was patched.

        Args:
            are_contained: whether the file keeps that to itself, in a world of its own.
        """
        if self._boundaries is not None:
            self._boundaries.take_patched_imports(are_contained=are_contained)

    def record_collection(self, nodeid: str) -> None:
        """Let the report say what another collection of a file changed in the file's own world."""
        if self._boundaries is not None:
            first = len(self._boundaries.found.leaks)
            self._boundaries.cut(Polluter(nodeid, "collect"))
            self._boundaries.found.contain(first)

    def unobserved(self) -> AbstractContextManager[None]:
        """Return a context in which changes are attributed to nobody."""
        return self._boundaries.swapping() if self._boundaries else nullcontext()
