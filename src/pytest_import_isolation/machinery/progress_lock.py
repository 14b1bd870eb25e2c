"""A lock for whose release others wait as long as its holder gets on."""

from __future__ import annotations

import threading
from collections.abc import Collection

from pytest_import_isolation.machinery.threads import get_ident, stacks_of_other_threads

_LOOK = 0.002  # seconds between two looks at the holder
_STILL = 500  # looks: the holder waits for something, maybe for us
_LONGEST = 15_000  # looks: it may also wait in a loop


class ProgressLock:
    """A lock that one thread may take more than once; a context manager."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holders: list[int] = []
        self._waiting: set[int] = set()

    @property
    def waiting(self) -> Collection[int]:
        """The threads that are in :meth:`wait` now."""
        return self._waiting

    def __enter__(self) -> None:
        self._lock.acquire()
        self._holders.append(get_ident())

    def __exit__(self, *exc_info: object) -> None:
        self._holders.pop()
        self._lock.release()

    def wait(self) -> None:
        """Wait until no other thread holds the lock, or its holder no longer gets on.

        The holder may wait itself for what the calling thread does. So this is for a moment only once the
        holder stands still. No clock tells: on a busy machine a holder that gets on may take long.
        """
        me = get_ident()
        self._waiting.add(me)
        try:
            place, looks, still = self._place_of_holder(), 0, 0
            while not self._lock.acquire(timeout=_LOOK):
                last, place = place, self._place_of_holder()
                still = still + 1 if place == last else 0
                looks += 1
                if still >= _STILL or looks >= _LONGEST:
                    return
            # First: who takes the lock next must not count on us to wait.
            self._waiting.discard(me)
            self._lock.release()
        finally:
            self._waiting.discard(me)

    def _place_of_holder(self) -> list[tuple[int, int]]:
        """Return the frames that the holder executes, and the instruction in each; empty if not known."""
        holder = self._holders[-1:]
        return [(id(frame), frame.f_lasti) for ident, frame in stacks_of_other_threads() if [ident] == holder]
