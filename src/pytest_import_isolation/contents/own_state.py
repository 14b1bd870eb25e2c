"""The names that modules write to themselves, again and again: caches, counters, what is switched on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.machinery.modules import file_of
from pytest_import_isolation.state.origins import Origins

#: Who changes a name of a library's module so often may be the module itself.
_OFTEN: Final = 8
# A name, with the file of its module and whether a class has it.
_Place = tuple[str | None, bool, str]


class OwnState:
    """Knows of which names that changed more than once it was found out that they are such.

    Args:
        origins: tells which modules are first-party.
        is_own: tells whether the code of a module stores a name itself.
    """

    def __init__(self, origins: Origins, is_own: Callable[[ContentChange], bool]) -> None:
        self._origins = origins
        self._is_own = is_own
        self._known: dict[_Place, bool] = {}
        # How often a name changed before anybody found out.
        self._times: dict[_Place, int] = {}

    def is_known(self, change: ContentChange) -> bool:
        """Tell whether a module is known to store a name itself; then nobody looks at that name any more."""
        if change.submodule is not None:
            return False
        place = home_file(change), change.space.is_class, change.name
        known = self._known.get(place)
        if known is None:
            known = self._find_out(change, place)
        if known:
            change.space.overlook(change.name)
        return known

    def _find_out(self, change: ContentChange, place: _Place) -> bool:
        """Read the text of a module, which may be long: not for a single change."""
        times = self._times[place] = self._times.get(place, 0) + 1
        if times == 1:
            return False
        home = change.space.home
        # What patches a library's module does so a few times, and its text is not read for that.
        if times < _OFTEN and not self._origins.is_first_party(home, sys.modules.get(home)):
            return False
        known = self._known[place] = self._is_own(change)
        return known


def home_file(change: ContentChange) -> str | None:
    """Return the file of the module that was written to, or whose class was."""
    return file_of(sys.modules.get(change.space.home))
