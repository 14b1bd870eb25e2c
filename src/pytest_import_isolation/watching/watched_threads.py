"""Which threads run code whose lines are watched."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Final

from pytest_import_isolation.machinery.threads import count_threads, get_ident

#: After so many times a line in another thread lets its function be watched no more: nobody looks there, and
#: each line costs all the same.
_OFTEN_ELSEWHERE: Final = 1_000


class WatchedThreads:
    """Tells whether the thread that it is made in ran alone."""

    def __init__(self) -> None:
        self._mine = get_ident()
        # Other threads that ran watched code, as long as they live.
        self._others: set[int] = set()
        # How many threads there were at the start, and at the last look.
        self._at_start = self._before = 0
        # How often others executed a line of watched code.
        self._times: dict[tuple[int, int], int] = {}

    def begin(self) -> None:
        """Count the threads that are there."""
        self._at_start = self._before = count_threads()

    def is_mine(self) -> bool:
        """Tell whether this thread is the one that is watched; remember another one."""
        ident = get_ident()
        if ident == self._mine:
            return True
        self._others.add(ident)
        return False

    def execute_often(self, code: CodeType, line: int) -> bool:
        """Count a line that another thread executes; tell whether that was often."""
        times = self._times[id(code), line] = self._times.get((id(code), line), 0) + 1
        return times >= _OFTEN_ELSEWHERE

    def were_silent(self, *, sees_all: bool) -> bool:
        """Tell whether no other thread can have made what changed since the last time.

        Args:
            sees_all: whether all threads are seen when they run watched code.
        """
        if sees_all:
            if not self._others:
                return True
            self._others &= sys._current_frames().keys()
            return False
        before, self._before = self._before, count_threads()
        return max(before, self._before) <= self._at_start
