"""What was there at a look: the versions of the namespaces, and the entries of ``sys.modules``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.machinery.dict_versions import Cell, other_cells, read_cells
from pytest_import_isolation.machinery.identities import Identities, read_pointers

# At the speed of C: there are thousands of namespaces.
_cell_of: Final[Callable[[Space], Cell]] = attrgetter("cell")


# How a memoryview reads where objects lie.
_POINTER: Final = "P"


class Versions:
    """The versions that namespaces had when they were looked at."""

    def __init__(self) -> None:
        #: The namespaces, in order.
        self.spaces: list[Space] = []
        #: Their versions, joined; nothing if they cannot be read.
        self.known = b""
        # Where they are read, found anew once one of the namespaces is no more.
        self._cells: list[Cell] = []
        self._is_on = False
        self._deaths = 0

    def note_death(self) -> None:
        """Read no more where a namespace has died: another one may lie there."""
        self._deaths += 1
        self._cells = []

    def stop(self) -> None:
        """Read no more before :meth:`begin`."""
        self._cells, self._is_on = [], False

    def now(self) -> bytes:
        """Return the versions of now, any for those that are no more; nothing if they cannot be read."""
        if not self._cells and self._is_on:
            self._find_cells()
        return self._read()

    def _read(self) -> bytes:
        try:
            return read_cells(self._cells)
        except TypeError:  # one is None; to look for that takes longer than to read them all
            return b""

    def _find_cells(self) -> None:
        deaths = None
        while deaths != self._deaths:  # else one may be read that is no more
            deaths = self._deaths
            self._cells = [*map(_cell_of, self.spaces)]

    def begin(self, spaces: list[Space]) -> None:
        """Take the versions that some namespaces have now."""
        self.spaces = spaces
        self._is_on = True
        self._find_cells()
        self.known = self._read()
        if not self.known:
            self.stop()

    def begin_again(self) -> list[Space]:
        """Take the versions of now, although some namespaces may be no more; return those that may differ."""
        before = self.known
        self.begin(self.spaces)
        if len(before) != len(self.known) or not before:
            return self.spaces
        return [self.spaces[at] for at in other_cells(before, self.known)]

    def others(self, now: bytes) -> list[Space]:
        """Return the namespaces that have other versions now."""
        return [self.spaces[at] for at in other_cells(self.known, now)]

    def extend(self, now: bytes, spaces: list[Space]) -> bool:
        """Take the versions of now, and those of some more namespaces.

        Args:
            now: what :meth:`now` returned.
            spaces: the namespaces to add.

        Returns:
            False if that cannot be: one of them has no version, or a namespace has died.
        """
        cells = [*map(_cell_of, spaces)]
        if None in cells or not self._cells:
            return False
        self.spaces, self._cells = [*self.spaces, *spaces], [*self._cells, *cells]
        self.known = now + read_cells(cells)
        return True


class Beginning:
    """The entries that ``sys.modules`` had, to tell if it begins with them still. No module is kept alive.

    A module may lie where another one has died. Then that one had a namespace whose version is read no
    more, or none that is looked at.

    Args:
        entries: a copy of the table.
    """

    __slots__ = ("_modules", "names")

    def __init__(self, entries: dict[Any, object]) -> None:
        #: The keys. Of what :func:`.entries_in` copied, none has code of its own.
        self.names = Identities(entries)
        self._modules = read_pointers(tuple(entries.values()))

    def identities_behind(self, other: Beginning) -> Sequence[int]:
        """Return the identities of the modules that stand behind what another beginning has."""
        return memoryview((self._modules or b"")[len(other._modules or b"") :]).cast(_POINTER)

    def goes_on_from(self, before: Beginning) -> bool:
        """Tell whether these entries are known to begin with those of an earlier moment."""
        places = (self.names.pointers, before.names.pointers), (self._modules, before._modules)
        return all(now is not None and was is not None and now.startswith(was) for now, was in places)
