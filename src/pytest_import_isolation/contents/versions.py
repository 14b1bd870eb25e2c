"""The versions that namespaces had at a look."""

from __future__ import annotations

from collections.abc import Callable
from itertools import filterfalse
from operator import attrgetter
from typing import Final

from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.machinery.dict_versions import Cell, Gathered, gathered, other_cells, read_cells

# At the speed of C: there are thousands of namespaces.
_cell_of: Final[Callable[[Space], Cell]] = attrgetter("cell")
_has_untold: Final[Callable[[Space], bool]] = attrgetter("has_untold")


class Versions:
    """The versions that namespaces had when they were looked at."""

    def __init__(self) -> None:
        #: The namespaces, in order.
        self.spaces: list[Space] = []
        #: Those whose versions say little: somebody always writes to them what is no change.
        self.restless: list[Space] = []
        #: Their versions, joined; nothing if they cannot be read.
        self.known = b""
        # Where they are read, found anew once one of the namespaces is no more.
        self._cells: Gathered | None = None
        self._is_on = False
        self._deaths = 0

    def note_death(self) -> None:
        """Read no more where a namespace has died: another one may lie there."""
        self._deaths += 1
        self._cells = None

    def stop(self) -> None:
        """Read no more before :meth:`begin`."""
        self._cells, self._is_on = None, False

    def now(self) -> bytes:
        """Return the versions of now, any for those that are no more; nothing if they cannot be read."""
        if self._cells is None and self._is_on:
            self._find_cells()
        return self._read()

    def _read(self) -> bytes:
        cells = self._cells
        return b"" if cells is None else cells.read()

    def _find_cells(self) -> None:
        deaths = None
        while deaths != self._deaths:  # else one may be read that is no more
            deaths = self._deaths
            self._cells = gathered([*map(_cell_of, self.spaces)])

    def begin(self, spaces: list[Space]) -> None:
        """Take the versions that some namespaces have now."""
        self.spaces, self.restless = _sorted(spaces)
        self._is_on = True
        self._find_cells()
        self.known = self._read()
        if not self.known:
            self.stop()

    def begin_again(self) -> list[Space]:
        """Take the versions of now, although some namespaces may be no more; return those that may differ."""
        before = self.known
        self.begin([*self.spaces, *self.restless])
        if len(before) != len(self.known) or not before:
            return [*self.spaces, *self.restless]
        return self._others(before, self.known)

    def others(self, now: bytes) -> list[Space]:
        """Return the namespaces that have other versions now, and those of which that says little."""
        return self._others(self.known, now)

    def _others(self, before: bytes, now: bytes) -> list[Space]:
        if before == now:
            return self.restless
        return [*(self.spaces[at] for at in other_cells(before, now)), *self.restless]

    def extend(self, now: bytes, spaces: list[Space]) -> bool:
        """Take the versions of now, and those of some more namespaces.

        Args:
            now: what :meth:`now` returned.
            spaces: the namespaces to add.

        Returns:
            False if that cannot be: one of them has no version, or a namespace has died.
        """
        more, restless = _sorted(spaces)
        cells = [*map(_cell_of, more)]
        known, deaths = self._cells, self._deaths
        if None in cells or known is None:
            return False
        try:
            self._cells = known.extended(cells)
        except Exception:  # an audit hook may forbid to ask where they are
            return False
        if deaths != self._deaths:  # another thread has let go of one meanwhile
            self._cells = None
            return False
        self.spaces = [*self.spaces, *more]
        self.restless = [*self.restless, *restless]
        self.known = now + read_cells(cells)
        return True


def _sorted(spaces: list[Space]) -> tuple[list[Space], list[Space]]:
    """Return those of some namespaces whose versions tell of changes, and the others."""
    restless = [*filter(_has_untold, spaces)]
    return [*filterfalse(_has_untold, spaces)] if restless else spaces, restless
