"""Watches the import state at every boundary of a run and says who changed it.

Boundaries are the loading of a conftest, the collection of a file, and the phases of a test; what happens
between them is seen by the :class:`.LeakWatch`. Nothing is undone and no outcome is changed.
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
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import pytest

from pytest_import_isolation.leaks.entries import is_first_import
from pytest_import_isolation.leaks.evictions import Evictions
from pytest_import_isolation.leaks.hints import GUARD_TITLE, TITLE, guard_hint, guarded_names, hint
from pytest_import_isolation.leaks.leak_watch import LeakWatch
from pytest_import_isolation.leaks.reloads import leak_of_reload
from pytest_import_isolation.leaks.twice_loaded import TwiceLoaded
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.modules import ABSENT, namespace
from pytest_import_isolation.machinery.threads import runs_threads
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.output import Output
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.sections import add_section
from pytest_import_isolation.plugin.sources import Sources, import_root
from pytest_import_isolation.report.records import ERROR, INFO, WARNING, Leak, Polluter, Report
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.import_log import ImportLog, Reload


class _Pending(NamedTuple):
    """What a fixture of a wider scope changed: no leak as long as the fixture is alive."""

    polluter: Polluter
    single_changes: list[SingleChange]


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
        self._origins = origins
        self._log = ImportLog()
        self._sources = Sources()
        self._leak_watch = LeakWatch(
            config.rootpath,
            origins,
            self._log,
            may_write=self._sources.may_write,
            is_own=runner.is_own,
            is_of_the_run=runner.is_test_file,
            entry_before=lambda name: self._base.modules.get(name, ABSENT),
            exposes=settings.isolate is None,
        )
        self._judge = self._leak_watch.judge
        places, first_imports = self._leak_watch.places, self._leak_watch.first_imports
        self._evictions = Evictions(origins, self._log, places, first_imports)
        self._twice_loaded = TwiceLoaded(origins, places, first_imports)
        self._asked = 0
        self._pending: dict[int, _Pending] = {}
        # Changes of the running test that are explained already; others, with the phase in which they
        # appeared, by their places: a test may import thousands of modules.
        self._explained: list[SingleChange] = []
        self._phases: dict[object, list[tuple[SingleChange, str]]] = {}
        # How many modules had been asked for, and reloaded, at the end of each phase.
        self._marks: list[tuple[str, int, int]] = []
        self._test: pytest.Item | None = None
        # The file whose tests run, and what statements in its text could do by themselves: change the import
        # state, or at least rebind an attribute for a submodule.
        self._file: Path | None = None
        self._may_write = self._may_rebind = True
        # Who is to blame for what quick looks have missed, if there were any.
        self._unseen: Polluter | None = None
        self._interrupted = False
        self._isolates = settings.isolate is not None
        # The test, or file, in which a thread was seen first: it answers for what the thread imports later.
        self._threads: WeakKeyDictionary[Thread, Polluter] = WeakKeyDictionary()
        self._output = Output(config, settings)
        FINDER.listen(self._log)
        config.add_cleanup(self._stop)
        self._base = ImportState.capture()
        self._leak_watch.statements.start()

    def _stop(self) -> None:
        FINDER.unlisten(self._log)
        self._leak_watch.stop()

    # Boundaries

    def _cut(self, polluter: Polluter, *, worst: str = ERROR, explained: Iterable[SingleChange] = ()) -> None:
        """Judge all that changed since the last boundary, and begin anew.

        Args:
            polluter: who did it.
            worst: the highest severity that it can have.
            explained: changes that somebody else answers for; these, and their undoing, do not count.
        """
        if self._test is None:
            self._look_closer()
        if runs_threads():
            self._note_threads(polluter)
        # Hold nothing that has left sys.modules: what nobody else holds is not evicted but gone.
        self._leak_watch.statements.synchronize()
        difference = self._base.differences(is_own_finder)
        changes = list(single_changes(difference))
        if difference or self._log.reloads or len(self._log.importers) != self._asked:
            found = [
                change
                for change in changes
                if not any(change.same(other) or change.undoes(other) for other in explained)
            ]
            self._judge_all(found, polluter, worst)
            self._base = ImportState.capture()
        self._unseen = None
        self._leak_watch.begin_anew([change.key for change in changes])

    def _judge_all(self, found: list[SingleChange], polluter: Polluter, worst: str) -> None:
        for change in found:
            if not self._runner.is_own(change):
                leak = self._judge.leak(change, self._blame(change, polluter))
                if leak is not None:
                    self._leak_watch.found.record(leak, worst, change)
        for phase, names, reloads in self._by_phase(polluter.phase):
            for leak in self._evictions.leaks(names, polluter._replace(phase=phase)):
                # What it was is not known; no other object is it.
                self._leak_watch.found.record(leak, worst, SingleChange("entry", leak.name, object(), ABSENT))
            for reload in reloads:
                if sys.modules.get(reload.name) is reload.module:  # a fresh copy that left harms nobody
                    by = polluter._replace(phase=phase)
                    self._leak_watch.found.record(leak_of_reload(reload, by, self._leak_watch.places), worst)
        self._asked = len(self._log.importers)
        self._log.reloads.clear()
        loaded = [change.key for change in found if change.what == "entry" and type(change.key) is str]
        for leak in self._twice_loaded.leaks(loaded, polluter):
            self._leak_watch.found.record(leak, worst)
        self._leak_watch.found.record_taints(polluter, worst)

    def _note_threads(self, polluter: Polluter) -> None:
        for thread in threading.enumerate():
            self._threads.setdefault(thread, polluter)

    def _by_phase(self, last: str) -> Iterator[tuple[str, list[str], list[Reload]]]:
        """Yield the modules that were asked for and the reloads since the last boundary, phase by phase."""
        names = list(self._log.importers)
        asked, reloaded = self._asked, 0
        for phase, asked_until, reloaded_until in (*self._marks, (last, len(names), len(self._log.reloads))):
            yield phase, names[asked:asked_until], self._log.reloads[reloaded:reloaded_until]
            asked, reloaded = asked_until, reloaded_until

    def _blame(self, change: SingleChange, polluter: Polluter) -> Polluter:
        thread = self._log.threads.get(change.key) if change.what == "entry" else None
        if thread is not None:
            return self._threads.get(thread, polluter)
        if self._unseen is not None and change.what == "attribute":
            return self._unseen
        for seen, phase in self._phases.get(change.place, ()):
            if change.same(seen):
                return polluter._replace(phase=phase)
        if polluter.phase == "teardown":
            return polluter._replace(phase=self._leak_watch.phase_of(change) or _likely_phase(change))
        return polluter

    # The hooks of conftests and of collection

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Attribute what changed to a conftest that was just loaded."""
        file = getattr(plugin, "__file__", None) if isinstance(plugin, ModuleType) else None
        if file and os.path.basename(file) == "conftest.py":
            self._runner.expect_entry_for(Path(file))
            self._leak_watch.clashes.expect(import_root(Path(file)), file)
            self._cut(Polluter(self._leak_watch.places.shorten(file), "conftest"), worst=WARNING)

    def pytest_sessionstart(self) -> None:
        """What happened before belongs to the configuration of the run."""
        self._leak_watch.stop_tracing()
        self._cut(Polluter("", "configure"), worst=WARNING)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Attribute to a file what its collection changes."""
        self._cut(Polluter("", "session"), worst=WARNING)
        around = self._leak_watch.here
        here = self._leak_watch.here = Polluter(collector.nodeid, "collect")
        if isinstance(collector, (pytest.Module, pytest.Package)):
            self._runner.expect_entry_for(collector.path)
            self._leak_watch.clashes.expect(import_root(collector.path), str(collector.path))
        is_folder = isinstance(collector, pytest.Directory)
        with self._leak_watch.watching(collector.path / "conftest.py" if is_folder else collector.path):
            try:
                report: pytest.CollectReport = yield
            finally:
                self._cut(here)
                self._leak_watch.here = around
        self._note(report, "collect")
        return report

    # The hooks of tests

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Attribute to a test what is different after it."""
        # Only a glance: what the end of the test before it left was looked at, and little runs in between.
        if not self._base.shows_same_number():
            self._cut(Polluter("", "session"), worst=WARNING)
        self._begin(item)
        try:
            if self._leak_watch.statements.is_always_on:
                return (yield)
            with self._leak_watch.watching(item.path, *_files_of(item)):
                return (yield)
        finally:
            self._end(item.nodeid)

    def _begin(self, item: pytest.Item) -> None:
        if item.path != self._file:
            self._look_closer()
            self._file = item.path
            # Other code that a test calls can change something too: that is seen at the end of the file.
            self._may_write = self._sources.may_write(item.path)
            self._may_rebind = self._may_write or self._sources.may_rebind(item.path)
        self._test = item
        self._leak_watch.here = Polluter(item.nodeid, "setup")
        self._phases, self._marks, self._explained = {}, [], []

    def _look_closer(self) -> None:
        """Look for what the quick looks after the tests of a harmless file could not see."""
        unseen, self._unseen = self._unseen, None
        if unseen is not None and not self._base.looks_same():
            self._cut(unseen)

    def _end(self, nodeid: str) -> None:
        if not self._pending and not self._explained and self._is_as_before():
            if not self._may_rebind:
                self._unseen = Polluter(nodeid.partition("::")[0], "call")
            self._leak_watch.begin_anew(())
        else:
            self._end_with_changes(nodeid)
        self._test = None
        self._leak_watch.here = None

    def _is_as_before(self) -> bool:
        """Tell whether a boundary has nothing to judge."""
        base = self._base
        return (
            not runs_threads()
            and len(self._log.importers) == self._asked
            and not self._log.reloads
            and not self._leak_watch.taints
            and (base.looks_same() if self._may_rebind else base.shows_same_entries())
        )

    def _end_with_changes(self, nodeid: str) -> None:
        alive = [change for pending in self._pending.values() for change in pending.single_changes]
        explained = [*self._explained, *alive]
        # What the setup and the call left was noted; the rest is the teardown's.
        leaks = self._leak_watch.found.leaks
        first = len(leaks)
        self._note_lines()
        self._cut(Polluter(nodeid, "teardown"), explained=explained)
        if self._isolates:
            # It goes when the last test of the file is over.
            leaks[first:] = [
                leak if leak.severity == INFO else leak._replace(contained=True) for leak in leaks[first:]
            ]

    def _note_lines(self) -> None:
        code = getattr(getattr(self._test, "obj", None), "__code__", None)
        if self._test is not None and code is not None and hasattr(code, "co_lines"):
            lines = [line for _, _, line in code.co_lines() if line]
            if lines:
                self._leak_watch.places.note_lines(
                    self._test.nodeid, range(code.co_firstlineno, max(lines) + 1)
                )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Note what the setup of a test changed."""
        self._begin_phase("call")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Note what the call of a test changed."""
        self._begin_phase("teardown")

    def _begin_phase(self, phase: str) -> None:
        here = self._leak_watch.here
        if here is None:  # the hook was called for no test of this run
            return
        if runs_threads():
            self._note_threads(here)
        base = self._base
        # Who rebound an attribute is asked at the end of the test, and not in which phase.
        if not (base.shows_same_entries() if self._may_write else base.shows_same_number()):
            for change in single_changes(base.differences(is_own_finder)):
                known = self._phases.setdefault(change.place, [])
                if not any(change.same(seen) for seen, _ in known):
                    known.append((change, here.phase))
        self._marks.append((here.phase, len(self._log.importers), len(self._log.reloads)))
        self._leak_watch.here = Polluter(here.nodeid, phase)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell a failing test which leaks it met."""
        if report.outcome == "passed" and not self._leak_watch.exposures:
            return
        # With xdist the controller sees the reports of its workers, which have told their tests already.
        if self._test is None or report.nodeid != self._test.nodeid:
            return
        module = self._test.getparent(pytest.Module)
        space = namespace(getattr(module, "_obj", None))
        self._note(report, str(report.when), [] if space is None else [(str(space.get("__name__")), space)])

    def _note(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        phase: str,
        holders: Iterable[tuple[str, dict[str, Any]]] = (),
    ) -> None:
        outcome: str = "error" if report.failed and phase != "call" else report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else report.outcome
        met = self._leak_watch.found.note_outcome(report.nodeid, phase, outcome, holders)
        if met:
            add_section(report, TITLE, hint(met, str(report.longrepr)))
        if outcome == "failed":
            loaded = self._leak_watch.found.loaded_before(guarded_names(str(report.longrepr)), report.nodeid)
            if loaded:
                add_section(report, GUARD_TITLE, guard_hint(loaded))

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
            changed = [
                change
                for change in single_changes(before.differences(is_own_finder))
                if not is_first_import(change, self._origins)
            ]
            if changed:
                self._pending[id(fixturedef)] = _Pending(Polluter(request.node.nodeid, "setup"), changed)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Report what a fixture of a wider scope did not undo."""
        pending = self._pending.pop(id(fixturedef), None)
        if pending is None:
            return
        self._explained += pending.single_changes
        for change in pending.single_changes:
            if not change.is_in_place:
                self._explained.append(change.undone())
            elif not self._runner.is_own(change):
                leak = self._judge.leak(change, pending.polluter)
                if leak is not None:
                    self._leak_watch.found.record(leak, change=change)

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
            polluter = Polluter(self._test.nodeid, "call")
        elif os.path.isabs(polluter.nodeid):
            polluter = polluter._replace(nodeid=self._leak_watch.places.shorten(polluter.nodeid))
        for change in single_changes(difference):
            if not self._runner.is_own(change):
                leak = self._judge.leak(change, self._blame(change, polluter))
                if leak is not None and leak.severity != INFO:
                    self._leak_watch.found.leaks.append(leak._replace(contained=True))

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
        self._leak_watch.begin_anew()

    def note(self, leaks: Iterable[Leak]) -> None:
        """Take leaks that somebody else found."""
        self._leak_watch.found.leaks.extend(leaks)

    # The end

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember that the user, or pytest.exit(), ended the run; errors at collection do not count."""
        self._interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Close the books and hand the report over before the terminal's summary."""
        if self._test is not None:  # the run was interrupted in a test
            self._end(self._test.nodeid)
        self._cut(Polluter("", "session"), worst=WARNING)
        failure = self._leak_watch.statements.failure
        if failure is not None:
            self._output.remark(f"lines were no longer watched after {type(failure).__name__}: {failure}")
        self._output.finish(
            session, Report(self._leak_watch.found.with_exposures(), complete=not self._interrupted)
        )
        return (yield)


def _likely_phase(change: SingleChange) -> str:
    """Return the phase of a test that made a change which nobody saw.

    A glance after each phase sees what was added or removed. What took the place of something else may have
    done so in any phase, and it is the call that does most.
    """
    is_exchange = change.what in ("entry", "attribute") and ABSENT not in (change.before, change.after)
    return "call" if is_exchange else "teardown"


def _files_of(item: pytest.Item) -> list[Path]:
    """Return the files of a test's fixtures."""
    info = getattr(item, "_fixtureinfo", None)  # private, as are the definitions; without them, fewer files
    definitions = getattr(info, "name2fixturedefs", {}).values()
    functions = [getattr(one.func, "__code__", None) for several in definitions for one in several]
    files = {Path(code.co_filename) for code in functions if code is not None}
    return sorted(files)
