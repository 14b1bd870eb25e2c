"""What fixtures of a wider scope write to modules: their own until their teardown, and then a leak."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

import pytest

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.findings import Findings, undo_all
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.looks import State
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.module_contents import ContentLeaks
from pytest_import_isolation.leaks.patched_imports import PatchedImports
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.plugin.fixture_reloads import FixtureReloads
from pytest_import_isolation.plugin.fixture_scopes import ends_with_file
from pytest_import_isolation.plugin.taken_back import TakenBack
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.watching.import_log import Reload
from pytest_import_isolation.watching.process_effects import Variables, read_variables


class Before(NamedTuple):
    """What there was before the setup of a fixture."""

    state: State
    #: What :meth:`.FixtureReloads.begin` returned.
    reloads: set[int]


class _Written(NamedTuple):
    """What a fixture that is alive wrote."""

    #: Whose it is.
    nodeid: str
    changes: list[ContentChange]
    #: What of that a reload did.
    reloaded: frozenset[Space]
    #: Whether it is there for the whole run.
    is_for_all: bool = False


class FixtureContents:
    """Knows what the fixtures wrote that are alive.

    Args:
        leaks: makes leaks.
        found: takes them.
        patched: finds the modules that were first imported while something was patched.
        of_tests: returns those of some changes that are test code's doing, given who may have made them.
        follow: takes over changes into what everything is compared with.
        is_reloaded: tells whether the body of a module ran again a moment ago, which is told by itself.
        reloads: returns the reloads that were seen since the last boundary.
        is_undone: whether what tests and files do to contents is undone when their file is over.
    """

    def __init__(
        self,
        leaks: ContentLeaks,
        found: FoundLeaks,
        patched: PatchedImports,
        of_tests: Callable[[Iterable[ContentChange], Polluter], list[ContentChange]],
        follow: Callable[[list[ContentChange]], None],
        is_reloaded: Callable[[Space], bool],
        reloads: Callable[[], Iterable[Reload]],
        *,
        is_undone: bool,
    ) -> None:
        #: Knows what others took back that they had asked for.
        self.taken_back = TakenBack(found)
        self._leaks = leaks
        self._found = found
        self._patched = patched
        self._of_tests = of_tests
        self._follow = follow
        self._is_reloaded = is_reloaded
        #: Knows what they had executed again.
        self.reloads = FixtureReloads(reloads)
        self._is_undone = is_undone
        # By the identities of fixtures.
        self._living: dict[int, _Written] = {}
        self._at_teardown: dict[int, tuple[str, Before]] = {}
        # The environments before the fixtures that are being set up, the innermost last.
        self._environments: list[Variables | None] = []

    def begin(self, fixturedef: pytest.FixtureDef[Any], *, is_looked_at: bool) -> Before | None:
        """Note that a fixture is about to be set up.

        Returns:
            What there is before that; None if nobody needs to know.
        """
        if fixturedef.scope == "session":
            self._patched.begin_session_fixture()
        else:
            self._environments.append(read_variables())
        return Before(CONTENTS.take(), self.reloads.begin()) if is_looked_at else None

    def end(self, fixturedef: pytest.FixtureDef[Any], nodeid: str, before: Before | None) -> None:
        """Let what the setup of a fixture wrote be no test's, until it is torn down.

        Args:
            fixturedef: the fixture.
            nodeid: whose it is.
            before: what :meth:`begin` returned.
        """
        if fixturedef.scope == "session":
            self._patched.end_session_fixture()
        else:
            self._patched.environment.end_fixture(id(fixturedef), self._environments.pop())
        if before is None:
            return
        self.reloads.end(fixturedef, before.reloads, ends_with_file=ends_with_file(fixturedef))
        changes = CONTENTS.changes(before.state)
        self._follow(changes)
        if changes:
            is_for_all = fixturedef.scope == "session"
            self._living[id(fixturedef)] = _Written(
                nodeid, changes, self._reloaded_among(changes), is_for_all=is_for_all
            )
        # Finalizers run in reverse order: this one before the fixture's own.
        fixturedef.addfinalizer(partial(self._begin_teardown, fixturedef, nodeid))

    def _begin_teardown(self, fixturedef: pytest.FixtureDef[Any], nodeid: str) -> None:
        self._at_teardown[id(fixturedef)] = nodeid, Before(CONTENTS.take(), self.reloads.begin())

    def in_place(self) -> list[ContentChange]:
        """Return what fixtures wrote that is there still, without those of the whole run."""
        written = (change for one in self._living.values() if not one.is_for_all for change in one.changes)
        return [change for change in written if change.is_in_place and not change.is_none]

    def finish(self, fixturedef: pytest.FixtureDef[Any], *, ends_with_file: bool) -> None:
        """Report what a fixture did not take back.

        Args:
            fixturedef: the fixture.
            ends_with_file: whether what it left is undone with its file, where that is isolated.
        """
        owner, then = self._at_teardown.pop(id(fixturedef), ("", None))
        self._patched.environment.finish_fixture(id(fixturedef))
        nodeid, written, reloaded, _ = self._living.pop(id(fixturedef), _Written(owner, [], frozenset()))
        if then is None:
            if not written:
                return
            then = Before(CONTENTS.take(), self.reloads.begin())  # its teardown did not begin
        before = then.state
        torn = CONTENTS.changes(before)
        again = {"setup": reloaded, "teardown": self._reloaded_among(torn)}
        for phase, left in _left(written, torn).items():
            polluter = Polluter(nodeid, phase)
            if left and nodeid and self._end_left(polluter, left, again[phase], fixturedef):
                torn = CONTENTS.changes(before)
        undoes = self._is_undone and not ends_with_file
        if self.reloads.finish(fixturedef, then.reloads, ends_with_file=ends_with_file, undoes=undoes):
            torn = CONTENTS.changes(before)
        self._follow(torn)

    def _reloaded_among(self, changes: Iterable[ContentChange]) -> frozenset[Space]:
        return frozenset(filter(self._is_reloaded, {change.space for change in changes}))

    def _end_left(
        self,
        polluter: Polluter,
        left: list[ContentChange],
        reloaded: Collection[Space],
        fixturedef: pytest.FixtureDef[Any],
    ) -> bool:
        """Record what a fixture left; undo it if no file that is isolated ends with it, and tell if so."""
        lasts_for_file = ends_with_file(fixturedef)
        findings = Findings(written=tuple(self._of_tests(left, polluter)))
        told = tuple(change for change in findings.written if change.space not in reloaded)
        for found in self._leaks.leaks(Findings(written=told), lambda change: polluter, by_fixture=True):
            number = len(self._found.leaks)
            self._found.record_contents(found, contained=self._is_undone, ends_with_file=lasts_for_file)
            if number < len(self._found.leaks) and (lasts_for_file or not self._is_undone):
                names = found.watched.names
                its = [one for one in told if one.space.home == found.watched.name and one.name in names]
                self.taken_back.note(number, fixturedef, partial(_are_back, its))
        if not self._is_undone or lasts_for_file:
            return False
        undo_all(findings)
        return True


def _are_back(changes: Iterable[ContentChange]) -> bool:
    """Tell whether what was written to is as it was before, or gone itself."""
    now = [(one, one.space.dictionary) for one in changes]
    return all(space is None or one._replace(after=space.get(one.name, ABSENT)).is_none for one, space in now)


def _left(written: list[ContentChange], torn: list[ContentChange]) -> dict[str, list[ContentChange]]:
    """Return what a fixture did not take back, by the phase in which it wrote that.

    Args:
        written: what its setup changed.
        torn: what its teardown changed.
    """
    first = {(change.space, change.name): change.before for change in written}
    again = [change._replace(before=first.get((change.space, change.name), change.before)) for change in torn]
    return {
        "setup": [change for change in written if change.is_in_place and not change.is_none],
        "teardown": [change for change in again if not change.is_none],
    }
