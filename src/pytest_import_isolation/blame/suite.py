"""A suite whose parts can be run: from units to requests, each told in one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Final

from pytest_import_isolation.blame.requests import ABSENT, Answer, Outcome, Request
from pytest_import_isolation.blame.runner import Runner
from pytest_import_isolation.blame.suspects import CONFTEST, FILE, TEST, Unit, unit_of_file
from pytest_import_isolation.errors import BlameError
from pytest_import_isolation.report.records import Report, parse_report
from pytest_import_isolation.wording import count

_REPORT: Final = "report.json"


class ExhaustedError(Exception):
    """As many runs were made as are allowed."""


class Suite:
    """What the whole run has, and runs of parts of it.

    Args:
        runner: runs them.
        victim: the node id as the user gave it.
        most: how many runs there may be.
        tell: takes one line for each run.
    """

    def __init__(self, runner: Runner, victim: str, most: int, tell: Callable[[str], None]) -> None:
        self._runner = runner
        self._victim = victim
        self._most = most
        self._tell = tell
        self.whole = Answer(Outcome(ABSENT))
        self.report = Report()
        #: Whether every run came to another outcome than the one before.
        self.alternates = True
        self._last: Outcome | None = None

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return self._runner.runs

    # What there is

    @cached_property
    def victims(self) -> frozenset[str]:
        """The node ids of the victim."""
        return frozenset(self.whole.victims)

    @cached_property
    def tests(self) -> list[Unit]:
        """The tests before the victim, in order."""
        found: list[Unit] = []
        left = len(self.victims)
        for nodeid, file in self.whole.tests:
            if nodeid in self.victims:
                left -= 1
            elif left > 0:
                found.append(Unit(TEST, nodeid, file))
        return found

    @property
    def order(self) -> list[str]:
        """The node ids of all tests, in order."""
        return [nodeid for nodeid, _ in self.whole.tests]

    def tests_without(self, units: Collection[Unit]) -> list[Unit]:
        """Return the tests before the victim that can run if some units are left out."""
        files = {unit.name for unit in units}
        return [
            test
            for test in self.tests
            if not files.intersection((test.name, test.file, *self.conftests(unit_of_file(test.file))))
        ]

    @cached_property
    def files(self) -> list[Unit]:
        """What is executed before a test runs, except for the victim's own file and conftests, in order.

        A conftest is not there if a file below it is: to collect that file loads it.
        """
        units = [unit_of_file(file) for file in self.whole.executed]
        others = [unit for unit in units if unit.kind == FILE and unit.file != self.whole.file]
        loaded = {file for unit in [*others] for file in self.conftests(unit)}
        own = set(self.conftests(unit_of_file(self.whole.file)))
        return [
            unit
            for unit in units
            if unit in others or (unit.kind == CONFTEST and unit.name not in own | loaded)
        ]

    def conftests(self, unit: Unit) -> list[str]:
        """Return the conftests above a file, in the order in which they are loaded."""
        parents = {str(parent) for parent in PurePosixPath(unit.file).parents}
        return [
            file
            for file in self.whole.executed
            if unit_of_file(file).kind == CONFTEST and str(PurePosixPath(file).parent) in parents
        ]

    def foreign_conftests(self, unit: Unit) -> list[Unit]:
        """Return the conftests above a file that are not above the victim's."""
        own = self.conftests(unit_of_file(self.whole.file))
        return [Unit(CONFTEST, file, file) for file in self.conftests(unit) if file not in own]

    # Runs

    def run_whole(self, purpose: str, *, reports: bool = False) -> Outcome:
        """Run everything up to the victim.

        Args:
            purpose: why, as the line of progress says it.
            reports: whether leaks and effects are reported.
        """
        options: dict[str, Any] = {}
        if reports:
            options = {
                "import_leak_report": True,
                "import_leak_effects": True,
                "import_leak_file": [self._runner.path(_REPORT)],
            }
        answer = self._run(
            Request("", "", self._victim, options=options, seeds=self.whole.seeds), purpose, ""
        )
        if not self.whole.tests and not self.whole.executed:
            self.whole = answer
            self._read_report(self._runner.read(_REPORT) if reports else "")
            if answer.outcome.word == ABSENT:
                raise BlameError(
                    f"blame: {self._victim}: the whole run has no such test and no such file{answer.similar}"
                )
        return answer.outcome

    def _read_report(self, text: str) -> None:
        if text:
            self.report = parse_report(text)

    def run(
        self,
        units: Sequence[Unit],
        purpose: str,
        *,
        everything: bool = False,
        but: Collection[Unit] = (),
        options: Mapping[str, Any] | None = None,
        marked: Sequence[str] = (),
    ) -> Outcome:
        """Run a part of the suite, and the victim after it.

        Args:
            units: what is executed besides, in the order of the whole run.
            purpose: why, as the line of progress says it.
            everything: whether all files are collected, not only those that are needed.
            but: files and conftests that are not executed all the same.
            options: command line options of this run.
            marked: tests that get the mark ``isolated_imports``.
        """
        wanted = {unit.name for unit in units if unit.kind == TEST} | self.victims
        needed = self._needed(units, everything=everything, but=but)
        request = Request(
            "",
            "",
            self._victim,
            collect=[self._path(unit) for unit in needed],
            files=[self._absolute(unit.file) for unit in needed if unit.kind == FILE],
            first=[self._absolute(self.whole.file)],
            tests=[nodeid for nodeid, _ in self.whole.tests if nodeid in wanted],
            marked=list(marked),
            options=dict(options or {}),
            seeds=self.whole.seeds,
        )
        size = f"{count(len(wanted), 'test')} of {count(sum(unit.kind == FILE for unit in needed), 'file')}"
        return self._run(request, purpose, size).outcome

    def _needed(self, units: Sequence[Unit], *, everything: bool, but: Collection[Unit]) -> list[Unit]:
        """Return files and conftests that must be executed, in the order of the whole run."""
        left_out = {unit.name for unit in but}
        files = {self.whole.file} | {unit.file for unit in units}
        executed = list(self.whole.executed)
        if self.whole.file not in executed:
            executed.append(self.whole.file)
        if everything:
            files |= set(executed)
        found = [
            unit
            for unit in map(unit_of_file, executed)
            if unit.name == self.whole.file
            or (unit.name in files - left_out and not left_out.intersection(self.conftests(unit)))
        ]
        # A conftest is loaded with a file below it, too.
        loaded = {file for unit in found if unit.kind == FILE for file in self.conftests(unit)}
        return [unit for unit in found if unit.name not in loaded]

    def _run(self, request: Request, purpose: str, size: str) -> Answer:
        if self.runs >= self._most:
            raise ExhaustedError
        answer = self._runner.run(request)
        if not size:
            files = sum(unit_of_file(file).kind == FILE for file in answer.executed)
            size = f"{count(len(answer.tests), 'test')} of {count(files, 'file')}"
        self._tell(f"run {self.runs}: {purpose} ({size}): {told(answer.outcome)}")
        if self._last is not None and self._last.kind == answer.outcome.kind:
            self.alternates = False
        self._last = answer.outcome
        return answer

    def _path(self, unit: Unit) -> str:
        path = self._absolute(unit.file)
        return os.path.dirname(path) if unit.kind == CONFTEST else path

    def _absolute(self, file: str) -> str:
        return os.path.normpath(os.path.join(self.whole.rootdir, file))


def told(outcome: Outcome) -> str:
    """Return what is said of an outcome in one line."""
    if outcome.failure is None or not outcome.failure.error:
        return outcome.word
    return f"{outcome.word}, {outcome.failure.error}"
