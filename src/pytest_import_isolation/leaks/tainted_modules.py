"""Records tainted modules: at a boundary, or when the fixture has ended that placed what they asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from pytest_import_isolation.leaks.deciders import Deciders
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.taints import Taints
from pytest_import_isolation.leaks.watched_changes import Taint, WatchedChange
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.report.records import Leak, Polluter
from pytest_import_isolation.state.single_changes import SingleChange


class FixtureFakes:
    """What a fixture of a wider scope changed, as long as it is alive.

    Args:
        changes: these.
        decider: the conftest or plugin for whose tests the fixture made them; None for a fixture of a file.
        lasts: whether the fixture ends with the run.
    """

    def __init__(
        self, changes: list[SingleChange], decider: Polluter | None = None, *, lasts: bool = False
    ) -> None:
        self.changes = changes
        self.decider = decider
        self.lasts = lasts
        #: The tests that had the fixture.
        self.users: set[str] = set()

    def explains(self, watched: WatchedChange) -> bool:
        """Tell whether a change is that of the fixture."""
        return any(map(watched.change.same, self.changes))


class _Held(NamedTuple):
    """A module that asked for the fake of a fixture that is alive."""

    fixture: FixtureFakes
    taint: Taint
    leak: Leak
    #: Who met the module; None where nobody is watched.
    meetings: WatchedChange | None

    @property
    def has_victims(self) -> bool:
        """Whether a test met it that did not have the fixture."""
        return self.meetings is not None and not self.fixture.users.issuperset(self.meetings.met)


class TaintedModules:
    """Records the modules that were imported first while something was faked or blocked.

    A fixture of a wider scope may take away what was imported meanwhile. So such a module is judged when the
    fixture has ended, or when a test fails that met it and did not have the fixture.

    Args:
        found: takes the leaks.
        taints: finds the modules.
        deciders: the conftests and plugins.
    """

    def __init__(self, found: FoundLeaks, taints: Taints, deciders: Deciders) -> None:
        self._found = found
        self._taints = taints
        #: The conftests and plugins.
        self.deciders = deciders
        self._alive: list[FixtureFakes] = []
        self._held: list[_Held] = []
        # Those of fixtures that ended since the last boundary.
        self._ended: list[_Held] = []

    def __bool__(self) -> bool:
        """Whether there is anything to judge at the next boundary."""
        return bool(self._ended or self._taints)

    @property
    def holds_any(self) -> bool:
        """Whether a module waits for the end of a fixture."""
        return bool(self._held)

    @property
    def has_ended(self) -> bool:
        """Whether a fixture ended for which a module waited."""
        return bool(self._ended)

    def begin_fixture(self, fixture: FixtureFakes) -> None:
        """Take note of what a fixture of a wider scope changed when it was set up."""
        self._alive.append(fixture)

    def end_fixture(self, fixture: FixtureFakes) -> None:
        """Take note that a fixture was torn down; what else ends with it may take away more."""
        if fixture in self._alive:
            self._alive.remove(fixture)
            self._ended += [held for held in self._held if held.fixture is fixture]
            self._held = [held for held in self._held if held.fixture is not fixture]

    def end_all(self) -> None:
        """Take note that no fixture is torn down any more."""
        for fixture in list(self._alive):
            self.end_fixture(fixture)

    def record(self, by: Callable[[SingleChange], Polluter], worst: str) -> None:
        """Record the modules that were imported since the last boundary, and those of fixtures that ended.

        Args:
            by: returns who made a change, here: who imported a module.
            worst: the highest severity that a leak can have.
        """
        for taint in self._taints.take(self._found.first_importers):
            fixture = next((one for one in self._alive if one.explains(taint.watched)), None)
            importer = by(taint.change)
            decider = self._decider(taint, fixture)
            leak = self._taints.leak(taint, importer, decider)
            if fixture is None:
                self._found.record(leak, worst, taint.change)
            else:
                meetings = self._found.watch_importers(taint.change, leak._replace(polluter=importer))
                self._held.append(_Held(fixture, taint, leak, meetings))
        ended, self._ended = self._ended, []
        for held in ended:
            # Whoever has the fixture for the whole run has what belongs together.
            is_decided = held.fixture.decider is not None and held.fixture.lasts
            if held.has_victims or not (is_decided and held.taint.watched.is_in_place):
                self._record_held(held)

    def record_kept(self, kept: Mapping[str, tuple[str, str]], by: Polluter) -> None:
        """Record the modules that a test had executed with a fake of its own, and that stay after it.

        Args:
            kept: what each of them asked for, and why it stays.
            by: the test.
        """
        for name, (fake, why) in kept.items():
            leak = self._taints.leak_of_kept(name, fake, why, by)
            self._found.record(leak, change=SingleChange("entry", name, ABSENT, sys.modules.get(name)))

    def blame(self, nodeid: str) -> None:
        """Record what a failing test met that does not have the fixture.

        Args:
            nodeid: of the test.
        """
        for held in self._held.copy():
            met = () if held.meetings is None else held.meetings.met
            if nodeid in met and nodeid not in held.fixture.users:
                self._held.remove(held)
                self._record_held(held)

    def take_over(self, leaks: Iterable[Leak]) -> list[Leak]:
        """Record what a failing test met in another process that waits here; return the other leaks.

        Args:
            leaks: those that were found in that process.
        """
        others: list[Leak] = []
        for leak in leaks:
            place = leak.kind, leak.name, leak.polluter
            held = next((h for h in self._held if (h.leak.kind, h.leak.name, h.leak.polluter) == place), None)
            if held is None:
                others.append(leak)
            else:
                self._held.remove(held)
                self._found.add_exposures(len(self._found.leaks), leak.exposed)
                self._record_held(held)
        return others

    def _decider(self, taint: Taint, fixture: FixtureFakes | None) -> Polluter | None:
        if fixture is not None:
            return fixture.decider
        left_by = taint.watched.polluter
        return left_by if self.deciders.has(left_by) else None

    def _record_held(self, held: _Held) -> None:
        if held.taint.is_of_now:
            self._found.record(held.leak, change=held.taint.change, users=held.fixture.users)
