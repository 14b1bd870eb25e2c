"""Watches the import state at every boundary of a run and says who changed it.

Boundaries are the loading of a conftest, the collection of a file, and the phases of a test. Between them
the statements of suspicious files are watched, and as long as something is leaked, who imports it. Nothing
is undone and no outcome is changed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import pytest

from pytest_import_isolation.atoms import Atom, atoms
from pytest_import_isolation.blocks import WRAPPERS
from pytest_import_isolation.differences import Difference
from pytest_import_isolation.importlog import ImportLog, Reload
from pytest_import_isolation.machinery import ABSENT, Importer, calling_frame, is_initializing, namespace
from pytest_import_isolation.origins import Origin, Origins
from pytest_import_isolation.parking import DOOR, is_door
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.output import Output
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sections import add_section
from pytest_import_isolation.plugin.sources import Sources, import_root
from pytest_import_isolation.report.clashes import Clash, Clashes
from pytest_import_isolation.report.exposures import FAILURES, Exposures, Hazard
from pytest_import_isolation.report.hints import TITLE, Met, hint, state_with_holdings
from pytest_import_isolation.report.judging import Judge
from pytest_import_isolation.report.places import Places
from pytest_import_isolation.report.records import ERROR, INFO, WARNING, Exposure, Leak, Polluter, Report
from pytest_import_isolation.state import ImportState
from pytest_import_isolation.statements import Statements, Trail

_OWN_DIRECTORY: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
# The phases in which something is run that can leak an error.
_TESTING: Final = ("collect", "setup", "call", "teardown")
# Kinds of leaks that a module which is imported meanwhile keeps something of.
_TAINTING: Final = ("fake-left", "blocked-left", "replaced")


class _Pending(NamedTuple):
    """What a fixture of a wider scope changed: no leak as long as the fixture is alive."""

    polluter: Polluter
    atoms: list[Atom]


class Observer:
    """The hooks that watch.

    Args:
        config: the run.
        settings: its options.
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
    """

    def __init__(self, config: pytest.Config, settings: Settings, runner: Runner, origins: Origins) -> None:
        self._runner = runner
        self._root = config.rootpath
        self._origins = origins
        self._log = ImportLog()
        self._sources = Sources()
        self._is_code_of_theirs: dict[str, bool] = {}
        self._statements = Statements(self._is_watched, self._is_shown, self._changed, WRAPPERS)
        self._places = Places(self._root, self._statements, self._log)
        self._judge = Judge(self._origins, self._log, self._places)
        self._exposures = Exposures(self._who, self._find_importer, self._runner.is_test_file)
        self._clashes = Clashes(self._origins, self._find_importer, self._runner.is_test_file, self._clashed)
        self._leaks: list[Leak] = []
        # Who imported each module first.
        self._first: dict[str, Polluter] = {}
        # What runs now.
        self._here: Polluter | None = None
        self._collecting: str | None = None
        self._asked = 0
        self._pending: dict[int, _Pending] = {}
        # Atoms of the running test that are explained already, and the phase in which others appeared.
        self._explained: list[Atom] = []
        self._phases: list[tuple[Atom, str]] = []
        # How many modules had been asked for, and reloaded, at the end of each phase.
        self._marks: list[tuple[str, int, int]] = []
        self._test: str | None = None
        self._interrupted = False
        self._isolates = settings.isolate is not None
        # The test, or file, in which a thread was seen first: it answers for what the thread imports later.
        self._threads: WeakKeyDictionary[Thread, Polluter] = WeakKeyDictionary()
        self._output = Output(config, settings)
        DOOR.listen(self._log)
        config.add_cleanup(self._stop)
        self._base = ImportState.capture()
        self._statements.start()

    def _stop(self) -> None:
        DOOR.unlisten(self._log)
        self._statements.stop()
        self._exposures.stop()
        self._clashes.stop()

    # Boundaries

    def _cut(self, polluter: Polluter, *, worst: str = ERROR, explained: Iterable[Atom] = ()) -> None:
        """Judge all that changed since the last boundary, and begin anew.

        Args:
            polluter: who did it.
            worst: the highest severity that it can have.
            explained: changes that somebody else answers for; these, and their undoing, do not count.
        """
        self._note_threads(polluter)
        difference = self._base.differences(is_door)
        if difference or self._log.reloads or len(self._log.importers) != self._asked:
            found = [
                atom
                for atom in atoms(difference)
                if not any(atom.same(other) or atom.undoes(other) for other in explained)
            ]
            self._judge_all(found, polluter, worst)
            self._base = ImportState.capture()
        self._statements.synchronize()
        self._exposures.settle()

    def _judge_all(self, found: list[Atom], polluter: Polluter, worst: str) -> None:
        for atom in found:
            if not self._runner.is_own(atom):
                leak = self._judge.leak(atom, self._blame(atom, polluter))
                if leak is not None:
                    self._record(leak, worst, atom)
        for phase, names, reloads in self._by_phase(polluter.phase):
            for leak in self._judge.evicted(names, polluter._replace(phase=phase)):
                # What it was is not known; no other object is it.
                self._record(leak, worst, Atom("entry", leak.name, object(), ABSENT))
            for reload in reloads:
                if sys.modules.get(reload.name) is reload.module:  # a fresh copy that left harms nobody
                    self._record(self._judge.reloaded(reload, polluter._replace(phase=phase)), worst)
        self._asked = len(self._log.importers)
        self._log.reloads.clear()
        loaded = [atom.key for atom in found if atom.what == "entry" and type(atom.key) is str]
        for leak in self._judge.twice_loaded(loaded, polluter):
            self._record(leak, worst)
        self._judge_taints(polluter, worst)

    def _judge_taints(self, polluter: Polluter, worst: str) -> None:
        taints = {taint.module: taint for taint in reversed(self._exposures.taints)}
        self._exposures.taints.clear()
        for name, taint in reversed(taints.items()):
            module = sys.modules.get(name)
            if name in self._first and not is_initializing(module):
                leak = self._judge.tainted(taint, taint.hazard.polluter, polluter)
                self._record(leak, worst, Atom("entry", name, ABSENT, module))

    def _record(self, leak: Leak, worst: str, atom: Atom | None = None) -> None:
        """Add a leak; note who meets it from now on, if it is an error.

        Args:
            leak: what was found.
            worst: the highest severity that it can have.
            atom: the change of an entry or attribute that others can meet.
        """
        if leak.kind == "loaded":
            self._first.setdefault(leak.name, leak.polluter)
        if worst == WARNING and leak.severity == ERROR:
            leak = leak._replace(severity=WARNING)
        if leak.severity == ERROR and atom is not None and atom.what in ("entry", "attribute"):
            self._arm(atom, leak, len(self._leaks))
        self._leaks.append(leak)

    def _arm(self, atom: Atom, leak: Leak, number: int | None = None) -> None:
        if self._isolates:
            return  # nobody else will meet it
        taints = leak.kind in _TAINTING and not self._judge.is_real(atom.key, atom.after)
        hazard = self._exposures.arm(atom, leak.polluter, taints=taints)
        if number is not None:
            hazard.leak = number

    def _note_threads(self, polluter: Polluter) -> None:
        if threading.active_count() > 1:
            for thread in threading.enumerate():
                self._threads.setdefault(thread, polluter)

    def _by_phase(self, last: str) -> Iterator[tuple[str, list[str], list[Reload]]]:
        """Yield the modules that were asked for and the reloads since the last boundary, phase by phase."""
        names = list(self._log.importers)
        asked, reloaded = self._asked, 0
        for phase, asked_until, reloaded_until in (*self._marks, (last, len(names), len(self._log.reloads))):
            yield phase, names[asked:asked_until], self._log.reloads[reloaded:reloaded_until]
            asked, reloaded = asked_until, reloaded_until

    def _blame(self, atom: Atom, polluter: Polluter) -> Polluter:
        thread = self._log.threads.get(atom.key) if atom.what == "entry" else None
        if thread is not None:
            return self._threads.get(thread, polluter)
        for seen, phase in self._phases:
            if atom.same(seen):
                return polluter._replace(phase=phase)
        return polluter

    # The hooks of conftests and of collection

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Attribute what changed to a conftest that was just loaded."""
        file = getattr(plugin, "__file__", None) if isinstance(plugin, ModuleType) else None
        if file and os.path.basename(file) == "conftest.py":
            self._runner.expect_entry_for(Path(file))
            self._clashes.expect(import_root(Path(file)), file)
            self._cut(Polluter(self._places.shorten(file), "conftest"), worst=WARNING)

    def pytest_sessionstart(self) -> None:
        """What happened before belongs to the configuration of the run."""
        if not self._statements.is_always_on:
            self._statements.stop()
        self._cut(Polluter("", "configure"), worst=WARNING)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Attribute to a file what its collection changes."""
        self._cut(Polluter("", "session"), worst=WARNING)
        around = self._here
        here = self._here = Polluter(collector.nodeid, "collect")
        if isinstance(collector, (pytest.Module, pytest.Package)):
            self._runner.expect_entry_for(collector.path)
            self._clashes.expect(import_root(collector.path), str(collector.path))
        is_folder = isinstance(collector, pytest.Directory)
        with self._watching(collector.path / "conftest.py" if is_folder else collector.path):
            try:
                report: pytest.CollectReport = yield
            finally:
                self._cut(here)
                self._here = around
        self._note(report, "collect")
        return report

    @contextmanager
    def _watching(self, *files: Path) -> Iterator[None]:
        """Watch the statements of files, on a Python where that is not done all the time."""
        collecting, self._collecting = self._collecting, str(files[0])
        begins = not self._statements.is_always_on and any(map(self._sources.may_write, files))
        if begins:
            self._statements.start()
        try:
            yield
        finally:
            if begins:
                self._statements.stop()
            self._collecting = collecting

    # The hooks of tests

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Attribute to a test what is different after it."""
        if not self._base.looks_same():
            self._cut(Polluter("", "session"), worst=WARNING)
        self._begin(item)
        with self._watching(item.path, *([] if self._statements.is_always_on else _files_of(item))):
            try:
                return (yield)
            finally:
                self._end(item.nodeid)

    def _begin(self, item: pytest.Item) -> None:
        self._test = item.nodeid
        self._here = Polluter(item.nodeid, "setup")
        self._phases, self._marks, self._explained = [], [], []
        code = getattr(getattr(item, "obj", None), "__code__", None)
        if code is not None and hasattr(code, "co_lines"):
            lines = [line for _, _, line in code.co_lines() if line]
            if lines:
                self._places.note_lines(item.nodeid, range(code.co_firstlineno, max(lines) + 1))

    def _end(self, nodeid: str) -> None:
        alive = [atom for pending in self._pending.values() for atom in pending.atoms]
        explained = [*self._explained, *alive]
        # What the setup and the call left was noted; the rest is the teardown's.
        first = len(self._leaks)
        self._cut(Polluter(nodeid, "teardown"), explained=explained)
        if self._isolates:
            # It goes when the last test of the file is over.
            self._leaks[first:] = [
                leak if leak.severity == INFO else leak._replace(contained=True)
                for leak in self._leaks[first:]
            ]
        self._test, self._phases, self._marks, self._explained = None, [], [], []
        self._here = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        """Note what the setup of a test changes."""
        self._enter_phase("setup")
        try:
            return (yield)
        finally:
            self._note_phase("setup")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Note what the call of a test changes."""
        self._enter_phase("call")
        try:
            return (yield)
        finally:
            self._note_phase("call")
            self._enter_phase("teardown")

    def _enter_phase(self, phase: str) -> None:
        if self._here is not None:
            self._here = self._here._replace(phase=phase)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell a failing test which leaks it met."""
        report = yield
        module = item.getparent(pytest.Module)
        space = namespace(getattr(module, "_obj", None))
        self._note(report, call.when, [] if space is None else [(str(space.get("__name__")), space)])
        return report

    def _note(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        phase: str,
        holders: Iterable[tuple[str, dict[str, Any]]] = (),
    ) -> None:
        outcome: str = "error" if report.failed and phase != "call" else report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else report.outcome
        self._exposures.note_outcome(report.nodeid, phase, outcome)
        if outcome not in FAILURES:
            return
        met = [
            Met(
                leak,
                self._shortened(exposure),
                exposure.phase == "collect" and phase != "collect",
                state_with_holdings(leak.name, holders),
            )
            for hazard, exposure in self._exposures.of(report.nodeid)
            if hazard.leak is not None and not (leak := self._leaks[hazard.leak]).contained
        ]
        if met:
            add_section(report, TITLE, hint(met, str(report.longrepr)))

    def _note_phase(self, phase: str) -> None:
        if self._test is not None:
            self._note_threads(Polluter(self._test, phase))
        for atom in atoms(self._base.differences(is_door)):
            if not any(atom.same(seen) for seen, _ in self._phases):
                self._phases.append((atom, phase))
        self._marks.append((phase, len(self._log.importers), len(self._log.reloads)))

    # The hooks of fixtures of a wider scope

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Put down to a fixture of a wider scope what its setup changes, until it is torn down."""
        if fixturedef.scope == "function":
            return (yield)
        before = ImportState.capture()
        try:
            return (yield)
        finally:
            changed = [atom for atom in atoms(before.differences(is_door)) if not self._is_harmless(atom)]
            if changed:
                self._pending[id(fixturedef)] = _Pending(Polluter(request.node.nodeid, "setup"), changed)

    def _is_harmless(self, atom: Atom) -> bool:
        return self._judge.is_first_import(atom)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Report what a fixture of a wider scope did not undo."""
        pending = self._pending.pop(id(fixturedef), None)
        if pending is None:
            return
        self._explained += pending.atoms
        for atom in pending.atoms:
            if not atom.is_in_place:
                self._explained.append(atom.undone())
            elif not self._runner.is_own(atom):
                leak = self._judge.leak(atom, pending.polluter)
                if leak is not None:
                    self._leaks.append(leak)

    # Statements, and what they import

    def _who(self) -> Polluter | None:
        return self._here

    def _is_watched(self, file: str) -> bool:
        if not file.endswith(".py") or not self._is_theirs(file):
            return False
        return file == self._collecting or self._sources.may_write(Path(file))

    def _is_shown(self, module: str, file: str) -> bool:
        return file.endswith(".py") and self._is_theirs(file)

    def _is_theirs(self, file: str) -> bool:
        """Tell whether code is the users' own."""
        known = self._is_code_of_theirs.get(file)
        if known is None:
            known = self._origins.of_file("", file) is Origin.FIRST_PARTY
            known = known and not file.startswith(_OWN_DIRECTORY)
            self._is_code_of_theirs[file] = known
        return known

    def _find_importer(self, asker: Importer) -> Importer:
        """Return the users' own statement that imports; a library asks in the name of somebody."""
        if self._is_theirs(asker.file):
            return asker
        frame = calling_frame()
        while frame is not None:
            file = frame.f_code.co_filename
            if file.endswith(".py") and self._is_theirs(file):
                return Importer(str(frame.f_globals.get("__name__")), file, frame.f_lineno)
            frame = frame.f_back
        return asker

    def _changed(self, changes: list[Atom], trail: Trail) -> None:
        """Take note of what a statement has just changed, before anybody can meet it."""
        here = self._here
        if here is None or here.phase not in _TESTING:
            return
        for atom in changes:
            if atom.what == "path" and atom.before is ABSENT and type(atom.after) is str:
                self._clashes.expect(Path(atom.after), str(self._root / here.nodeid.partition("::")[0]))
            elif atom.what == "entry":
                self._changed_entry(atom, here)
        self._exposures.settle()  # a statement may have undone something

    def _changed_entry(self, atom: Atom, here: Polluter) -> None:
        # What was there before the test counts, not what was there a moment ago.
        atom = atom._replace(before=self._base.modules.get(atom.key, ABSENT))
        if atom.after is atom.before or self._runner.is_own(atom) or self._judge.is_first_import(atom):
            return
        leak = self._judge.leak(atom, here)
        if leak is not None and leak.severity == ERROR:
            self._arm(atom, leak)

    def _clashed(self, clash: Clash) -> None:
        here = self._here
        if here is None:
            return
        if clash.adder is None:
            polluter = self._first.get(clash.name, Polluter("", "configure"))
        else:
            polluter = Polluter(self._places.shorten(clash.adder), "collect")
        if polluter.nodeid == here.nodeid:
            return  # two directories of one test's own
        hazard = Hazard(
            Atom("entry", clash.name, ABSENT, sys.modules.get(clash.name)), polluter, taints=False
        )
        hazard.leak = len(self._leaks)
        hazard.meet(Exposure(here.nodeid, here.phase, clash.importer.file, clash.importer.line, "unknown"))
        self._exposures.add(hazard)
        self._leaks.append(self._judge.clash(clash, polluter))

    # Contained by a window or a world

    def contained(self, difference: Difference, polluter: Polluter | None = None) -> None:
        """Record what a window or world is about to undo.

        Args:
            difference: the changes.
            polluter: who made them; the running test by default.
        """
        if polluter is None:
            if self._test is None:
                return
            polluter = Polluter(self._test, "call")
        elif os.path.isabs(polluter.nodeid):
            polluter = polluter._replace(nodeid=self._places.shorten(polluter.nodeid))
        for atom in atoms(difference):
            if not self._runner.is_own(atom):
                leak = self._judge.leak(atom, self._blame(atom, polluter))
                if leak is not None and leak.severity != INFO:
                    self._leaks.append(leak._replace(contained=True))

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """Put down to nobody what changes in the block: one world makes room for another."""
        self._cut(Polluter("", "session"), worst=WARNING)
        yield
        self.rebase()

    def rebase(self) -> None:
        """Take what is there now as the state with which everything is compared."""
        self._asked = len(self._log.importers)
        self._log.reloads.clear()
        self._base = ImportState.capture()
        self._statements.synchronize()

    def note(self, leaks: Iterable[Leak]) -> None:
        """Take leaks that somebody else found."""
        self._leaks.extend(leaks)

    # The end

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember that the user, or pytest.exit(), ended the run; errors at collection do not count."""
        self._interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Close the books and hand the report over before the terminal's summary."""
        if self._test is not None:  # the run was interrupted in a test
            self._end(self._test)
        self._cut(Polluter("", "session"), worst=WARNING)
        leaks = tuple(
            leak._replace(exposed=tuple(self._shortened(met) for met in self._exposures.of_leak(number)))
            for number, leak in enumerate(self._leaks)
        )
        failure = self._statements.failure
        if failure is not None:
            self._output.remark(f"lines were no longer watched after {type(failure).__name__}: {failure}")
        self._output.finish(session, Report(leaks, complete=not self._interrupted))
        return (yield)

    def _shortened(self, exposure: Exposure) -> Exposure:
        return exposure._replace(file=self._places.shorten(exposure.file))


def _files_of(item: pytest.Item) -> list[Path]:
    """Return the files of a test's fixtures."""
    info = getattr(item, "_fixtureinfo", None)  # private, as are the definitions; without them, fewer files
    definitions = getattr(info, "name2fixturedefs", {}).values()
    functions = [getattr(one.func, "__code__", None) for several in definitions for one in several]
    files = {Path(code.co_filename) for code in functions if code is not None}
    return sorted(files)
