"""Comparing what modules hold with the last boundary, and recording what test code did to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.findings import (
    Findings,
    find,
    following,
    is_by_application,
    is_by_library,
    is_taken_back,
)
from pytest_import_isolation.contents.ledger import CONTENTS
from pytest_import_isolation.contents.looks import State
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.contents.watched_modules import Wanting
from pytest_import_isolation.leaks.found_leaks import FoundLeaks
from pytest_import_isolation.leaks.module_contents import (
    ContentLeak,
    ContentLeaks,
    leak_of_reload,
    path_adder,
)
from pytest_import_isolation.leaks.places import Places
from pytest_import_isolation.leaks.reloads import is_of_c_code, is_without_effect
from pytest_import_isolation.machinery.functions import function_in
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.plugin.fixture_contents import FixtureContents
from pytest_import_isolation.plugin.patched_modules import PatchedModules
from pytest_import_isolation.report.records import (
    ERROR,
    WARNING,
    Exposure,
    Polluter,
)
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.watching.import_log import Reload

#: The phases that a test has.
_OF_TESTS: Final = ("setup", "call", "teardown")


class ContentBoundaries:
    """Keeps what modules held at the last boundary, and judges what test code did to it since.

    Args:
        config: the run.
        origins: gives the verdicts on modules.
        leaks: makes leaks.
        found: takes them.
        here: returns the test or file that is running, and its phase.
        reloads: returns the reloads that were seen since the last boundary.
        is_on: whether contents are looked at.
        is_undone: whether what tests and files do to contents is undone when their file is over.
    """

    # The test that runs, and whether no test code is running that could write to a module: then nobody looks
    # after each test.
    _test: pytest.Item | None = None
    _is_harmless = False

    def __init__(
        self,
        config: pytest.Config,
        origins: Origins,
        leaks: ContentLeaks,
        found: FoundLeaks,
        here: Callable[[], Polluter | None],
        reloads: Callable[[], Iterable[Reload]],
        *,
        is_on: bool,
        is_undone: bool,
    ) -> None:
        self._root = config.rootpath
        self._origins = origins
        self._leaks = leaks
        self._found = found
        self.is_on = is_on
        self._here = here
        self._reloads = reloads
        self._is_undone = is_undone
        # By what was written to: what stood there at the end of a phase, and that phase.
        self._phases: dict[tuple[Space, str], tuple[int, str]] = {}
        self._looked = set[str]()  # the phases of the test that were looked at
        # The modules whose reloads were told since the last boundary, by the identities of their namespaces.
        self._reloaded: set[int] = set()
        if is_on:
            wanting = Wanting(leaks.writers.words, self._files, leaks.writers.with_conftests, origins)
            CONTENTS.start(wanting)
            config.add_cleanup(partial(CONTENTS.stop, wanting))
        self._undone = set[int]()  # those that isolation undid
        self._base: State = CONTENTS.take() if is_on else {}
        self._last: State = self._base  # at the end of the last phase that was looked at
        #: Records the modules that were first imported while something was patched.
        self.patched = PatchedModules(
            origins, here, self._written_now, found, leaks.places, is_undone=is_undone
        )
        if is_on:
            self.patched.imports.start()
            config.add_cleanup(self.patched.imports.stop)
        #: Does the same for fixtures of a wider scope.
        self.of_fixtures = FixtureContents(
            leaks,
            found,
            self.patched.imports,
            self._of_tests,
            self._follow,
            self._is_reloaded,
            reloads,
            is_undone=is_undone,
        )

    def _files(self) -> list[str]:
        here = self._here()
        return [] if here is None or not here.nodeid else self._leaks.places.files_of(here)

    def rebase(self, now: State | None = None) -> None:
        """Take what is there now as what everything is compared with.

        Args:
            now: what was there a moment ago, if somebody looked.
        """
        if self.is_on:
            self._base = self._last = CONTENTS.take() if now is None else now
            self._phases.clear()
            self._reloaded.clear()
            self._undone.clear()
            self.of_fixtures.reloads.begin_anew()

    def begin_file(self) -> None:
        """Take note that the code of another file runs from now on, before it does."""
        if self.is_on:
            for file in self._files():
                CONTENTS.name(self._leaks.writers.owners(file))
            CONTENTS.begin_anew()
            self._is_harmless = False

    @property
    def looks_at_fixtures(self) -> bool:
        """Whether what fixtures write is of interest."""
        return self.is_on and not self._is_harmless

    @property
    def may_be_written(self) -> bool:
        """Whether the test code that runs, or a conftest or helper that it uses, may write to modules."""
        return not self._is_harmless

    def begin_collection(self) -> None:
        """Take note that a test file is collected from now on, before it is."""
        if self.is_on:
            self.patched.begin_collection()

    def begin_tests(self, file: Path) -> None:
        """Take note that the tests of a file run from now on."""
        if self.is_on:
            CONTENTS.name(self._leaks.writers.owners(str(file), with_helpers=True))
            if self._is_harmless:
                self.rebase()  # nobody looked after each test
            else:
                CONTENTS.begin_anew()
        self._is_harmless = not self.is_on or self._leaks.writers.is_harmless([str(file)])

    def begin_test(self, item: pytest.Item) -> None:
        """Take what is there now as what is around a test."""
        self._test = item
        self._looked.clear()
        if self.is_on:
            self.patched.begin_test(item)

    def _written_now(self, held: Callable[[], Set[int]]) -> list[ContentChange]:
        here = self._here()
        if here is None:
            return []
        # What fixtures of several tests wrote is part of the base.
        written = [*self.of_fixtures.in_place(), *CONTENTS.written(self._base, held)]
        return self._of_tests(written, here)

    def _of_tests(self, changes: Iterable[ContentChange], polluter: Polluter) -> list[ContentChange]:
        return self._leaks.writers.of_tests(changes, partial(self._leaks.test_code, polluter))

    def is_unchanged(self) -> bool:
        """Tell whether nothing was written since the last boundary."""
        return not self.is_on or CONTENTS.take() is self._base

    def end_phase(self, phase: str) -> None:
        """Take note of what was written in a phase of a test."""
        if self.is_on:
            self._looked.add(phase)
            before, self._last = self._last, CONTENTS.take()
            for change in CONTENTS.changes(before, self._last):
                known = self._phases.get((change.space, change.name))
                if known is None or known[0] != id(change.after):
                    self._phases[change.space, change.name] = (id(change.after), phase)

    def cut(self, polluter: Polluter, worst: str = ERROR) -> None:
        """Judge what was written since the last boundary, and begin anew.

        Args:
            polluter: who did it, as far as no phase is known.
            worst: the highest severity that it can have.
        """
        if not self.is_on or (now := CONTENTS.take()) is self._base:
            return
        if polluter.nodeid:
            code = partial(self._leaks.test_code, polluter)
            # What its body wrote when it ran again is told as the reload.
            writers = self._leaks.writers
            changes = [
                one
                for one in CONTENTS.changes(self._base, now)
                if not self._is_reloaded(one.space) or writers.puts_in_by_name(one, code(one.space.home))
            ]
            findings = find(self._base, (), writers, code, self._origins, changes, with_hooks=True)
            untold = tuple(one for one in findings.reloaded if not self._is_reloaded(one.space))
            findings = findings._replace(reloaded=untold)
            self._record(findings, polluter, worst, contained=self._is_undone)
        self.rebase(now)

    def _is_reloaded(self, space: Space) -> bool:
        """Tell whether somebody was heard to reload a module since the last boundary."""
        if space.is_class:
            return False
        return id(space.dictionary) in self._reloaded or any(
            namespace(reload.module) is space.dictionary and not is_of_c_code(reload)
            for reload in self._reloads()
        )

    def record_contained(self, findings: Findings, polluter: Polluter) -> None:
        """Record what a window or world is about to undo."""
        if self.is_on:
            self._undone |= {id(one.space.dictionary) for one in findings.reloaded}
            self._record(findings, polluter, ERROR, contained=True)

    def record_reload(self, reload: Reload, polluter: Polluter, worst: str) -> None:
        """Record a reload that was seen."""
        dictionary = namespace(reload.module)
        if dictionary is None or id(dictionary) in self._reloaded or is_without_effect(reload):
            return
        if not is_of_c_code(reload):
            self._reloaded.add(id(dictionary))
        is_undone = id(dictionary) in self._undone
        if is_taken_back(reload) and not is_undone:  # the test has done that itself
            return
        if is_by_library(reload, self._origins):
            return
        ends_with_file = self.of_fixtures.reloads.ends_with_file(reload)
        found = self._of_reload(
            self.of_fixtures.reloads.as_a_whole(reload), polluter, by_fixture=ends_with_file is not None
        )
        if is_by_application(reload, self._origins):
            # It stays. What nobody holds of the old execution nobody misses.
            if found.leak.severity == ERROR:
                self._found.record_contents(found, WARNING, contained=is_undone)
            return
        number = len(self._found.leaks)
        contained = is_undone or (self._is_undone and "::" in polluter.nodeid)
        self._found.record_contents(found, worst, contained=contained, ends_with_file=ends_with_file)
        if len(self._found.leaks) > number:
            self.of_fixtures.reloads.note_leak(reload, number)

    def _of_reload(self, reload: Reload, polluter: Polluter, *, by_fixture: bool = False) -> ContentLeak:
        return leak_of_reload(
            reload,
            polluter,
            self._leaks.places,
            lambda file: path_adder(self._found.leaks, file, self._root),
            lambda: self._leaks.execution(polluter, reload.name),
            by_fixture=by_fixture,
        )

    def blame_for_reloads(self, reloads: Iterable[Reload], polluter: Polluter) -> None:
        """Record the reloads of a failing test that executed another file: it may be its own victim."""
        for reload in reloads:
            dictionary = namespace(reload.module)
            if dictionary is None or id(dictionary) in self._reloaded:
                continue
            found, importer = self._of_reload(reload, polluter), reload.importer
            if importer is not None and found.is_from_elsewhere:
                self._reloaded.add(id(dictionary))
                found.watched.meets_polluter = True
                at = found.leak.location or importer
                found.watched.meet(Exposure(polluter.nodeid, polluter.phase, at.file, at.line, "unknown"))
                self._found.record_contents(found, contained=False)

    def _record(self, findings: Findings, polluter: Polluter, worst: str, *, contained: bool) -> None:
        if findings and self._test is not None and self._test.nodeid == polluter.nodeid:
            note_lines(self._leaks.places, self._test)
        for found in self._leaks.leaks(findings, partial(self._by, polluter)):
            self._found.record_contents(found, worst, contained=contained)

    def _by(self, polluter: Polluter, change: ContentChange) -> Polluter:
        if polluter.phase not in _OF_TESTS:
            return polluter
        identity, phase = self._phases.get((change.space, change.name), (0, ""))
        if identity == id(change.after):
            return polluter._replace(phase=phase)
        # Where nobody looked at the end of the call, a helper that the test called is likelier.
        return polluter._replace(phase="teardown" if "call" in self._looked else "call")

    def _follow(self, changes: list[ContentChange]) -> None:
        if changes:
            self._base = following(self._base, changes)


def note_lines(places: Places, test: pytest.Item) -> None:
    """Take note of the lines of a test, among which its statements are looked for first."""
    # A decorator such as mock.patch() has lines of its own.
    function = function_in(getattr(test, "obj", None))
    code: Any = None if function is None else function.__code__
    if hasattr(code, "co_lines"):
        lines = [line for _, _, line in code.co_lines() if line]
        if lines:
            places.note_lines(test.nodeid, range(code.co_firstlineno, max(lines) + 1))
