"""What all namespaces held at a look, and what may have changed between two looks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from itertools import compress
from operator import attrgetter, is_not
from typing import Final

from pytest_import_isolation.contents.changes import ContentChange, compare
from pytest_import_isolation.contents.spaces import Copy, Space

#: What namespaces held at a moment.
State = Mapping[Space, Copy]

# At the speed of C: there are thousands of namespaces.
_copy_of_space: Final[Callable[[Space], Copy]] = attrgetter("copy")

#: So many looks are known by the next ones: a test has three phases, each with a look or two.
_LOOKS: Final = 8


class Look(dict[Space, Copy]):
    """What namespaces held at a look.

    Args:
        before: at the look before; empty if all was looked at.
        spaces: the namespaces that were copied since.
    """

    __slots__ = ("__weakref__", "_earlier")

    def __init__(self, before: State | tuple[()], spaces: list[Space]) -> None:
        super().__init__(before)
        self.update(zip(spaces, map(_copy_of_space, spaces), strict=True))
        # The latest looks before, each with what was copied since. Not kept alive: each would keep others.
        self._earlier: list[tuple[weakref.ref[Look], dict[Space, None]]] = []
        if type(before) is Look:
            since = dict.fromkeys(spaces)
            others = [(look, {**copied, **since}) for look, copied in before._earlier[: _LOOKS - 1]]
            self._earlier = [(weakref.ref(before), since), *others]

    def since(self, before: State) -> Iterable[tuple[Space, Copy]] | None:
        """Return what was copied since one of the latest looks; None if it is none of these."""
        spaces = next((copied for look, copied in self._earlier if look() is before), None)
        return None if spaces is None else [(space, self[space]) for space in spaces if space in self]

    def without(self, spaces: Iterable[Space]) -> Look:
        """Return a look at the same moment at all namespaces but some."""
        look = Look(self, [])
        for space in spaces:
            look.pop(space, None)
        return look


def changes_between(since: State, now: State) -> list[ContentChange]:
    """Return what is different at a later look; see :meth:`.Contents.changes`."""
    found: list[ContentChange] = []
    for space, copy in () if now is since else _other(since, now):
        before = earlier(space, since)
        if before is not None and before is not copy:
            found += compare(space, before, copy, is_new=not was_known(space, since))
    return found


def _other(since: State, now: State) -> Iterable[tuple[Space, Copy]]:
    """Return the namespaces that may hold something else than earlier, with what they hold."""
    few = now.since(since) if type(now) is Look else None
    if few is not None:
        return few
    return compress(now.items(), map(is_not, now.values(), map(since.get, now)))


def earlier(space: Space, since: State) -> Copy | None:
    """Return what a namespace held at a moment, or when its first execution ended, if that is known."""
    return since.get(space, None if space.is_late else space.first)


def was_known(space: Space, since: State) -> bool:
    """Tell whether a module was loaded at an earlier moment, looked at or not."""
    return space in since or space.was_there
