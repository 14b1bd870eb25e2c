"""What fixtures of a wider scope change: no leak as long as the fixture is alive, and none if it is undone.

The setups of xunit and unittest, such as ``setUpClass``, are such fixtures, too.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import pytest

from pytest_import_isolation.leaks.entries import is_first_import, is_real
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.judging import Judge
from pytest_import_isolation.leaks.originals import Originals
from pytest_import_isolation.leaks.tainted_modules import FixtureFakes, TaintedModules
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.paths import is_conftest
from pytest_import_isolation.plugin.content_boundaries import ContentBoundaries
from pytest_import_isolation.plugin.fixture_functions import has_fixture
from pytest_import_isolation.plugin.fixture_scopes import ends_with_file, is_for_many, owner_of
from pytest_import_isolation.plugin.runner import Runner
from pytest_import_isolation.plugin.users_code import UsersCode
from pytest_import_isolation.plugin.wrapped_functions import users_file
from pytest_import_isolation.report.records import INFO, MODULE_KINDS, Polluter
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.state.snapshot import ImportState


class _Living:
    """A fixture that is alive.

    Args:
        nodeid: who asked for it.
        number: how many leaks were found before its setup.
    """

    def __init__(self, nodeid: str, number: int) -> None:
        self.nodeid = nodeid
        self.number = number
        #: The conftest or plugin whose fixture it is, if that is for all tests below it.
        self.decider: str | None = None
        #: Those that others may ask for by an import; None if there are none.
        self.fakes: FixtureFakes | None = None
        #: The import state before its setup.
        self.before = ImportState.capture()
        #: What its setup changed, without first imports.
        self.changes: list[SingleChange] = []
        #: The import state before its teardown, once that began.
        self.at_teardown: ImportState | None = None
        #: Takes note of what the teardown finds: a finalizer of the fixture.
        self.begin_teardown = self._begin_teardown

    def _begin_teardown(self) -> None:
        if self.at_teardown is None:
            self.at_teardown = ImportState.capture()


class FixtureChanges:
    """The hooks that watch fixtures of a wider scope.

    Args:
        runner: knows the modules of pytest and its plugins.
        origins: gives the verdicts on modules.
        judge: judges changes.
        found: takes the leaks.
        tainted: records what was imported while such a fixture had something faked.
        contents: does the same for what modules hold.
        originals: knows what fakes were left in the place of.
        users_code: is told which fixtures are set up and torn down, and knows those of plugins.
        isolates: whether what a file's tests leave goes when the last of them is over.
    """

    def __init__(
        self,
        runner: Runner,
        origins: Origins,
        judge: Judge,
        found: FoundLeaks,
        tainted: TaintedModules,
        contents: ContentBoundaries,
        originals: Originals,
        users_code: UsersCode,
        *,
        isolates: bool,
    ) -> None:
        self._isolates = isolates
        self._taken_back = contents.of_fixtures.taken_back
        self._runner = runner
        self._contents = contents
        self._originals = originals
        self._users_code = users_code
        self._origins = origins
        self._judge = judge
        self._found = found
        self._tainted = tainted
        self._living: dict[int, tuple[pytest.FixtureDef[Any], _Living]] = {}
        # What such fixtures changed and undid during the running test.
        self._ended: list[SingleChange] = []
        # What was told of the fixture that ended last, by the kinds and names of the leaks.
        self._told: dict[tuple[str, str], list[SingleChange]] = {}
        #: The entries that such fixtures brought and took away again during the running test.
        self.taken_away: list[str] = []

    @property
    def explains_any(self) -> bool:
        """Whether there are changes for which the running test does not answer."""
        if not self._living:  # after most tests
            return bool(self._ended)
        return bool(self._ended) or any(living.changes for _, living in self._living.values())

    @property
    def explained(self) -> list[SingleChange]:
        """The changes for which the running test does not answer."""
        return [*self._ended, *(change for _, living in self._living.values() for change in living.changes)]

    def begin_test(self) -> None:
        """Forget the fixtures that ended in the test before."""
        self._ended, self.taken_away = [], []

    # Users' code may raise here: a wrapper of the new style is a frame in its traceback.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, None]:
        """Attribute to a fixture of a wider scope what its setup changes, until it is torn down."""
        self._users_code.begin_fixture(fixturedef)
        if fixturedef.scope == "function":
            yield
            return
        of_fixtures = self._contents.of_fixtures
        contents = of_fixtures.begin(fixturedef, is_looked_at=self._contents.looks_at_fixtures)
        try:
            if self._users_code.is_plugins(fixturedef):
                yield
            else:
                yield from self._set_up(fixturedef, request)
        finally:
            nodeid = owner_of(fixturedef, request.node.nodeid)
            decider = self._decider_of(fixturedef) if nodeid and contents is not None else None
            of_fixtures.end(fixturedef, decider or nodeid, contents)

    def _set_up(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, None]:
        living = _Living(owner_of(fixturedef, request.node.nodeid), len(self._found.leaks))
        try:
            yield
        finally:
            # A fixture that the setup asked for answers for itself.
            others = self.explained
            changes = list(single_changes(living.before.differences(is_own_finder)))
            polluter = Polluter(living.nodeid, "setup")
            changes += [change for change, _ in self._judge.unbound(changes, polluter)]
            living.changes = [
                change
                for change in changes
                if not is_first_import(change, self._origins) and not any(map(change.same, others))
            ]
            if living.changes:
                self._begin(fixturedef, living)
            self._living[id(fixturedef)] = fixturedef, living
            # Finalizers run in reverse order: this one before what the setup registered, and the teardown.
            fixturedef.addfinalizer(living.begin_teardown)

    def _begin(self, fixturedef: pytest.FixtureDef[Any], living: _Living) -> None:
        decider = living.decider = self._decider_of(fixturedef)
        # Nobody asks for a path entry.
        fakes = [change for change in living.changes if change.what in ("entry", "attribute")]
        if fakes:
            living.fakes = FixtureFakes(
                fakes,
                None if decider is None else Polluter(decider, "setup"),
                lasts=fixturedef.scope == "session",
            )
            self._tainted.begin_fixture(living.fakes)

    def _decider_of(self, fixturedef: pytest.FixtureDef[Any]) -> str | None:
        """Return the file of a fixture that its project has for all tests of a folder, or for all."""
        file = users_file(fixturedef.func, self._origins) if is_for_many(fixturedef) else None
        if file is None:
            return None
        if self._origins.is_test_file(file) and not is_conftest(file):
            return None
        return self._tainted.deciders.add(file)

    def note_user(self, item: pytest.Item | None) -> None:
        """Take note of the fixtures that the running test has."""
        for fixturedef, living in self._living.values():
            if living.fakes is not None and item is not None and has_fixture(item, fixturedef):
                living.fakes.users.add(item.nodeid)

    def begin_teardowns(self, item: pytest.Item) -> None:
        """Note what a fixture's teardown finds before the finalizers that its fixture value registered.

        Args:
            item: the test that ends.
        """
        self.note_user(item)
        for fixturedef, living in self._living.values():
            finalizers = getattr(fixturedef, "_finalizers", None)  # private; without it, those are missed
            if finalizers and finalizers[-1] is not living.begin_teardown:
                fixturedef.addfinalizer(living.begin_teardown)

    # Before windows take what the teardown did as what is around them.
    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Report what a fixture of a wider scope did not undo."""
        self._users_code.end_fixture(fixturedef)
        self._contents.of_fixtures.finish(fixturedef, ends_with_file=ends_with_file(fixturedef))
        _, living = self._living.pop(id(fixturedef), (None, None))
        if living is None:
            return
        self._told.clear()
        first = len(self._found.leaks)
        if living.fakes is not None:
            self._tainted.end_fixture(living.fakes)
        self._report_left(living, ends_with_file(fixturedef))
        if self._isolates and ends_with_file(fixturedef):
            self._found.contain(first)
        self._wait(first, fixturedef, living.before)

    def _wait(self, first: int, fixturedef: pytest.FixtureDef[Any], before: ImportState) -> None:
        """Wait for another fixture that takes back what one has left.

        Args:
            first: the number of the first leak that was recorded for the one.
            fixturedef: the one.
            before: what there was before its setup.
        """
        for number in range(first, len(self._found.leaks)):
            leak = self._found.leaks[number]
            for change in self._told.get((leak.kind, leak.name), ()):
                self._taken_back.note(number, fixturedef, partial(_is_back, change, before))

    def end_rest(self) -> None:
        """Report what fixtures left that pytest does not tear down, after a teardown raised SystemExit."""
        for fixturedef, _ in [*self._living.values()][::-1]:
            self.pytest_fixture_post_finalizer(fixturedef)
        self._taken_back.look()

    def _report_left(self, living: _Living, is_of_file: bool) -> None:
        torn: list[SingleChange] = []
        if living.at_teardown is not None:
            torn = list(single_changes(living.at_teardown.differences(is_own_finder)))
        if not torn and not living.changes:
            return
        left = {change.place: change for change in single_changes(living.before.differences(is_own_finder))}
        places = set()
        for change in torn:
            places.add(change.place)
            if self._is_only_import(change, living):
                continue
            # Its entry is held no more: what nobody else holds is gone.
            self._ended.append(change._replace(before=ABSENT))
            if (now := left.get(change.place)) is not None:
                # What a test had imported in the meantime may have been replaced.
                is_new = change.before is ABSENT or not is_first_import(now, self._origins)
                self._report(now if is_new else change, living, "teardown", is_of_file)
            elif change.what == "entry" and change.after is ABSENT and type(change.key) is str:
                self.taken_away.append(change.key)
        for change in living.changes:
            now = left.get(change.place)
            if now is None or change.place in places:
                continue
            if now.same(change):
                self._ended.append(change)
            if now.same(change) or self._is_untold_copy(now, living.number):
                self._report(now, living, "setup", is_of_file)

    def _is_only_import(self, change: SingleChange, living: _Living) -> bool:
        """Tell whether a teardown imported what no such fixture had taken out.

        If it is a second copy, whoever took the first one out answers for it.
        """
        return is_first_import(change, self._origins) and not any(
            change.place == other.place for other in (*living.changes, *self.explained)
        )

    def _is_untold_copy(self, change: SingleChange, number: int) -> bool:
        """Tell whether a test put a real module into the place that a fixture changed, and was not blamed.

        Compared with the fixture's change that is no harm, and with what was there before the fixture it is.
        """
        return (
            change.what == "entry"
            and is_real(change.key, change.after, self._origins)
            # A name in a package can be that of a module below it.
            and not any(
                leak.name == change.key and leak.severity != INFO and leak.kind in MODULE_KINDS
                for leak in self._found.leaks[number:]
            )
        )

    def _report(self, change: SingleChange, living: _Living, phase: str, is_of_file: bool) -> None:
        if is_first_import(change, self._origins) or self._runner.is_own(change):
            return
        change = self._originals.compared(change)
        leak = self._judge.leak(change, Polluter(living.decider or living.nodeid, phase), by_fixture=True)
        if leak is not None:
            users = None if living.decider is None or living.fakes is None else living.fakes.users
            self._found.record_lasting(leak, change, users, ends_with_file=is_of_file)
            self._told.setdefault((leak.kind, leak.name), []).append(change)


def _is_back(change: SingleChange, before: ImportState) -> bool:
    """Tell whether what was changed is as it was in a state before that."""
    now = single_changes(before.differences(is_own_finder))
    return not any(change.place == other.place for other in now)
