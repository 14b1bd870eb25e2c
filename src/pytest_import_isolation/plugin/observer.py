"""Watches the import state at every boundary of a run and says who changed it.

Boundaries are the loading of a conftest, the collection of a file, and the phases of a test. Nothing is
undone and no outcome is changed.
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

from pytest_import_isolation.differences import Difference
from pytest_import_isolation.importlog import ImportLog, Reload
from pytest_import_isolation.origins import Origins
from pytest_import_isolation.parking import DOOR, is_door
from pytest_import_isolation.plugin.options import Settings
from pytest_import_isolation.plugin.output import Output
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.report.judging import Atom, Judge, atoms
from pytest_import_isolation.report.places import guess_line
from pytest_import_isolation.report.records import ERROR, INFO, WARNING, Leak, Location, Polluter, Report
from pytest_import_isolation.state import ImportState


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
        self._judge = Judge(self._origins, self._log, self._shorten, self._locate)
        self._leaks: list[Leak] = []
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
        self._items: dict[str, range] = {}
        # The test, or file, in which a thread was seen first: it answers for what the thread imports later.
        self._threads: WeakKeyDictionary[Thread, Polluter] = WeakKeyDictionary()
        self._output = Output(config, settings)
        DOOR.listen(self._log)
        config.add_cleanup(lambda: DOOR.unlisten(self._log))
        self._base = ImportState.capture()

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

    def _judge_all(self, found: list[Atom], polluter: Polluter, worst: str) -> None:
        leaks = [
            leak
            for atom in found
            if not self._runner.is_own(atom) and (leak := self._judge.leak(atom, self._blame(atom, polluter)))
        ]
        for phase, names, reloads in self._by_phase(polluter.phase):
            leaks += self._judge.evicted(names, polluter._replace(phase=phase))
            leaks += (
                self._judge.reloaded(reload, polluter._replace(phase=phase))
                for reload in reloads
                if sys.modules.get(reload.name) is reload.module  # a fresh copy that left harms nobody
            )
        self._asked = len(self._log.importers)
        self._log.reloads.clear()
        leaks += self._judge.twice_loaded(
            [atom.key for atom in found if atom.what == "entry" and type(atom.key) is str], polluter
        )
        self._leaks += [
            leak._replace(severity=WARNING) if worst == WARNING and leak.severity == ERROR else leak
            for leak in leaks
        ]

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
            self._cut(Polluter(self._shorten(file), "conftest"), worst=WARNING)

    def pytest_sessionstart(self) -> None:
        """What happened before belongs to the configuration of the run."""
        self._cut(Polluter("", "configure"), worst=WARNING)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Attribute to a file what its collection changes."""
        self._cut(Polluter("", "session"), worst=WARNING)
        if isinstance(collector, (pytest.Module, pytest.Package)):
            self._runner.expect_entry_for(collector.path)
        try:
            return (yield)
        finally:
            self._cut(Polluter(collector.nodeid, "collect"))

    # The hooks of tests

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Attribute to a test what is different after it."""
        if not self._base.looks_same():
            self._cut(Polluter("", "session"), worst=WARNING)
        self._begin(item)
        try:
            return (yield)
        finally:
            self._end(item.nodeid)

    def _begin(self, item: pytest.Item) -> None:
        self._test = item.nodeid
        self._phases, self._marks, self._explained = [], [], []
        code = getattr(getattr(item, "obj", None), "__code__", None)
        if code is not None and hasattr(code, "co_lines"):
            lines = [line for _, _, line in code.co_lines() if line]
            if lines:
                self._items[item.nodeid] = range(code.co_firstlineno, max(lines) + 1)

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

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        """Note what the setup of a test changes."""
        try:
            return (yield)
        finally:
            self._note_phase("setup")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Note what the call of a test changes."""
        try:
            return (yield)
        finally:
            self._note_phase("call")

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
            if not self._judge.is_in_place(atom):
                self._explained.append(self._judge.undone(atom))
            elif not self._runner.is_own(atom):
                leak = self._judge.leak(atom, pending.polluter)
                if leak is not None:
                    self._leaks.append(leak)

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
            polluter = polluter._replace(nodeid=self._shorten(polluter.nodeid))
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
        self._output.finish(session, Report(tuple(self._leaks), complete=not self._interrupted))
        return (yield)

    # Places

    def _shorten(self, file: str) -> str:
        try:
            return Path(file).relative_to(self._root).as_posix()
        except ValueError:
            return file

    def _locate(self, polluter: Polluter, container: str, name: str) -> Location | None:
        """Guess the statement of a polluter, from the text of its file."""
        file = polluter.nodeid.partition("::")[0]
        path = self._root / file
        if not file or path.suffix != ".py":
            return None
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
        line = guess_line(source, container, name, self._items.get(polluter.nodeid))
        return None if line is None else Location(file, line, exact=False)
