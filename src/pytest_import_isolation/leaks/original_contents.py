"""What modules held before test code left something else there: who puts that back is no polluter."""

from __future__ import annotations

from typing import Final

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.contents.values import is_same
from pytest_import_isolation.machinery.modules import ABSENT

#: A test may say such a value anew, to put it back.
_PLAIN: Final = frozenset((bool, bytes, complex, float, int, str))


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
        if place not in self._left or not _is_alike(
            change.space.first.value(change.name, ABSENT), change.after
        ):
            return False
        self._left.discard(place)
        return True


def _is_alike(value: object, other: object) -> bool:
    kind = type(value)
    # By identity: a metaclass may hash and compare as it likes.
    if kind is type(other) and any(kind is plain for plain in _PLAIN):
        return bool(value == other)
    return is_same(value, other)
