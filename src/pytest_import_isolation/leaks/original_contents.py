"""What modules held before test code left something else there: who puts that back is no polluter."""

from __future__ import annotations

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.contents.values import is_same, is_same_constant
from pytest_import_isolation.machinery.modules import ABSENT


class OriginalContents:
    """Remembers which names test code left changed, and keeps no value alive."""

    def __init__(self) -> None:
        self._left: set[tuple[Space, str]] = set()

    def note_left(self, change: ContentChange) -> None:
        """Take note that somebody left a change."""
        self._left.add((change.space, change.name))

    def takes_back(self, change: ContentChange) -> bool:
        """Tell whether a change puts the module's own value back, where somebody had left another one."""
        place = change.space, change.name
        own = change.space.first.value(change.name, ABSENT)
        if place not in self._left or not (is_same_constant(own, change.after) or is_same(own, change.after)):
            return False
        self._left.discard(place)
        return True
