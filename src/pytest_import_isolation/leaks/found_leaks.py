"""The leaks that a run has found up to now, and what a failing test is told of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import Any

from pytest_import_isolation.leaks.deciders import Deciders, folder_of
from pytest_import_isolation.leaks.entries import is_real
from pytest_import_isolation.leaks.exposures import FAILURES, Exposures
from pytest_import_isolation.leaks.hints import Met, state_with_holdings
from pytest_import_isolation.leaks.holders import Failure, WatchedFunction
from pytest_import_isolation.leaks.module_contents import ContentLeak
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.leaks.taints import TAINTING, Taints
from pytest_import_isolation.leaks.watched_changes import WatchedChange
from pytest_import_isolation.machinery.modules import ancestors
from pytest_import_isolation.report.records import (
    ERROR,
    INFO,
    MODULE_KINDS,
    WARNING,
    Exposure,
    Leak,
    Polluter,
)
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange


class FoundLeaks:
    """Keeps the leaks of a run with those who met them.

    Args:
        origins: gives the verdicts on modules.
        places: shortens file names.
        exposures: knows who met what.
        taints: finds the modules that keep something of a fake.
        deciders: the conftests and plugins whose changes are no errors.
        exposes: whether others can meet what is left: not if it is contained.
    """

    def __init__(
        self,
        origins: Origins,
        places: Places,
        exposures: Exposures,
        taints: Taints,
        deciders: Deciders,
        *,
        exposes: bool,
    ) -> None:
        self._origins = origins
        self._places = places
        self._exposures = exposures
        self._taints = taints
        self._deciders = deciders
        self._exposes = exposes
        #: In order. An element may be replaced; none is taken out that others can meet.
        self.leaks: list[Leak] = []
        # The numbers of those that outlast a test where each is isolated, and whether they end with its file.
        self._lasting: dict[int, bool] = {}
        #: Who imported each module first.
        self.first_importers: dict[str, Polluter] = {}
        # The numbers of those that are errors only if somebody failed who met them.
        self._suspects: set[int] = set()
        self._unsaid: set[tuple[int, str]] = set()  # with failed tests that say nothing of them
        # What hooks wrote to modules, once each.
        self._by_hooks: set[tuple[str, str]] = set()
        # What was found in other processes, once each.
        self._from_elsewhere: set[Leak] = set()
        # By the numbers of leaks, who met them in another process.
        self._met_elsewhere: dict[int, list[Exposure]] = {}

    def record(
        self,
        leak: Leak,
        worst: str = ERROR,
        change: SingleChange | None = None,
        users: Collection[str] | None = None,
    ) -> None:
        """Add a leak; note who meets it from now on, if it is an error or may turn out to be one.

        Args:
            leak: what was found.
            worst: the highest severity that it can have.
            change: the change, if there is one that others can meet.
            users: the tests that had the fixture which made it.
        """
        if leak.kind == "loaded":
            self.first_importers.setdefault(leak.name, leak.polluter)
            self._taints.note_import(leak.name)
        capped = self.capped(leak, worst)
        # What a conftest decided on harms those who are not below it, or do not have its fixture.
        is_suspect = capped is not leak and (users is not None or folder_of(leak.polluter.nodeid) is not None)
        if change is not None and change.what in ("entry", "attribute"):
            if is_suspect:
                self._suspects.add(len(self.leaks))
            if is_suspect or capped.severity == ERROR:
                self.watch_importers(change, leak, len(self.leaks), users)
        elif change is not None and change.what == "import_function" and self._exposes:
            self._exposures.watch_contents(WatchedFunction(change, leak.polluter, len(self.leaks)))
        self.leaks.append(capped)

    def capped(self, leak: Leak, worst: str = ERROR) -> Leak:
        """Return a leak with a severity no higher than it can have; a decision is no error."""
        is_capped = leak.severity == ERROR and (worst == WARNING or self._deciders.has(leak.polluter))
        return leak._replace(severity=WARNING) if is_capped else leak

    def record_contents(
        self, found: ContentLeak, worst: str = ERROR, *, contained: bool, ends_with_file: bool | None = None
    ) -> None:
        """Add a leak in the contents of a module; note who meets it from now on.

        Args:
            found: the leak, and what others can meet of it.
            worst: the highest severity that it can have.
            contained: whether it is undone.
            ends_with_file: if a fixture of a wider scope left it, whether that ends with its file.
        """
        leak, watched = self.capped(found.leak, worst), found.watched
        leak = leak._replace(contained=contained and not found.is_kept and leak.severity != INFO)
        if found.is_by_hook:
            # A hook may do it before each test.
            if (leak.name, leak.polluter.nodeid) in self._by_hooks:
                return
            self._by_hooks.add((leak.name, leak.polluter.nodeid))
        elif contained and leak in self.leaks:
            return  # it is told once
        is_for_all = self._deciders.has(leak.polluter) and folder_of(leak.polluter.nodeid) is None
        if leak.severity != INFO and not contained and self._exposes and not is_for_all:
            if leak.severity != found.leak.severity and worst == ERROR:
                self._suspects.add(len(self.leaks))
            watched.confirm(len(self.leaks), leak.polluter)
            self._exposures.watch_contents(watched)
            if watched.met:
                self._exposures.add(watched)
        if ends_with_file is not None:
            self._lasting[len(self.leaks)] = ends_with_file
        self.leaks.append(leak)

    def record_lasting(
        self, leak: Leak, change: SingleChange, users: Collection[str] | None = None, *, ends_with_file: bool
    ) -> None:
        """Add a leak that outlasts a test where each is isolated, as that of a fixture of a wider scope does.

        Args:
            leak: what was found.
            change: the change.
            users: the tests that had the fixture, if a conftest decided on what it does.
            ends_with_file: whether it ends with its file where files are isolated.
        """
        self._lasting[len(self.leaks)] = ends_with_file
        self.record(leak, change=change, users=users)

    def record_suspect(self, leak: Leak, change: SingleChange, *, contained: bool) -> None:
        """Add a leak that is an error only if somebody who met it failed.

        Args:
            leak: what was found.
            change: the change that others can meet.
            contained: whether it is undone.
        """
        if any(leak.kind == known.kind and leak.name == known.name for known in self.leaks):
            return  # it is tainted by something else, too, which was told
        leak = leak._replace(contained=contained)
        if not contained:
            self.watch_importers(change, leak, len(self.leaks))
            self._suspects.add(len(self.leaks))
        self.leaks.append(leak)

    def contain(self, first: int) -> None:
        """Take note that what was found last is undone by isolation; what is known of it is told once.

        Args:
            first: the number of the first of these leaks.
        """
        known = {leak for leak in self.leaks[:first] if leak.contained}
        new = self.leaks[first:]
        new = [leak if leak.severity == INFO else leak._replace(contained=True) for leak in new]
        self.leaks[first:] = [leak for leak in new if leak not in known]

    def uncontain(self, remaining: Collection[tuple[str, str]]) -> None:
        """Say of nothing that it was undone which is still there when all is over.

        Args:
            remaining: kinds of leaks and names, of what was not there at the start.
        """
        for number, leak in enumerate(self.leaks):
            if leak.contained and (leak.kind, leak.name) in remaining:
                self.leaks[number] = leak._replace(contained=False)

    def record_met(self, leak: Leak, change: SingleChange, exposure: Exposure) -> WatchedChange:
        """Add a leak that is found when somebody meets it.

        Args:
            leak: what was found.
            change: the change that was met.
            exposure: who met it, and where.
        """
        watched = WatchedChange(change, leak.polluter, taints=False)
        watched.leaks.append(len(self.leaks))
        watched.meets_polluter = leak.polluter.nodeid == exposure.nodeid
        watched.meet(exposure)
        self._exposures.add(watched)
        self.leaks.append(leak)
        return watched

    def watch_importers(
        self,
        change: SingleChange,
        leak: Leak,
        number: int | None = None,
        users: Collection[str] | None = None,
    ) -> WatchedChange | None:
        """Note who imports from now on what a change left, unless nobody can meet it.

        Args:
            change: the change.
            leak: the leak that it is.
            number: of the leak; None as long as the change may be undone.
            users: the tests that had the fixture which made it.
        """
        if not self._exposes:
            return None
        taints = leak.kind in TAINTING and not is_real(change.key, change.after, self._origins)
        watched = self._exposures.watch(change, leak.polluter, taints=taints)
        if leak.kind == "tainted":
            self._taints.reach(watched, self.first_importers)
        if number is not None:
            watched.confirm(number, leak.polluter, users)
            if taints and (leak.location is None or not leak.location.exact):
                self._taints.note_unobserved(watched)
        return watched

    def note_outcome(self, nodeid: str, phase: str, outcome: str) -> None:
        """Take note of what a phase of a test, or the collection of a file, came to.

        Args:
            nodeid: the test or file.
            phase: of the run.
            outcome: see :meth:`.exposures.Exposures.note_outcome`.
        """
        self._exposures.note_outcome(nodeid, phase, outcome)

    def met_by_failing(
        self,
        nodeid: str,
        phase: str,
        failure: Failure,
        touches: Callable[[str], bool] = bool,
    ) -> list[Met]:
        """Return the leaks that were met by a test or file that fails; its outcome may not be noted yet.

        Args:
            nodeid: the test or file.
            phase: of the run.
            failure: what is known of it.
            touches: tells whether the failure touches a module.
        """
        for unsaid in self._exposures.note_failure(nodeid, phase, failure):
            self._unsaid.update((number, nodeid) for number in unsaid.leaks)
        outcomes = self._exposures.outcomes
        return [
            Met(
                leak,
                self._shortened(exposure),
                exposure.phase == "collect" and phase != "collect",
                _state(leak, {holder.name: holder.space for holder in failure.holders}.items()),
                failure.passes(exposure.file, exposure.line) or _is_touched(leak, touches),
                sum(other == nodeid or outcomes.get(other) in FAILURES for other in {*watched.met, nodeid}),
                self._lasting.get(number),
            )
            for watched, exposure in self._exposures.met_by(nodeid)
            for number in watched.leaks
            if not (leak := self.leaks[number]).contained
        ]

    def with_exposures(self) -> tuple[Leak, ...]:
        """Return all leaks with those who were exposed to them."""
        met = self._exposures.by_leak()
        told: list[Leak] = []
        for number, leak in enumerate(self.leaks):
            if leak.severity == INFO and not (leak.exposed or number in met or number in self._met_elsewhere):
                told.append(leak)
                continue
            exposed = (*map(self._shortened, met.get(number, ())), *self._elsewhere(number, met))
            is_error = number in self._suspects and _is_said(number, exposed, self._unsaid)
            severity = ERROR if is_error else leak.severity
            told.append(leak._replace(exposed=exposed, severity=severity))
        return tuple(told)

    def _elsewhere(self, number: int, met: Mapping[int, tuple[Exposure, ...]]) -> Iterator[Exposure]:
        here = {exposure.nodeid for exposure in met.get(number, ())}
        return (one for one in self._met_elsewhere.get(number, ()) if one.nodeid not in here)

    # Other processes that run tests of this run

    def since(
        self, number: int, nodeids: Collection[str]
    ) -> tuple[tuple[Leak, ...], dict[int, tuple[Exposure, ...]]]:
        """Return the leaks that were found last, and by the numbers of older ones who met them.

        Args:
            number: of the first leak that counts.
            nodeids: the tests that count.
        """
        leaks = self.with_exposures()
        return leaks[number:], _exposed_among(leaks[:number], nodeids)

    def add_contained(self, leaks: Iterable[Leak]) -> None:
        """Add what was found in a process that has ended: nobody can meet it, and modules left with it."""
        for leak in leaks:
            if leak.severity != INFO:
                found = leak._replace(contained=True)
            elif leak.kind == "loaded" and leak.name in self.first_importers:
                continue
            else:
                found = leak
                self.first_importers.setdefault(leak.name, leak.polluter)
            if found not in self._from_elsewhere:
                self._from_elsewhere.add(found)
                self.leaks.append(found)

    def add_exposures(self, number: int, exposures: Iterable[Exposure]) -> None:
        """Take note of those who met a leak in another process."""
        self._met_elsewhere.setdefault(number, []).extend(exposures)

    def _shortened(self, exposure: Exposure) -> Exposure:
        return exposure._replace(file=self._places.shorten(exposure.file))


def _exposed_among(leaks: Iterable[Leak], nodeids: Collection[str]) -> dict[int, tuple[Exposure, ...]]:
    """Return those of some tests that met leaks, by the numbers of these."""
    exposed = (tuple(each for each in leak.exposed if each.nodeid in nodeids) for leak in leaks)
    return {number: some for number, some in enumerate(exposed) if some}


def _is_said(number: int, exposed: Iterable[Exposure], unsaid: Set[tuple[int, str]]) -> bool:
    """Tell whether one of those that met a leak failed, and its failure says so."""
    return any(one.outcome in FAILURES and (number, one.nodeid) not in unsaid for one in exposed)


def _is_touched(leak: Leak, touches: Callable[[str], bool]) -> bool:
    """Tell whether a failure touches what was changed, or the module that it was changed in."""
    names = [leak.name]
    if leak.kind not in MODULE_KINDS:  # the module, and not the packages above it, which have other parts
        names += islice(filter(sys.modules.__contains__, ancestors(leak.name)), 1)
    return any(map(touches, names))


def _state(leak: Leak, holders: Iterable[tuple[str, dict[str, Any]]]) -> str:
    if leak.kind in ("attribute-left", "class-attribute-left"):
        return leak.detail.removesuffix(".")
    return state_with_holdings(leak.name, holders)
