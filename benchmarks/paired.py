"""The one way to measure here: contenders run in turn, and only figures of one round are compared.

Machines are noisy and differ, and become slower while they are measured. What is slow for one contender of a
round is slow for the next one as well, so the ratio within a round says more than either figure does.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

_Key = TypeVar("_Key")
_Sample = TypeVar("_Sample")


@dataclass(frozen=True)
class Spread:
    """The median of what the rounds gave, with the quartiles around it."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise the values of all rounds, of which there is at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))


def alternate(
    contenders: Mapping[_Key, Callable[[], _Sample]],
    rounds: int,
    progress: Callable[[int], None] = lambda number: None,
) -> dict[_Key, list[_Sample]]:
    """Run all contenders once per round.

    Args:
        contenders: each returns what it measured of itself.
        rounds: how many rounds. Every other one goes backwards, so that nobody always comes after the same.
        progress: is told the number of each round that begins.

    Returns:
        What each contender measured, by round.
    """
    samples: dict[_Key, list[_Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        progress(number)
        for name in list(contenders) if number % 2 == 0 else reversed(list(contenders)):
            samples[name].append(contenders[name]())
    return samples


def ratio(one: Sequence[float], other: Sequence[float]) -> Spread:
    """Return how many times the other one is, by round."""
    return Spread.of([a / b for a, b in zip(one, other, strict=True)])


def extra(one: Sequence[float], other: Sequence[float], base: Sequence[float]) -> Spread:
    """Return how many times the other one is, by round, without what the base costs and both contain."""
    return Spread.of([(a - c) / (b - c) for a, b, c in zip(one, other, base, strict=True)])


def extrapolate(
    part: Sequence[float], plain_part: Sequence[float], plain: Sequence[float], times: float
) -> list[float]:
    """Return what all would cost that was measured for a part, by round.

    Args:
        part: the cost of the part.
        plain_part: what the part costs with plain pytest.
        plain: what all costs with plain pytest.
        times: how many times the part all is.

    Returns:
        The cost of all, if what exceeds plain pytest grows with the number of tests.
    """
    return [whole + times * (a - b) for a, b, whole in zip(part, plain_part, plain, strict=True)]
