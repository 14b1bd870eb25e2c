"""Comparing the import state with that of the last boundary, and judging what is different.

Boundaries are the loading of a conftest, the collection of a file, and the begin and end of a test.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import pytest

from pytest_import_isolation.contents.findings import Findings
from pytest_import_isolation.leaks.entries import is_first_import
from pytest_import_isolation.leaks.evictions import Evictions
from pytest_import_isolation.leaks.leak_watch import LeakWatch
from pytest_import_isolation.leaks.originals import Originals
from pytest_import_isolation.leaks.twice_loaded import TwiceLoaded
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.modules import ABSENT, missing_among
from pytest_import_isolation.machinery.threads import runs_threads
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.plugin.attribution import Attribution
from pytest_import_isolation.plugin.content_boundaries import ContentBoundaries, note_lines
from pytest_import_isolation.plugin.restoring_fixtures import has_restoring_fixture
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.undone_changes import UndoneChanges
from pytest_import_isolation.report.records import ERROR, INFO, WARNING, Leak, Polluter
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.entries import loaded_now
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.import_log import ImportLog


def _whole(polluter: Polluter) -> Polluter:
    """Return the file that a part of it belongs to."""
    return polluter._replace(nodeid=polluter.nodeid.partition("::")[0])


def _without(taken_away: Collection[str], change: SingleChange) -> SingleChange:
    """Return a change as it is for those who do not have what a fixture brought and took away."""
    if change.what != "entry" or change.after is ABSENT or type(change.key) is not str:
        return change
    return change._replace(before=ABSENT) if change.key in taken_away else change


class Boundaries:
    """Keeps the import state of the last boundary and judges what changed since.

    Args:
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        log: who imported what first.
        leak_watch: what happens between the boundaries.
        contents: does the same for what modules hold.
    """

    def __init__(
        self,
        runner: Runner,
        origins: Origins,
        log: ImportLog,
        leak_watch: LeakWatch,
        contents: ContentBoundaries,
    ) -> None:
        self._runner = runner
        #: Does the same for what modules hold.
        self.contents = contents
        self._log = log
        self._leak_watch = leak_watch
        self._judge = leak_watch.judge
        self._origins = origins
        self._ownership = Ownership(origins)
        self._evictions = Evictions(origins, log, leak_watch.places, leak_watch.first_imports)
        self._twice_loaded = TwiceLoaded(origins, leak_watch.places, leak_watch.first_imports)
        #: The modules that fakes were left in the place of.
        self.originals = Originals(origins)
        # How many modules had been asked for at the last boundary.
        self._asked = 0
        # The modules that were imported first in a window or world.
        self._imported_inside: set[str] = set()
        #: Takes the leaks.
        self.found = leak_watch.found
        #: Knows which of them were undone at once.
        self.undone = UndoneChanges()
        #: Records what asked for fakes.
        self.tainted = leak_watch.tainted
        #: Knows who made a change.
        self.attribution = Attribution(log, leak_watch)
        #: The test that runs.
        self.test: pytest.Item | None = None
        #: The import state at the last boundary.
        self.base = ImportState.capture()
        # The file of which something was collected last, if nothing else was judged since.
        self._collected: Polluter | None = None

    def cut(
        self,
        polluter: Polluter,
        *,
        worst: str = ERROR,
        explained: Collection[SingleChange] = (),
        taken_away: Collection[str] = (),
    ) -> None:
        """Judge all that changed since the last boundary, and begin anew.

        Args:
            polluter: who did it.
            worst: the highest severity that it can have.
            explained: changes that somebody else answers for; these do not count.
            taken_away: entries that somebody else brought and took away, which counts if it is an eviction.
        """
        self._look(polluter, worst)
        difference = self.base.differences(is_own_finder)
        changes = self._remaining(single_changes(difference), polluter)
        self._collected = None
        # What was asked for since the last boundary is looked for anyway.
        asked = {*islice(self._log.importers, self._asked, None)} if taken_away else ()
        if difference or self.has_imports or self.tainted.has_ended:
            found: list[SingleChange] = []
            for change in changes:
                if not any(map(change.same, explained)):
                    found.append(change)
                else:  # a fixture may leave a fake in the place of a module
                    self.originals.note(change)
            if taken_away:
                found = [_without(taken_away, change) for change in found]
            unbound = [
                pair for pair in self._judge.unbound(found, polluter) if not any(map(pair[0].same, explained))
            ]
            self._judge_all(found, unbound, polluter, worst)
            del found, unbound  # see above
            self.base = ImportState.capture()
        keys = [change.key for change in changes]
        if taken_away:
            del difference, changes  # as above: what they hold is not evicted
            self._judge_evictions([name for name in taken_away if name not in asked], polluter, worst)
            self._leak_watch.note_taken_away(taken_away, polluter)
        self.attribution.unseen = None
        self._leak_watch.begin_anew(keys)

    def _look(self, polluter: Polluter, worst: str) -> None:
        """Judge what modules hold, and let all others know of what is loaded now."""
        loaded = loaded_now()  # held for those who look at once
        if self.test is None:
            self.look_closer()
            self.contents.cut(polluter, worst)
        if runs_threads():
            self.attribution.note_threads(polluter)
        self._leak_watch.statements.synchronize()
        # Nothing here may hold what has left sys.modules: what nobody else holds is not evicted but gone.
        del loaded

    def _remaining(self, changes: Iterator[SingleChange], polluter: Polluter) -> list[SingleChange]:
        """Leave out what undoes at once, by a hook of the suite, what was found before."""
        remaining = self.undone.remaining(changes) if polluter.phase == "session" else [*changes]
        if self._collected != _whole(polluter):  # else it is a class of the same file
            self.undone.begin_anew()
        return remaining

    def cut_between(self, explained: Collection[SingleChange] = ()) -> None:
        """Judge what pytest and its plugins did between two files or tests; see :meth:`cut`."""
        self.cut(Polluter("", "session"), worst=WARNING, explained=explained)

    # Suites of classes have many more of these than files, and the code that runs when one is collected
    # changes next to never anything.

    def begin_part(self, polluter: Polluter) -> bool:
        """Take note that a class of a file is about to be collected.

        Args:
            polluter: the class.

        Returns:
            Whether nothing has to be judged before: a part of the same file was collected last.
        """
        return self._collected == _whole(polluter) and self.base.holds_still()

    def has_changes(self) -> bool:
        """Tell whether there is anything to judge."""
        if self.has_imports or self.tainted.has_ended or runs_threads():
            return True
        return not (self.base.is_unchanged() and self.contents.is_unchanged())

    def note_collected(self, polluter: Polluter) -> None:
        """Take note that a file, or a part of it, was collected and judged."""
        self._collected = _whole(polluter)

    @property
    def has_imports(self) -> bool:
        """Whether a module was asked for, or reloaded, since the last boundary."""
        return bool(self._log.reloads) or len(self._log.importers) != self._asked

    def look_closer(self) -> None:
        """Look for what the quick looks after the tests of a harmless file could not see."""
        unseen, self.attribution.unseen = self.attribution.unseen, None
        if unseen is not None and not self.base.looks_same():
            self.cut(unseen)

    def _judge_all(
        self,
        found: list[SingleChange],
        unbound: list[tuple[SingleChange, SingleChange]],
        polluter: Polluter,
        worst: str,
    ) -> None:
        for change, cause in (*zip(found, found, strict=True), *unbound):
            by = self._polluter_of(change, polluter, cause)
            if not self._runner.is_own(change):
                compared = self.originals.compared(change)
                leak = self._judge.leak(compared, by)
                if leak is not None:
                    self.undone.note(change, leak, len(self.found.leaks))
                    self.found.record(leak, self._worst_of(leak, cause, worst), compared)
        for phase, names, reloads in self.attribution.by_phase(polluter.phase, self._asked):
            by = polluter._replace(phase=phase)
            self._judge_evictions(names, by, worst)
            for reload in reloads:
                if sys.modules.get(reload.name) is reload.module:  # a fresh copy that left harms nobody
                    self.contents.record_reload(reload, by, worst)
        self._forget_imports()
        for leak in self._twice_loaded.leaks(found, lambda change: self._polluter_of(change, polluter)):
            self.found.record(leak, worst)
        self.tainted.record(lambda change: self.attribution.polluter_of(change, polluter), worst)

    def _worst_of(self, leak: Leak, cause: SingleChange, worst: str) -> str:
        """Return the highest severity that a leak can have: what a hook does is no error."""
        is_by_hook = leak.severity == ERROR and self._leak_watch.deciders.is_by_hook(cause)
        return WARNING if is_by_hook else worst

    def _polluter_of(self, change: SingleChange, by: Polluter, cause: SingleChange | None = None) -> Polluter:
        """Return who made a change; a hook of a conftest or plugin answers for all but what it imports."""
        by = self.attribution.polluter_of(cause or change, by)
        decider = self._leak_watch.deciders.of(cause or change)
        if decider is None or is_first_import(change, self._origins):
            return by
        return by._replace(nodeid=decider)

    def _judge_evictions(self, names: Sequence[str], by: Polluter, worst: str) -> None:
        # Asked for once: most tests throw out nothing.
        excuses = functools.cache(lambda: has_restoring_fixture(self.test, self._ownership))
        for leak in self._evictions.leaks(
            names,
            by,
            lambda name: excuses() and not self._leak_watch.was_thrown_out_by_users(name),
        ):
            # What it was is not known; no other object is it.
            change = SingleChange("entry", leak.name, object(), ABSENT)
            # It may have been thrown out in another phase than it was imported in.
            thrown_out = by._replace(phase=self._leak_watch.phase_of(change) or by.phase)
            self.found.record(leak._replace(polluter=thrown_out), worst, change)
        gone = [name for name in missing_among(names) if name not in EXECUTED.failed]
        if gone and not excuses():
            self._leak_watch.note_thrown_out(gone, by)

    def _forget_imports(self) -> None:
        self._asked = len(self._log.importers)
        self._log.reloads.clear()

    # Contained by a window or a world

    def record_contained(self, difference: Difference, polluter: Polluter | None = None) -> None:
        """Record what a window or world is about to undo.

        Args:
            difference: the changes.
            polluter: who made them; the running test by default.
        """
        if polluter is None:
            if self.test is None:
                return
            polluter = Polluter(self.test.nodeid, "call")
        elif os.path.isabs(polluter.nodeid):
            polluter = polluter._replace(nodeid=self._leak_watch.places.shorten(polluter.nodeid))
        changes = list(single_changes(difference))
        if changes and self.test is not None and self.test.nodeid == polluter.nodeid:
            note_lines(self._leak_watch.places, self.test)
        for change, cause in (*zip(changes, changes, strict=True), *self._judge.unbound(changes, polluter)):
            if not self._runner.is_own(change):
                leak = self._judge.leak(change, self._polluter_of(change, polluter, cause))
                if leak is not None and leak.severity != INFO:
                    capped = self.found.capped(leak, self._worst_of(leak, cause, ERROR))
                    self.found.leaks.append(capped._replace(contained=True))
                elif leak is not None and self._is_first_of_all(leak):
                    self._imported_inside.add(leak.name)
                    self.found.leaks.append(leak)
        self.record_copies(changes, polluter, contained=True)

    def record_copies(
        self, changes: Iterable[SingleChange], polluter: Polluter, *, contained: bool = False
    ) -> None:
        """Record the files that were loaded under a second name in a window or world.

        Args:
            changes: what is different in it.
            polluter: who made the changes.
            contained: whether it is about to undo them.
        """
        for leak in self._twice_loaded.leaks(changes, lambda change: self._polluter_of(change, polluter)):
            self.found.leaks.append(leak._replace(contained=contained))

    def _is_first_of_all(self, leak: Leak) -> bool:
        """Tell whether a module was imported first in a window or world, which may forget it."""
        is_known = leak.name in self.found.first_importers or leak.name in self._imported_inside
        return leak.kind == "loaded" and not is_known

    def record_contained_contents(self, findings: Findings, polluter: Polluter | None = None) -> None:
        """Record what a window or world is about to undo in modules; see :meth:`record_contained`."""
        if polluter is None and self.test is not None:
            polluter = Polluter(self.test.nodeid, "call")
        if polluter is not None and findings:
            self.contents.record_contained(findings, polluter)

    def record_kept_taints(self, kept: Mapping[str, tuple[str, str]], by: Polluter) -> None:
        """Record the modules that a test had executed with a fake of its own, and that stay after it."""
        self.tainted.record_kept(kept, by)

    def take_patched_imports(self, *, are_contained: bool = False) -> None:
        """Record the modules that a test or file imported first while something was patched.

        Args:
            are_contained: whether the file that was collected keeps them to itself.
        """
        place = self._leak_watch.places.of_first_import
        self.contents.patched.take(self.found.first_importers.get, place, are_contained=are_contained)

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """Attribute to nobody what changes in the block: one world makes room for another."""
        self.cut_between()
        yield
        self.rebase()

    @contextmanager
    def unjudged(self) -> Iterator[None]:
        """Attribute to nobody what changes in the block, and judge later what had changed before."""
        before = ImportState.capture()
        yield
        self.base.follow(before.differences(is_own_finder), before)

    def rebase(self) -> None:
        """Take what is there now as the state with which everything is compared."""
        self._forget_imports()
        self.base = ImportState.capture()
        self.contents.rebase()
        self._leak_watch.begin_anew()
