"""The steps of ``blame``: compare, suspect, search, prove, try cures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from pytest_import_isolation.blame.command import shortest_command
from pytest_import_isolation.blame.cures import Attempts
from pytest_import_isolation.blame.requests import BAD, GOOD, Outcome
from pytest_import_isolation.blame.search import Search
from pytest_import_isolation.blame.suite import ExhaustedError, Suite
from pytest_import_isolation.blame.suspects import FILE, TEST, Unit, leaks_of, suspects, unit_of_file
from pytest_import_isolation.blame.verdicts import (
    BISECTION,
    FAILS_ALONE,
    FLAKY,
    NEEDS_OTHERS,
    PASSES_IN_WHOLE,
    POLLUTED,
    SUSPECT,
    UNPROVEN,
    Cure,
    Verdict,
    names_of,
)
from pytest_import_isolation.report.records import INFO, SEVERITIES, Leak, Report

#: How many sets of polluters are looked for, each of which is enough.
_MOST_SETS: Final = 3
#: After so many parts that do not show it, the whole is run again before the search goes on.
_MISSES: Final = 2
#: So many parts may show it while all files are collected, until it is asked whether that is enough.
_OPEN: Final = 3


class _FlakyError(Exception):
    """One run came to two outcomes."""


class _CollectionError(Exception):
    """To collect all files is enough."""


class _UnfoundError(Exception):
    """The search ended without a set that shows it."""


class Investigation:
    """Finds out why a test has another outcome in the whole run than alone.

    Args:
        suite: runs parts of it.
        arguments: those of the user for pytest.
        report: of an earlier run, which names suspects; None to have the first run write one.
    """

    def __init__(self, suite: Suite, arguments: Sequence[str], report: Report | None = None) -> None:
        self._suite = suite
        self._arguments = arguments
        self._report = report
        self._by = BISECTION
        self._whole = Outcome("passed")
        self._alone = Outcome("passed")
        #: Whether both outcomes were seen twice.
        self._is_stable = False
        self._misses = 0
        #: How many questions may still be asked with all files collected, since that may be enough; a part
        #: that does not show it so answers for those files, too.
        self._open = 0
        self._shown_open: set[tuple[Unit, ...]] = set()
        self._alone_is_stable = False
        self._pair = Outcome("passed")
        #: Sets of units, each of which is enough, and whether there are more.
        self._sets: list[list[Unit]] = []
        self._has_more = False

    def run(self) -> Verdict:
        """Return the verdict.

        Raises:
            BlameError: nothing can be said, since pytest does not run this.
        """
        self._whole = self._suite.run_whole("the whole, up to the victim", reports=self._report is None)
        if self._report is None:
            self._report = self._suite.report
        verdict = Verdict(self._suite.whole.name, UNPROVEN)
        try:
            return self._decide(verdict)
        except _FlakyError:
            verdict = verdict._replace(verdict=FLAKY, remarks=("the same run came to two outcomes",))
        except ExhaustedError:
            verdict = verdict._replace(remarks=("there were as many runs as --max-runs allows",))
        except _UnfoundError:
            verdict = verdict._replace(
                remarks=("no selection of tests and files that was tried shows it, only the whole does",)
            )
        return verdict._replace(runs=self._suite.runs)

    def _decide(self, verdict: Verdict) -> Verdict:
        self._alone = self._suite.run([], "the victim alone")
        if self._shows(self._alone):
            return self._equal(verdict)
        found = self._try_suspects()
        if found is None:
            found = self._search()
        self._prove(found)
        return self._proven(verdict)

    def _shows(self, outcome: Outcome) -> bool:
        return outcome.kind == self._whole.kind

    # The same outcome in the whole and alone

    def _equal(self, verdict: Verdict) -> Verdict:
        # In the other order: what changes with every second run is not the same then.
        self._repeat_alone()
        self._repeat_whole()
        is_bad = self._whole.kind == BAD
        return verdict._replace(
            verdict=FAILS_ALONE if is_bad else PASSES_IN_WHOLE,
            command=self._command([]) if is_bad else None,
            same_error=self._is_same_error(self._alone),
            runs=self._suite.runs,
        )

    def _repeat_alone(self) -> None:
        if not self._alone_is_stable:
            self._expect(self._suite.run([], "the victim alone, once more"), self._alone)
            self._alone_is_stable = True

    def _repeat_whole(self) -> None:
        self._expect(self._suite.run_whole("the whole, once more"), self._whole)

    def _expect(self, outcome: Outcome, known: Outcome) -> None:
        if outcome.kind != known.kind:
            raise _FlakyError

    def _is_same_error(self, outcome: Outcome) -> bool:
        if self._whole.failure is None or outcome.failure is None:
            return True
        return outcome.failure.is_like(self._whole.failure)

    # Who it may be

    def _try_suspects(self) -> list[Unit] | None:
        assert self._report is not None
        suite = self._suite
        for unit in suspects(self._report, suite.tests, suite.whole.executed, suite.whole.name):
            if self._asks([unit], f"suspect {unit.name}"):
                self._by = SUSPECT
                return [unit]
        return None

    def _asks(self, units: Sequence[Unit], purpose: str, *, everything: bool = False) -> bool:
        outcome = self._suite.run(units, purpose, everything=everything)
        if self._shows(outcome):
            # What all files are collected for is not the shortest run.
            self._pair = self._pair if everything else outcome
            return True
        self._alone_is_stable |= everything and outcome.kind == self._alone.kind
        return False

    # The search

    def _search(self) -> list[Unit]:
        suite = self._suite
        if not suite.files:
            self._repeat_alone()
            return self._search_tests(suite.tests, suite.files)
        self._open = _OPEN
        try:
            if not suite.tests:
                self._ask_collection()
            return self._search_tests(suite.tests, suite.files)
        except _CollectionError:
            self._repeat_alone()
            if not self._is_stable:
                self._repeat_whole()
            self._is_stable = True
            return self._search_files(suite.files)

    def _ask_collection(self) -> None:
        self._open = 0
        if self._asks([], "everything collected, only the victim run", everything=True):
            raise _CollectionError
        self._repeat_alone()

    def _search_files(self, files: Sequence[Unit]) -> list[Unit]:
        search = Search(self._asker("files"))
        search.learn(files, shown=True)
        found = search.run(files)
        if len(found) == 1 and found[0].kind == FILE:
            for conftest in reversed(self._suite.foreign_conftests(found[0])):
                if self._asks([conftest], f"{conftest.name} without a file beside it"):
                    return [conftest]
        return found

    def _search_tests(self, tests: Sequence[Unit], files: Sequence[Unit]) -> list[Unit]:
        found = Search(self._asker("tests"), border=_file_of).run(tests)
        if self._open:
            self._ask_collection()
        if tuple(found) in self._shown_open and not self._asks(found, names_of(found)):
            found = []
        if not found:
            return self._search_with_files(tests, files)
        return self._collected_only(found) if len(found) > 1 else found

    def _collected_only(self, units: list[Unit]) -> list[Unit]:
        """Put a file in the place of a test, where it is enough that the file is collected."""
        for place, unit in enumerate(units):
            others = [*units[:place], *units[place + 1 :]]
            if unit.file in {self._suite.whole.file, *(one.file for one in others)}:
                continue
            without = [*units[:place], unit_of_file(unit.file), *units[place + 1 :]]
            if self._asks(without, f"{unit.file} collected only"):
                units = without
        return units

    def _search_with_files(self, tests: Sequence[Unit], files: Sequence[Unit]) -> list[Unit]:
        """Search tests while everything is collected, and then the files that this takes."""
        suite = self._suite
        but = [unit for unit in suite.files if unit not in files]

        def shows(units: Sequence[Unit]) -> bool:
            purpose = f"search of tests, everything collected, {_span(units)}"
            return self._shows(suite.run(units, purpose, everything=True, but=but))

        found = Search(shows, border=_file_of).run(tests)
        if not found:
            raise _UnfoundError
        others = [unit for unit in files if unit.file not in {one.file for one in found}]
        search = Search[Unit](lambda units: self._asks([*units, *found], f"search of files, {_span(units)}"))
        search.learn(others, shown=True)
        return [*search.run(others), *found]

    def _asker(self, what: str) -> Callable[[Sequence[Unit]], bool]:
        def shows(units: Sequence[Unit]) -> bool:
            is_open = self._open > 0
            purpose = f"search of {what}, {_span(units)}" + ", everything collected" * is_open
            shown = self._asks(units, purpose, everything=is_open)
            self._misses += not shown
            # A part that shows it is a second sight of it; without one, the whole is seen again.
            if not self._is_stable and (shown or self._misses == _MISSES):
                self._is_stable = True
                if not shown:
                    self._repeat_whole()
            self._open = self._open - 1 if shown and is_open else 0
            if is_open and shown:
                self._shown_open.add(tuple(units))
            if is_open and self._open == 0:
                if shown:
                    self._ask_collection()
                else:
                    self._repeat_alone()
            return shown

        return shows

    # The proof

    def _prove(self, found: list[Unit]) -> None:
        """Run what was found once more, and all but that; go on as long as the rest shows it, too."""
        while True:
            outcome = self._suite.run(found, f"{names_of(found)}, once more")
            self._expect(outcome, self._whole)
            if self._suite.alternates:
                self._expect(self._suite.run(found, f"{names_of(found)}, twice in a row"), self._whole)
            if not self._sets:
                self._pair = outcome
            self._sets.append(found)
            left_out = [unit for units in self._sets for unit in units]
            files = [unit for unit in left_out if unit.kind != TEST]
            tests = self._suite.tests_without(left_out)
            rest = self._suite.run(tests, "everything but that", everything=True, but=files)
            if not self._shows(rest):
                return
            if len(self._sets) == _MOST_SETS:
                self._has_more = True
                return
            found = self._search_rest(tests, [unit for unit in self._suite.files if unit not in files], files)

    def _search_rest(self, tests: Sequence[Unit], files: Sequence[Unit], but: Sequence[Unit]) -> list[Unit]:
        if but:
            outcome = self._suite.run([], "the rest collected, only the victim run", everything=True, but=but)
            if self._shows(outcome):
                return self._search_files(files)
        return self._search_tests(tests, files)

    # The verdict

    def _proven(self, verdict: Verdict) -> Verdict:
        suite = self._suite
        first = self._sets[0]
        needs_others = self._whole.kind == GOOD or (self._whole.kind != BAD and self._alone.kind == BAD)
        leaks = [leak for unit in first for leak in leaks_of(self._report or Report(), unit)]
        remarks: list[str] = []
        cures: list[Cure] = []
        if not needs_others:
            attempts = Attempts(suite, first, lambda outcome: outcome.kind == self._alone.kind)
            cures, remarks = attempts.run(leaks)
        if not any(cure.works for cure in cures):
            self._repeat_alone()
        if len(self._sets) > 1:
            remarks.insert(0, self._alternatives())
        order = {name: place for place, name in enumerate([*suite.whole.executed, *suite.order])}
        units = sorted((unit for found in self._sets for unit in found), key=lambda unit: order[unit.name])
        return verdict._replace(
            verdict=NEEDS_OTHERS if needs_others else POLLUTED,
            polluters=tuple(unit.name for unit in units),
            by=self._by,
            location=_location_of(leaks, suite.victims),
            command=self._command(first),
            cures=tuple(cures),
            same_error=self._is_same_error(self._pair),
            runs=suite.runs,
            remarks=tuple(remarks),
        )

    def _alternatives(self) -> str:
        sets = " or ".join(map(names_of, self._sets))
        return f"each of these is enough: {sets}" + ("; and there are more" if self._has_more else "")

    def _command(self, units: Sequence[Unit]) -> str:
        return shortest_command(self._suite.whole, units, self._arguments)


def _location_of(leaks: Sequence[Leak], victims: Collection[str]) -> tuple[str, int] | None:
    """Return the statement of the leak that the victim met, else of the worst that has one."""
    located = [leak for leak in leaks if leak.severity != INFO]
    located.sort(
        key=lambda leak: (
            not any(exposure.nodeid in victims for exposure in leak.exposed),
            SEVERITIES.index(leak.severity),
        )
    )
    for leak in located:
        if leak.location is not None:
            return leak.location.file, leak.location.line
    return None


def _file_of(unit: Unit) -> str:
    return unit.file


def _span(units: Sequence[Unit]) -> str:
    """Return the names of the first and the last unit."""
    if not units:
        return "nothing"
    first, last = units[0].name, units[-1].name
    return first if first == last else f"{first} to {last}"
