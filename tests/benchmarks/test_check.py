from __future__ import annotations

import pytest
from benchmarks.bounds import BOUNDS, Bound
from benchmarks.check import Measure, figures, verdicts
from benchmarks.paired import Spread

MOST = Bound("window", "times dict()", 6, 12)
LEAST = Bound("parked", "times second", 300, 150, at_least=True)


def spread(value: float) -> Spread:
    return Spread(value, value, value, 1)


def measured(*answers: dict[str, Spread]) -> tuple[Measure, list[tuple[str, int]]]:
    """Return a function that gives one answer after the other, and the list of what it was asked for."""
    asked: list[tuple[str, int]] = []
    rest = iter(answers)

    def measure(name: str, patience: int) -> dict[str, Spread]:
        asked.append((name, patience))
        return next(rest)

    return measure, asked


@pytest.mark.parametrize(
    ("bound", "value", "holds", "reached"),
    [
        (MOST, 6, True, True),
        (MOST, 12, True, False),
        (MOST, 12.1, False, False),
        (LEAST, 300, True, True),
        (LEAST, 150, True, False),
        (LEAST, 149, False, False),
    ],
)
def test_a_bound_is_further_from_the_best_than_the_goal(
    bound: Bound, value: float, holds: bool, reached: bool
) -> None:
    assert (bound.holds(spread(value)), bound.reached(spread(value))) == (holds, reached)


def test_the_check_accepts_what_one_of_four_rounds_accepts() -> None:
    assert MOST.holds(Spread(14, 12, 16, 8))
    assert not MOST.holds(Spread(14, 12.1, 16, 8))
    assert LEAST.holds(Spread(140, 130, 150, 8))
    assert not LEAST.holds(Spread(140, 130, 149, 8))


def test_every_bound_is_more_generous_than_its_goal() -> None:
    assert [bound for bound in BOUNDS if not bound.holds(spread(bound.goal))] == []


def test_figures_that_hold_are_measured_once() -> None:
    measure, asked = measured({"times dict()": spread(5), "other": spread(99)}, {"times second": spread(400)})
    said: list[str] = []

    found = figures([MOST, LEAST], measure, said.append)

    assert asked == [("window", 1), ("parked", 1)]
    assert said == []
    assert found[MOST.key] == spread(5)


def test_a_figure_beyond_its_bound_is_measured_again_with_more_rounds() -> None:
    measure, asked = measured(
        {"times dict()": spread(13)}, {"times second": spread(400)}, {"times dict()": spread(7)}
    )
    said: list[str] = []

    found = figures([MOST, LEAST], measure, said.append)

    assert asked == [("window", 1), ("parked", 1), ("window", 3)]
    assert said == ["beyond a bound, so measured again with 3 times as many rounds: window"]
    assert found[MOST.key] == spread(7)


def test_the_verdicts_tell_bound_goal_and_what_was_measured() -> None:
    found = {MOST.key: spread(13), LEAST.key: spread(200)}
    good = Bound("load", "modules", 25, 50)

    table = verdicts([MOST, LEAST, good], {**found, good.key: spread(10)})

    assert table.rows == (
        ("window: times dict()", "13.0 (13.0-13.0)", "at most 6", "12", "BEYOND THE BOUND"),
        ("parked: times second", "200 (200-200)", "at least 300", "150", "not the goal"),
        ("load: modules", "10.0 (10.0-10.0)", "at most 25", "50", ""),
    )


def test_a_figure_that_was_not_measured_has_no_verdict() -> None:
    assert verdicts([MOST, LEAST], {MOST.key: spread(5)}).rows[0][0] == "window: times dict()"
    assert len(verdicts([MOST, LEAST], {MOST.key: spread(5)}).rows) == 1
