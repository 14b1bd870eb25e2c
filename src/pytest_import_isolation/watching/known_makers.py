"""Who made what in the import state, as far as it was seen or can be told."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Iterable, Set
from typing import Any, Final

from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.watching.makers import Maker

# Stands for an object that is no more.
_DEAD: Final = object()


class _Held(weakref.ref[Any]):
    """Gives an object as long as it is alive. One object, where a function and its variables were four."""

    __slots__ = ()

    def __call__(self) -> Any:
        alive = super().__call__()
        return _DEAD if alive is None else alive


def _held(module: object) -> Callable[[], object]:
    """Return what gives an object as long as it is alive; what can be held in no other way is kept alive."""
    try:
        return _Held(module)
    except TypeError:
        return lambda: module


class KnownMakers:
    """Remembers by what was changed what is there since then, and who did it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, object], tuple[Callable[[], object], Maker]] = {}
        #: Tell which changes the isolation made for itself: these are put down to nobody by inference.
        self.own: list[Callable[[SingleChange], bool]] = []
        #: Asked who made a change that nobody was seen to make.
        self.guesses: list[Callable[[SingleChange], Maker | None]] = []

    def note(self, what: str, key: object, after: object, maker: Maker) -> None:
        """Note who made what is there now."""
        place = SingleChange(what, key, ABSENT, after).place
        self._known[place] = (_held(after), maker)

    def note_entry(self, name: str, module: object, maker: Maker) -> None:
        """Note who put something under a name."""
        self._known["entry", name] = (_held(module), maker)

    def note_removals(self, names: Iterable[str], maker: Maker) -> None:
        """Note who took entries out."""
        held = _held(ABSENT)
        self._known.update({("entry", name): (held, maker) for name in names})

    def has_entry(self, name: str) -> bool:
        """Tell whether anything is known of the entry of a name."""
        return ("entry", name) in self._known

    def note_another_copy(self, name: str, module: object) -> None:
        """Note that a module was executed: who took an earlier one out answers for it and its package."""
        known = self._known.get(("entry", name))
        if known is not None and known[0]() is ABSENT:
            self._known["entry", name] = self._known["attribute", name] = (_held(module), known[1])

    def attribute(self, change: SingleChange, maker: Maker) -> None:
        """Put down a change to a maker, unless another one is known, or it is the isolation's own."""
        if self._seen(change) is None and change.key != "order" and not self._is_own(change):
            self.note(change.what, change.key, change.after, maker)

    @property
    def entries(self) -> Set[str]:
        """The entries that modules made, in place or not, in order."""
        keys = (key for what, key in list(self._known) if what == "entry" and type(key) is str)
        return dict.fromkeys(keys).keys()

    def entered_by(self, executed: Container[str]) -> dict[str, tuple[object, str]]:
        """Return what some modules entered under other names while they were executed, as far as it is alive.

        Returns:
            By name, what was entered and the module that did so.
        """
        return {
            name: (module, maker.module)
            for (what, name), (held, maker) in self._known.copy().items()
            if what == "entry" and type(name) is str and maker.module in executed and maker.module != name
            if not maker.is_call and (module := held()) is not ABSENT and module is not _DEAD
        }

    def is_made_by_another(self, name: str, module: object) -> bool:
        """Tell whether what is loaded under a name is known to have been entered by another module."""
        known = self._known.get(("entry", name))
        return known is not None and known[0]() is module and known[1].module != name

    def find(self, change: SingleChange) -> Maker | None:
        """Return who made a change; None if nobody is known."""
        known = self._seen(change)
        if known is not None or not self.guesses or self._is_own(change):
            return known
        guessed = next(filter(None, (guess(change) for guess in self.guesses)), None)
        if guessed is not None:
            self.note(change.what, change.key, change.after, guessed)
        return guessed

    def _is_own(self, change: SingleChange) -> bool:
        return any(is_own(change) for is_own in self.own)

    def _seen(self, change: SingleChange) -> Maker | None:
        known = self._known.get(change.place)
        if known is None:
            return None
        after = known[0]()
        if change.key == "order" or (type(after) is str and type(change.after) is str):
            return known[1] if after == change.after else None
        return known[1] if after is change.after else None
