"""Finding the few units of many that decide an outcome, with as few questions as possible.

A unit may be anything: a test, a file. An oracle tells whether some units show the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: One unit is thought to decide in a part that shows the outcome and is at most this share of all.
_SHARE: Final = 16
#: Up to so many units, a question costs more than the units that it leaves out of others: so many halves are
#: asked for alone before the part that they are of is.
_FEW: Final = 512
_GUESSES: Final = 2


class Search(Generic[T]):
    """A search over units in their order.

    No units do not show the outcome, and more of them most often show what fewer do. The shortest prefix that
    still shows it ends with the last unit that decides; the others are looked for before that one. A prefix
    has many units, so the part that is left is asked for alone as soon as it is small: if it shows the
    outcome by itself, the rest of the search stays in it.

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
            prefix = _Prefix(self, rest, kept)
            rest = prefix.shortest()
            if not rest:
                break
            kept.insert(0, rest.pop())
            # What a part does not show, one unit of it does not show either; with nothing before that one,
            # it is asked for all the same.
            if (not prefix.is_several or not rest) and self.ask(kept):
                return kept
            if not prefix.is_shown_at_all():
                break
        return []

    def ask(self, units: Sequence[T], *, again: bool = False) -> bool:
        """Tell whether units show the outcome.

        Args:
            units: that are asked for.
            again: whether to ask even if the answer is known.
        """
        key = tuple(units)
        if again or key not in self._known:
            self._known[key] = self._shows(units)
        return self._known[key]

    def split(self, units: Sequence[T], low: int, high: int) -> int:
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


class _Prefix(Generic[T]):
    """The search for the last unit that decides.

    Args:
        search: answers questions.
        units: that show the outcome with ``kept``.
        kept: what comes after them.
    """

    def __init__(self, search: Search[T], units: list[T], kept: list[T]) -> None:
        self._search = search
        self._units = units
        self._kept = kept
        # units[base:high] shows it; units[base:firm] does not, and units[base:low] is not thought to.
        self._base = self._firm = self._low = 0
        self._high = len(units)
        self._is_small = len(units) // _SHARE
        self._guesses = _GUESSES if len(units) <= _FEW else 0
        #: Whether one unit may be enough: only the first of several is looked for in this hope.
        self._may_be_one = not kept
        #: Whether a small part with the last unit was seen not to be enough.
        self.is_several = False
        #: Whether any question was answered by yes.
        self._has_shown = False

    def shortest(self) -> list[T]:
        """Return the shortest part that shows the outcome with what is kept; nothing if not even all do."""
        while True:
            if not (self._kept or self._may_be_one or self.is_shown_at_all()):
                return []
            if self._high - self._low > 1:
                self._narrow()
            elif self._low == self._firm or self._asks(self._high - 1, self._high):
                return self._units[self._base : self._high]
            else:
                # It takes more than one of a part that is enough.
                self._low, self._may_be_one = self._firm, False

    def is_shown_at_all(self) -> bool:
        """Tell whether all units show the outcome, which is asked only if no part does.

        An answer that was known before came about otherwise, if nothing confirms it.
        """
        if not self._has_shown:
            self._has_shown = self._search.ask([*self._units, *self._kept], again=bool(self._kept))
        return self._has_shown

    def _asks(self, start: int, end: int) -> bool:
        shown = self._search.ask([*self._units[start:end], *self._kept])
        self._has_shown |= shown
        return shown

    def _narrow(self) -> None:
        """Ask one question."""
        is_enough = self._may_be_one and self._high - self._base <= self._is_small
        is_guess = self._may_be_one and not is_enough and self._base < self._firm
        if is_guess and self._high - self._firm <= self._is_small and self._guesses == 0:
            self._low = self._firm
            if self._asks(self._firm, self._high):
                self._base = self._firm
            else:
                self._may_be_one, self.is_several = False, True
            return
        is_guess = is_guess and self._high - self._firm <= self._is_small
        start = self._low if is_enough or is_guess else self._base
        middle = self._search.split(self._units, self._low, self._high)
        if self._asks(start, middle):
            self._base, self._high = start, middle
            self._firm = max(self._firm, start)
        else:
            self._low = middle
            if start == self._base:
                self._firm = middle
            self._guesses -= is_guess
