"""The begin, the phases and the end of a test, each looked at as quickly as the text of its file allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_import_isolation.leaks.leak_watch import LeakWatch
from pytest_import_isolation.machinery.finders import is_own_finder
from pytest_import_isolation.machinery.threads import runs_threads
from pytest_import_isolation.plugin.boundaries import Boundaries
from pytest_import_isolation.plugin.content_boundaries import note_lines
from pytest_import_isolation.plugin.fixture_changes import FixtureChanges
from pytest_import_isolation.plugin.sources import Sources
from pytest_import_isolation.plugin.users_code import UsersCode
from pytest_import_isolation.report.records import Polluter
from pytest_import_isolation.state.single_changes import single_changes


class Phases:
    """Looks at what each phase of a test changes.

    Args:
        sources: tells what statements of a file could do.
        boundaries: judges what is different.
        leak_watch: is told which test runs, and its phase.
        fixture_changes: what fixtures of a wider scope answer for.
        users_code: tells in which phases users' code runs.
        isolates: whether what a test leaves goes with the last test of its file.
    """

    def __init__(
        self,
        sources: Sources,
        boundaries: Boundaries,
        leak_watch: LeakWatch,
        fixture_changes: FixtureChanges,
        users_code: UsersCode,
        *,
        isolates: bool,
    ) -> None:
        self._sources = sources
        self._boundaries = boundaries
        self._attribution = boundaries.attribution
        self._leak_watch = leak_watch
        self._fixture_changes = fixture_changes
        self._users_code = users_code
        self._isolates = isolates
        # The phase that answers for what the last look at the running test finds.
        self._last_phase = "teardown"
        # The file whose tests run, and what statements in its text could do by themselves: change the import
        # state, or at least rebind an attribute for a submodule.
        self._file: Path | None = None
        self._may_rebind = True

    def begin_test(self, item: pytest.Item) -> None:
        """Take what is there now as the state before a test."""
        # Before the first test run the hooks for what was collected. Later there is nothing closer: the end
        # of the test before was looked at, and little runs in between.
        if self._file is None or not self._boundaries.base.shows_same_number():
            self._boundaries.cut_between()
        is_other_file = item.path is not self._file and item.path != self._file
        if is_other_file:
            self._boundaries.look_closer()
            self._file = item.path
            # Other code that a test calls can change something too: that is seen at the end of the file.
            self._may_rebind = self._sources.may_write(item.path) or self._sources.may_rebind(item.path)
        self._boundaries.test = item
        self._boundaries.contents.begin_test(item)
        self._leak_watch.here = Polluter(item.nodeid, "setup")
        if is_other_file:
            self._boundaries.contents.begin_tests(item.path)
        self._attribution.begin_test()
        self._fixture_changes.begin_test()
        self._users_code.begin_test(item)
        self._last_phase = "teardown"

    def begin_again(self, item: pytest.Item) -> None:
        """Go back to the setup, if a test runs again within the same test protocol."""
        here = self._leak_watch.here
        if here is not None and here.phase != "setup":
            self._end_phase(here, "setup")
            self._users_code.begin_test(item)
            self._last_phase = "teardown"

    def begin_call(self) -> None:
        """Take note of what the setup changed."""
        here = self._leak_watch.here
        if here is None:  # the hook was called for no test of this run
            return
        if self._users_code.ran_in_setup or runs_threads():
            self._end_phase(here, "call")
        else:
            self._attribution.end_phase("setup", (), has_attributes=True)
            self._leak_watch.here = Polluter(here.nodeid, "call")
        self._boundaries.contents.patched.begin_call()

    def begin_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Take note of what the call changed; later, if nothing of the users' own runs in the teardown.

        Args:
            item: the test.
            nextitem: the one that runs next.
        """
        here = self._leak_watch.here
        if here is None:
            return
        if here.phase != "call" or self._users_code.runs_in_teardown(item, nextitem) or runs_threads():
            self._end_phase(here, "teardown")
        else:
            self._last_phase = "call"
            self._leak_watch.here = Polluter(here.nodeid, "teardown")

    def _end_phase(self, here: Polluter, following: str) -> None:
        if runs_threads():
            self._attribution.note_threads(here)
        base = self._boundaries.base
        # Code that a test calls may enter as much as it takes out, so that to count is not enough.
        is_same = base.looks_same() if self._may_rebind else base.shows_same_entries()
        changes = [] if is_same else single_changes(base.differences(is_own_finder))
        has_attributes = self._may_rebind or not is_same
        self._attribution.end_phase(here.phase, changes, has_attributes=has_attributes)
        # Or a conftest, if the file itself cannot have done it: in a fixture, before or after the call.
        contents = self._boundaries.contents
        if contents.may_be_written:
            contents.end_phase(here.phase)
        self._leak_watch.here = Polluter(here.nodeid, following)

    def end_test(self, test: pytest.Item) -> None:
        """Judge what is different after a test."""
        # The import of a submodule may rebind a name of its package.
        may_be_written = self._boundaries.contents.may_be_written or self._boundaries.has_imports
        if not self._fixture_changes.explains_any and self._is_as_before():
            if not self._may_rebind:
                self._attribution.unseen = Polluter(test.nodeid.partition("::")[0], "call")
            self._leak_watch.begin_anew(())
        else:
            self._end_with_changes(test)
        self._boundaries.take_patched_imports()
        if may_be_written:
            self._boundaries.contents.cut(Polluter(test.nodeid, self._last_phase))
        self._boundaries.test = None
        self._leak_watch.here = None

    def _is_as_before(self) -> bool:
        """Tell whether the end of a test has nothing to judge."""
        base = self._boundaries.base
        return (
            not runs_threads()
            and not self._boundaries.has_imports
            and not self._leak_watch.tainted
            and (base.looks_same() if self._may_rebind else base.shows_same_entries())
        )

    def _end_with_changes(self, test: pytest.Item) -> None:
        first = len(self._boundaries.found.leaks)
        note_lines(self._leak_watch.places, test)
        # What the phases before left was noted; the rest is the last one's.
        self._boundaries.cut(
            Polluter(test.nodeid, self._last_phase),
            explained=self._fixture_changes.explained,
            taken_away=self._fixture_changes.taken_away,
        )
        if self._isolates:
            # It goes when the last test of the file is over.
            self._boundaries.found.contain(first)
