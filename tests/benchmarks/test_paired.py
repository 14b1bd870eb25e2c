from __future__ import annotations

import functools

import pytest
from benchmarks.paired import Spread, alternate, extra, extrapolate, ratio


def test_a_spread_is_the_median_and_the_quartiles_around_it() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)


def test_one_round_is_its_own_median_and_quartiles() -> None:
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 1)


def test_contenders_run_in_turn_and_every_other_round_backwards() -> None:
    order: list[str] = []

    alternate({name: functools.partial(order.append, name) for name in "abc"}, 3)

    assert "".join(order) == "abccbaabc"


def test_what_each_contender_measured_is_kept_by_round() -> None:
    numbers = iter(range(4))

    samples = alternate({"a": lambda: next(numbers), "b": lambda: next(numbers)}, 2)

    assert samples == {"a": [0, 3], "b": [1, 2]}


def test_a_ratio_compares_what_was_measured_in_the_same_round() -> None:
    # A machine that becomes ten times slower in the second round, and a hundred times in the third.
    assert ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == Spread(2.0, 2.0, 2.0, 3)


def test_samples_of_different_numbers_of_rounds_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_what_both_contain_is_no_part_of_the_extra_cost() -> None:
    assert extra([13.0, 25.0], [12.0, 15.0], [10.0, 10.0]) == Spread.of([1.5, 3.0])


def test_what_a_part_costs_beyond_plain_pytest_is_multiplied() -> None:
    assert extrapolate([7.0], [2.0], [11.0], 4) == [11.0 + 4 * 5.0]
