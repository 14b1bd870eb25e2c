"""Finding the few units of many that decide an outcome, with as few questions as possible.

A unit may be anything: a test, a file. An oracle tells whether some units show the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: After so many halves in a row that do not show it, what lies before an interval is asked for, too: it may
#: take two units together, one of them before.
_MISSES: Final = 3
#: After so many parts that show it, each with what lies before, it is asked whether that shows it by itself.
_HITS: Final = 3


class Search(Generic[T]):
    """A search over units in their order.

    No units do not show the outcome, and more of them most often show what fewer do. Halves are asked for
    alone, which is quick where one unit decides; where several do, the shortest prefix that still shows it
    ends with the last of them.

    Args:
        shows: tells whether units show the outcome.
        border: of two neighbours that give the same value here, a split between them costs more.
    """

    def __init__(
        self, shows: Callable[[Sequence[T]], bool], border: Callable[[T], object] = lambda unit: unit
    ) -> None:
        self._shows = shows
        self._border = border
        self._known: dict[tuple[T, ...], bool] = {}

    def learn(self, units: Sequence[T], *, shown: bool) -> None:
        """Take note of an answer that is known already."""
        self._known[tuple(units)] = shown

    def run(self, units: Sequence[T]) -> list[T]:
        """Return few units that show the outcome together, in order; none if not even all of them do.

        Args:
            units: where to look.
        """
        kept: list[T] = []
        rest = list(units)
        while rest:
            rest = self._shortest(rest, kept)
            kept.insert(0, rest.pop())
            if self._ask(kept):
                return kept
            if not self._ask(units):  # which is not asked as long as one unit may be enough
                break
        return []

    def _ask(self, units: Sequence[T]) -> bool:
        key = tuple(units)
        if key not in self._known:
            self._known[key] = self._shows(units)
        return self._known[key]

    def _shortest(self, units: list[T], kept: list[T]) -> list[T]:
        """Return the shortest part that shows the outcome with ``kept`` and ends with a unit that decides.

        Args:
            units: that show it with ``kept``.
            kept: what comes after them.
        """
        # units[base:high] shows it; units[base:firm] does not, and units[base:low] is not thought to.
        base = low = firm = misses = hits = 0
        high = len(units)
        while True:
            is_one = high - low <= 1
            if is_one and (low == firm or self._ask([units[high - 1], *kept])):
                return units[base:high]
            # If one is not enough, the halves that were asked for alone prove little.
            if is_one or (hits >= _HITS and low > firm):
                if self._ask([*units[base:low], *kept]):
                    high, low = low, firm
                else:
                    firm = low
                misses, hits = _MISSES, 0
                continue
            middle = self._split(units, low, high)
            start = base if misses >= _MISSES else low
            if self._ask([*units[start:middle], *kept]):
                hits += start < low
                base, high, misses = start, middle, misses if start < low else 0
                firm = max(firm, base)
            else:
                firm = middle if start == base else firm
                low = middle
                misses += 1

    def _split(self, units: list[T], low: int, high: int) -> int:
        """Return a place to split: at a border, if that takes no more questions than the middle."""
        middle = (low + high) // 2
        most = 1 << ((high - low - 1).bit_length() - 1)
        for distance in range((high - low) // 2):
            for place in (middle - distance, middle + distance):
                if max(place - low, high - place) > most or not low < place < high:
                    continue
                if self._border(units[place - 1]) != self._border(units[place]):
                    return place
        return middle
