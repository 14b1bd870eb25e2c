"""The search of ``blame``, and its steps in a suite that is simulated: who is named, and in how many runs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import TAKES_LONG

from pytest_import_isolation.blame.investigation import Investigation
from pytest_import_isolation.blame.requests import Answer, Failure, Outcome, Request
from pytest_import_isolation.blame.runner import TOO_LONG, Runner
from pytest_import_isolation.blame.search import Search
from pytest_import_isolation.blame.suite import Suite
from pytest_import_isolation.blame.verdicts import Verdict
from pytest_import_isolation.report.records import Location, Polluter, Report, make_leak


class _Oracle:
    def __init__(self, decides: Callable[[set[int]], bool]) -> None:
        self.asked = 0
        self._decides = decides

    def __call__(self, units: Sequence[int]) -> bool:
        assert list(units) == sorted(units)
        self.asked += 1
        return self._decides(set(units))


@given(st.integers(1, 5_000), st.data())
def test_one_of_many_is_found_in_as_many_questions_as_halvings_and_two(
    number: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(0, number - 1))
    oracle = _Oracle(lambda units: wanted in units)
    assert Search[int](oracle).run(range(number)) == [wanted]
    assert oracle.asked <= math.ceil(math.log2(number)) + 2


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_splits_at_borders_take_no_more_questions(groups: int, size: int, data: st.DataObject) -> None:
    number = groups * size
    wanted = data.draw(st.integers(0, number - 1))
    oracle = _Oracle(lambda units: wanted in units)
    assert Search[int](oracle, border=lambda unit: unit // size).run(range(number)) == [wanted]
    assert oracle.asked <= math.ceil(math.log2(number)) + 2


@given(st.integers(3, 5_000), st.integers(2, 3), st.data())
def test_few_together_are_found(number: int, size: int, data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.integers(0, number - 1), min_size=size, max_size=size))
    oracle = _Oracle(lambda units: wanted <= units)
    assert Search[int](oracle).run(range(number)) == sorted(wanted)
    # ddmin takes 84 and 166.
    assert oracle.asked <= (math.ceil(math.log2(number)) + 6) * size + 2


@pytest.mark.parametrize(("size", "most"), [(1, 14), (2, 27), (3, 39)])
def test_sets_of_one_two_and_three_of_5000_take_14_27_and_39_questions_on_the_average(
    size: int, most: int
) -> None:
    chance = random.Random(size)
    asked = []
    for _ in range(100):
        wanted = set(chance.sample(range(5_000), size))
        oracle = _Oracle(wanted.issubset)
        assert Search[int](oracle).run(range(5_000)) == sorted(wanted)
        asked.append(oracle.asked)
    assert sum(asked) / len(asked) <= most


@given(st.integers(1, 300), st.data())
def test_what_shows_it_shows_it_even_if_more_units_hide_it(number: int, data: st.DataObject) -> None:
    units = st.integers(0, number - 1)
    left_by, undone_by = data.draw(st.sets(units, min_size=1)), data.draw(st.sets(units))

    def decides(run: set[int]) -> bool:
        last = max((unit for unit in run if unit in left_by), default=-1)
        return last >= 0 and not any(unit > last for unit in run & undone_by)

    found = Search[int](_Oracle(decides)).run(range(number))
    if decides(set(range(number))):
        assert found
    assert not found or decides(set(found))


@given(st.integers(1, 300))
def test_nothing_is_found_quickly_if_not_even_all_show_it(number: int) -> None:
    oracle = _Oracle(lambda units: False)
    assert Search[int](oracle).run(range(number)) == []
    assert oracle.asked <= math.ceil(math.log2(number)) + 3


class _Simulated:
    """Answers requests as a suite of some files would.

    Args:
        files: how many.
        tests: in each file.
        victim: the number of the victim.
        outcome: returns the victim's outcome for what was collected and what was run before it.
    """

    def __init__(self, files: int, tests: int, victim: int, outcome: Callable[..., str]) -> None:
        self.files = [f"test_{file}.py" for file in range(files)]
        self.tests = [(f"{file}::test_{test}", file) for file in self.files for test in range(tests)]
        self.victim = self.tests[victim][0]
        self._outcome = outcome
        self.runs = 0
        self.modes: Sequence[str] = ("off", "file", "test")

    def run(self, request: Request) -> Answer:
        self.runs += 1
        collected = self.files if request.collect is None else [f.rpartition("/")[2] for f in request.collect]
        there = [nodeid for nodeid, file in self.tests if file in collected]
        run = there if request.tests is None else [n for n in request.tests if n in there]
        word = self._outcome(set(collected), run[: run.index(self.victim)])
        return Answer(
            Outcome(word, Failure("E", word, "x:1") if word == "failed" else None),
            name=self.victim,
            victims=[self.victim],
            file=self.victim.partition("::")[0],
            executed=collected,
            tests=[(nodeid, file) for nodeid, file in self.tests if file in collected],
            rootdir="/suite",
            modes=self.modes,
        )

    def read(self, name: str) -> str:
        return ""

    def path(self, name: str) -> str:
        return name

    def ask(self, report: Report | None = None, most: int = 1_000) -> Verdict:
        runner: Any = self
        suite = Suite(runner, self.victim, most, lambda line: None)
        return Investigation(suite, [], Report() if report is None else report).run()


@given(st.integers(1, 40), st.integers(2, 60), st.data())
def test_a_polluter_is_proven_in_few_runs(files: int, tests: int, data: st.DataObject) -> None:
    victim = data.draw(st.integers(1, files * tests - 1))
    number = data.draw(st.integers(0, victim - 1))
    polluter = f"test_{number // tests}.py::test_{number % tests}"
    simulated = _Simulated(
        files, tests, victim, lambda collected, run: "failed" if polluter in run else "passed"
    )
    simulated.modes = ("off",)
    verdict = simulated.ask()
    assert (verdict.verdict, verdict.polluters, verdict.by) == ("polluted", (polluter,), "bisection")
    assert verdict.runs == simulated.runs <= math.ceil(math.log2(files * tests)) + 8


# Where cures are tried, isolation of imports is none: nothing is known of the polluter.
@pytest.mark.parametrize(
    "modes", [("off",), pytest.param(("off", "file", "test", "process"), marks=TAKES_LONG)]
)
def test_ten_files_of_fifty_tests_take_fifteen_runs_on_the_average(modes: Sequence[str]) -> None:
    runs = []
    for number in range(0, 430, 7):
        polluter = f"test_{number // 50}.py::test_{number % 50}"
        simulated = _Simulated(
            10, 50, 430, lambda collected, run, polluter=polluter: ("passed", "failed")[polluter in run]
        )
        simulated.modes = modes
        assert simulated.ask().polluters == (polluter,)
        runs.append(simulated.runs)
    assert sum(runs) / len(runs) < math.log2(10) + math.log2(50) + 6


@given(st.integers(2, 40), st.integers(1, 20), st.data())
def test_a_file_that_pollutes_when_it_is_collected_is_proven(
    files: int, tests: int, data: st.DataObject
) -> None:
    victim = data.draw(st.integers(0, files * tests - 1))
    others = [number for number in range(files) if number != victim // tests]
    polluter = f"test_{data.draw(st.sampled_from(others))}.py"
    simulated = _Simulated(
        files, tests, victim, lambda collected, run: "failed" if polluter in collected else "passed"
    )
    verdict = simulated.ask()
    assert (verdict.verdict, verdict.polluters) == ("polluted", (polluter,))
    assert verdict.runs <= math.ceil(math.log2(files)) + 11


@given(st.integers(1, 10), st.integers(2, 20), st.data())
def test_a_test_that_the_victim_needs_is_proven(files: int, tests: int, data: st.DataObject) -> None:
    victim = data.draw(st.integers(1, files * tests - 1))
    number = data.draw(st.integers(0, victim - 1))
    helper = f"test_{number // tests}.py::test_{number % tests}"
    simulated = _Simulated(
        files, tests, victim, lambda collected, run: "passed" if helper in run else "failed"
    )
    verdict = simulated.ask()
    assert (verdict.verdict, verdict.polluters, verdict.cures) == ("needs-others", (helper,), ())


@given(st.integers(2, 8), st.integers(2, 8), st.data())
def test_a_test_together_with_a_file_is_proven(files: int, tests: int, data: st.DataObject) -> None:
    victim = data.draw(st.integers(1, files * tests - 1))
    number = data.draw(st.integers(0, victim - 1))
    others = [n for n in range(files) if n not in (victim // tests, number // tests)]
    if not others:
        return
    file = f"test_{data.draw(st.sampled_from(others))}.py"
    test = f"test_{number // tests}.py::test_{number % tests}"
    simulated = _Simulated(
        files,
        tests,
        victim,
        lambda collected, run: "failed" if test in run and file in collected else "passed",
    )
    verdict = simulated.ask()
    assert (verdict.verdict, set(verdict.polluters)) == ("polluted", {test, file})


@given(st.integers(1, 6), st.integers(2, 10), st.lists(st.booleans(), min_size=2, max_size=6), st.data())
def test_nobody_is_blamed_for_an_outcome_that_alternates(
    files: int, tests: int, period: list[bool], data: st.DataObject
) -> None:
    victim = data.draw(st.integers(1, files * tests - 1))
    numbers = count()
    simulated = _Simulated(
        files, tests, victim, lambda collected, run: ("passed", "failed")[next(numbers) % 2]
    )
    verdict = simulated.ask()
    assert (verdict.verdict, verdict.polluters) == ("flaky", ())


def test_a_part_that_does_not_end_shows_nothing() -> None:
    helper, waiting = "test_1.py::test_2", "test_1.py::test_3"

    def outcome(collected: set[str], run: list[str]) -> str:
        if waiting in run and helper not in run:
            return "hung"
        return "failed" if helper in run else "passed"

    verdict = _Simulated(4, 5, 17, outcome).ask()
    assert (verdict.verdict, verdict.polluters) == ("polluted", (helper,))


def test_after_a_part_that_did_not_end_the_next_ones_are_ended_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[float | None] = []

    def run(_runner: Runner, request: Request) -> int:
        limits.append(request.limit)
        Path(request.answer).write_text(Answer(Outcome("passed")).dump(), encoding="utf-8")
        return TOO_LONG if len(limits) in (2, 4) else 0

    monkeypatch.setattr(Runner, "_alone", run)
    with Runner((), forks=False) as runner:
        words = [runner.run(Request("", "", "test_a.py::test_a")).outcome.word for _ in range(5)]
    assert words == ["passed", "hung", "passed", "hung", "passed"]
    first, *others = limits[1:]
    assert limits[0] is None
    assert first is not None
    assert others == [others[0]] * 3
    assert 0 < (others[0] or 0) < first


def _report(*leaks: tuple[str, str, str, str]) -> Report:
    return Report(
        tuple(
            make_leak(
                kind, name, Polluter(nodeid, phase), "Detail.", location=Location("x.py", 3, exact=True)
            )
            for kind, name, nodeid, phase in leaks
        )
    )


def test_a_suspect_is_proven_in_six_runs_with_its_cure() -> None:
    polluter = "test_3.py::test_4"

    def outcome(collected: set[str], run: list[str]) -> str:
        is_cured = simulated.runs == 6
        return "failed" if polluter in run and not is_cured else "passed"

    simulated = _Simulated(10, 50, 430, outcome)
    report = _report(
        ("path-added", "/x", "test_8.py::test_1", "call"), ("replaced", "shop", polluter, "call")
    )
    verdict = simulated.ask(report)
    assert verdict.as_builtins() == {
        "victim": "test_8.py::test_30",
        "verdict": "polluted",
        "polluters": [polluter],
        "by": "suspect",
        "location": {"file": "x.py", "line": 3},
        "command": verdict.command,
        "cures": [{"option": "--isolate-imports=file", "works": True}],
        "same_error": True,
        "runs": 6,
    }


def test_no_cure_is_tried_for_what_isolation_does_not_undo() -> None:
    polluter = "test_3.py::test_4"
    simulated = _Simulated(10, 5, 40, lambda collected, run: "failed" if polluter in run else "passed")
    verdict = simulated.ask(_report(("effect", "os.environ:LEFT", polluter, "call")))
    assert verdict.cures == ()
    assert verdict.remarks == ("isolation of imports cannot cure this: it is os.environ:LEFT",)
    assert verdict.runs == 6


def test_each_of_several_polluters_is_named() -> None:
    polluters = {"test_1.py::test_0", "test_2.py::test_3"}
    simulated = _Simulated(
        5, 5, 20, lambda collected, run: "failed" if polluters.intersection(run) else "passed"
    )
    verdict = simulated.ask()
    assert set(verdict.polluters) == polluters
    assert verdict.remarks[0].startswith("each of these is enough: ")


def test_it_ends_after_as_many_runs_as_it_may_make() -> None:
    simulated = _Simulated(
        10, 50, 430, lambda collected, run: "failed" if "test_3.py::test_4" in run else "passed"
    )
    verdict = simulated.ask(most=7)
    assert (verdict.verdict, verdict.runs, verdict.polluters) == ("unproven", 7, ())
    assert verdict.remarks == ("there were as many runs as --max-runs allows",)


@pytest.mark.parametrize(("word", "verdict"), [("failed", "fails-alone"), ("passed", "passes-in-whole")])
def test_the_same_outcome_is_seen_twice_before_it_is_told(word: str, verdict: str) -> None:
    simulated = _Simulated(10, 5, 40, lambda collected, run: word)
    found = simulated.ask()
    assert (found.verdict, found.runs, found.polluters) == (verdict, 4, ())
