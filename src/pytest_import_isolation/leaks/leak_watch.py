"""What happens between two boundaries: which statement changes what, and who imports what is leaked."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_import_isolation.leaks.clashes import Clash, Clashes, leak_of_clash
from pytest_import_isolation.leaks.deciders import Deciders, folder_of
from pytest_import_isolation.leaks.entries import is_first_import
from pytest_import_isolation.leaks.evictions import Evictions
from pytest_import_isolation.leaks.exposures import Exposures
from pytest_import_isolation.leaks.first_imports import FirstImports
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.leaks.tainted_modules import TaintedModules
from pytest_import_isolation.leaks.taints import Taints
from pytest_import_isolation.leaks.thrown_out import ThrownOut
from pytest_import_isolation.leaks.user_code import UserCode
from pytest_import_isolation.leaks.watched_changes import WatchedChange
from pytest_import_isolation.machinery.finders import import_function
from pytest_import_isolation.machinery.frames import caller
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.report.records import ERROR, Exposure, Polluter
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.statements import Statements, Trail
from pytest_import_isolation.window.open_windows import open_windows

if TYPE_CHECKING:
    from _typeshed import StrPath

    from pytest_import_isolation.window.window import Window

# The phases in which something is run that can leak an error.
_TESTING: Final = ("collect", "setup", "call", "teardown")
# What words an error imports the module that it names, to suggest other names; so nobody needs that.
_ADVISER: Final = "traceback"


class LeakWatch:
    """Watches the statements and the imports of a run, and holds what finds and keeps its leaks.

    Args:
        root: the directory to which file names are relative.
        origins: gives the verdicts on modules.
        log: who imported what first.
        may_write: tells whether statements of a file could change the import state at all. The others are
            not watched: tests have many lines, and what is called in one could do it at most.
        is_own: tells whether a change is the test run's own.
        is_of_the_run: tells whether a module is a test file or conftest.
        entry_before: returns what an entry of ``sys.modules`` was at the last boundary, ABSENT for nothing.
        exposes: whether others can meet what is left: not if it is contained.
    """

    def __init__(
        self,
        root: Path,
        origins: Origins,
        log: ImportLog,
        *,
        may_write: Callable[[StrPath], bool],
        is_own: Callable[[SingleChange], bool],
        is_of_the_run: Callable[[object], bool],
        entry_before: Callable[[Any], object],
        exposes: bool,
    ) -> None:
        self._root = root
        self._origins = origins
        self._may_write = may_write
        self._is_own = is_own
        self._entry_before = entry_before
        #: The users' own code.
        self.code = code = UserCode(origins)
        log.is_users = code.has
        # Since the last boundary: by what statements were seen to change, the identity of what was there then
        # and the phase. The object itself shall be gone if nobody else holds it.
        self._seen: dict[tuple[str, Any], tuple[int, str]] = {}
        self._listen(log)
        self._importer = code.importer
        #: The test or file that runs, and its phase.
        self.here: Polluter | None = None
        #: Sees the statements.
        self.statements = Statements(
            lambda file: code.has_source(file) and may_write(file),
            lambda module, file: code.has_source(file),
            self._changed,
        )
        #: Finds the statements.
        self.places = Places(root, self.statements, log)
        #: Knows the conftests and plugins that change something for many tests.
        self.deciders = Deciders(self.places, origins)
        #: Tells who imported what first.
        self.first_imports = FirstImports(origins, log, self.places)
        self._evictions = Evictions(origins, log, self.places, self.first_imports)
        #: Judges changes.
        at_start: dict[str, tuple[object, ...]] = {
            name: items_of(name) for name in ("meta_path", "path_hooks")
        }
        at_start["import_function"] = (import_function(),)
        self.judge = Judge(origins, log, self.places, at_start)
        self._find_clashes(is_of_the_run)
        self._keep_leaks(is_of_the_run, exposes=exposes)

    def _keep_leaks(self, is_of_the_run: Callable[[object], bool], *, exposes: bool) -> None:
        #: Knows who met what.
        self.exposures = Exposures(lambda: self.here, self.code, is_of_the_run)
        taints = Taints(self.exposures, self.code, self.first_imports, self.places, self._entry_before)
        #: What was found.
        self.found = FoundLeaks(
            self._origins, self.places, self.exposures, taints, self.deciders, exposes=exposes
        )
        self._thrown_out = ThrownOut(self._origins, self._evictions, self.found, self.exposures)
        #: Records the modules that keep something of a fake.
        self.tainted = TaintedModules(self.found, taints, self.deciders)

    def _find_clashes(self, is_of_the_run: Callable[[object], bool]) -> None:
        #: Finds the names that lie in several directories.
        self.clashes = Clashes(
            self._origins,
            self.code.importer,
            is_of_the_run,
            lambda: "" if self.here is None else self.here.nodeid,
            self._clashed,
        )
        # By name and importing file.
        self._clashes_met: dict[tuple[str, str], WatchedChange] = {}

    def _listen(self, log: ImportLog) -> None:
        # The modules that were executed before and asked for again since the last boundary, with the phase.
        self._asked_again: dict[str, str] = {}
        # Those of them that were not there at the last boundary, with the statement that asks, and that which
        # was seen to throw it out, and the phase in which it was.
        self._evicted: dict[str, tuple[Exposure, Trail | None, str]] = {}
        # The modules that were asked for in windows since then, with the window: it forgets them on purpose.
        self._in_windows: dict[str, weakref.ref[Window]] = {}
        log.beforehand = self._ask
        log.once_more = self._ask_again

    def stop_tracing(self) -> None:
        """Watch lines no more where that is not done for the whole run; see :meth:`watching`."""
        if not self.statements.is_always_on:
            self.statements.stop()

    def stop(self) -> None:
        """Watch nothing more."""
        self.statements.stop()
        self.exposures.stop()
        self.clashes.stop()

    @contextmanager
    def watching(self, *files: Path) -> Iterator[None]:
        """Watch the lines of files in the block, also on a Python where that is not done all the time.

        Args:
            files: those whose code is about to run.
        """
        begins = not self.statements.is_always_on and any(map(self._may_write, files))
        if begins:
            self.statements.start()
        try:
            yield
        finally:
            if begins:
                self.statements.stop()

    def begin_anew(self, changed: Collection[Any] | None = None) -> None:
        """Take what is there now as the state of a boundary.

        Args:
            changed: the entries, and the attributes by the names of their modules, that are not what they
                were at the last one; by default anything may be.
        """
        self.statements.go_on()
        self.statements.begin_anew(is_same=changed is not None and not changed)
        self._seen.clear()
        EXECUTED.begin_anew()
        self._asked_again.clear()
        self._evicted.clear()
        self._thrown_out.begin_anew()
        self._in_windows.clear()
        self.exposures.begin_anew(changed)

    def phase_of(self, change: SingleChange) -> str | None:
        """Return the phase in which a statement was seen to make a change, if one was."""
        identity, phase = self._seen.get(change.place, (0, None))
        is_exchange = identity == id(ABSENT) and self.statements.find_exchange(change) is not None
        return phase if identity == id(change.after) or is_exchange else None

    def was_thrown_out_by_users(self, name: str) -> bool:
        """Tell whether users' own statement was seen to throw a module out that users' own code asked for."""
        return self._was_thrown_out(name) and not self.first_imports.asked_by_inner_run(name)

    def _was_thrown_out(self, name: str) -> bool:
        return self._seen.get(("entry", name), (0, ""))[0] == id(ABSENT)

    def phase_since(self, change: SingleChange) -> str | None:
        """Return the phase of a change that no statement was seen to make, if it is known."""
        again = self._asked_again.get(change.key) if change.what == "entry" else None
        if again is not None and change.after is not None:
            return again
        _, phase = self._seen.get(change.place, (0, None))
        return phase if phase == "teardown" else None  # the last phase: what follows is in it, too

    def _ask(self, name: str) -> None:
        if open_windows:
            self._in_windows.setdefault(name, weakref.ref(open_windows[-1]))

    def _was_forgotten_by_a_window(self, name: str) -> bool:
        """Tell whether a module is not loaded since a window ended, or began, that wants it so."""
        window = self._in_windows.get(name)
        if window is not None and window() not in open_windows:
            return True
        return any(window.absent.hides(name) for window in open_windows)

    def _ask_again(self, name: str) -> None:
        here, asker = self.here, caller()
        if here is None:
            return
        self._asked_again[name] = here.phase
        if (
            here.phase in _TESTING
            and asker is not None
            and asker.module != _ADVISER
            and self._entry_before(name) is ABSENT
            and name not in EXECUTED.failed
            and not self._was_forgotten_by_a_window(name)
        ):
            importer = self._importer(asker)
            exposure = Exposure(here.nodeid, here.phase, *self.code.place(importer, name), "unknown")
            if self._was_thrown_out(name):  # a statement was seen to do that
                self._evicted[name] = exposure, self.places.removal(name), self._seen["entry", name][1]
            else:
                self._thrown_out.note_import(name, exposure)

    def note_taken_away(self, names: Iterable[str], by: Polluter) -> None:
        """Take note of modules that the teardown of a fixture of a wider scope took out."""
        for name in names:
            self._thrown_out.note(name, by, self.places.removal(name))

    def note_thrown_out(self, names: Iterable[str], by: Polluter) -> None:
        """Take note of modules that were imported since the last boundary and are not there.

        No statement of the user's is seen where a decorator, a plugin's fixture or a clean-up takes them out.
        """
        for name in names:
            if (
                name not in FINDER.lot
                and not self._was_forgotten_by_a_window(name)
                and self.first_imports.asked_by_tests(name)
            ):
                self._thrown_out.note_gone(name, by)

    def blame_for_evictions(self) -> None:
        """Record what a failing test or file threw out and imported again: it may be its own victim."""
        here, evicted = self.here, self._evicted.copy()
        self._evicted.clear()
        if here is None:
            return
        for name, (exposure, trail, phase) in evicted.items():
            module = sys.modules.get(name)
            if FINDER.lot.returned(name) is module:
                continue  # it was put aside, and is the same again
            leak = self._evictions.of_own_victim(name, here._replace(phase=phase), trail)
            change = SingleChange("entry", name, ABSENT, module)
            self.found.record_met(leak, change, exposure)
        self._thrown_out.blame(here)

    def _changed(self, changes: list[SingleChange], trail: Trail) -> None:
        """Take note of what a statement has just changed, before anybody can meet it."""
        here = self.here
        if here is None or here.phase not in _TESTING:
            return
        self._seen.update({change.place: (id(change.after), here.phase) for change in changes})
        for change in changes:
            if change.what == "path" and change.before is ABSENT and type(change.after) is str:
                self.clashes.expect(Path(change.after), str(self._root / here.nodeid.partition("::")[0]))
            elif change.what == "entry":
                self._changed_entry(change, here)
                if self._was_imported_since(change):
                    self._thrown_out.note(change.key, here, trail)
        # A statement may have undone something.
        self.exposures.drop_undone([change.key for change in changes])

    def _was_imported_since(self, change: SingleChange) -> bool:
        """Tell whether what was taken out has not been there at the last boundary."""
        name = change.key
        return change.after is ABSENT and type(name) is str and self._entry_before(name) is ABSENT

    def _changed_entry(self, change: SingleChange, here: Polluter) -> None:
        # What was there before the test counts, not what was there a moment ago.
        change = change._replace(before=self._entry_before(change.key))
        if change.after is change.before or self._is_own(change) or is_first_import(change, self._origins):
            return
        decider = self.deciders.of(change)
        if decider is not None:
            if folder_of(decider) is None:
                return  # it is there for everybody
            here = here._replace(nodeid=decider)
        leak = self.judge.leak(change, here)
        if leak is not None and leak.severity == ERROR:
            self.found.watch_importers(change, leak)

    def _clashed(self, clash: Clash) -> None:
        here = self.here
        if here is None:
            return
        if clash.adder is None:
            polluter = self._loader_of(clash)
        else:
            phase = "conftest" if is_conftest(clash.adder) else "collect"
            polluter = Polluter(self.places.shorten(clash.adder), phase if clash.adder else "configure")
        if polluter.nodeid in (here.nodeid, here.nodeid.partition("::")[0]):
            return  # two directories of one file's own
        exposure = Exposure(here.nodeid, here.phase, clash.importer.file, clash.importer.line, "unknown")
        file = str(self._root / here.nodeid.partition("::")[0])
        is_there_alone = polluter.phase == "configure" or (
            polluter.phase == "conftest" and (self._root / polluter.nodeid).parent in Path(file).parents
        )
        told = self._clashes_met.get((clash.name, clash.importer.file))
        if told is not None and told.polluter == polluter:
            self.exposures.meet(told, exposure)
            return
        self._clashes_met[clash.name, clash.importer.file] = self.found.record_met(
            leak_of_clash(
                clash,
                polluter,
                self.places,
                self.first_imports,
                ends_apart=not is_there_alone and self.clashes.ends_apart(clash, file),
            ),
            SingleChange("entry", clash.name, ABSENT, sys.modules.get(clash.name)),
            exposure,
        )

    def _loader_of(self, clash: Clash) -> Polluter:
        """Return who loaded the module that an import got."""
        if is_conftest(clash.got):
            return Polluter(self.places.shorten(clash.got), "conftest")
        return self.found.first_importers.get(clash.name, Polluter("", "configure"))
