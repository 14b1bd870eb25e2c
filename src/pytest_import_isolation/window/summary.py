"""The summary of a closed window: from objects to the strings of :class:`.Changes`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pytest_import_isolation.machinery.modules import ABSENT
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.parking.belongings import item_text
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.state.changes import (
    FORGOTTEN,
    KEPT,
    PARKED,
    PUT_BACK,
    Changes,
    ItemChange,
    ModuleChange,
)
from pytest_import_isolation.state.differences import Difference
from pytest_import_isolation.state.origins import describe, is_made_by_hand
from pytest_import_isolation.state.single_changes import SingleChange, single_changes
from pytest_import_isolation.window.outcomes import Outcome
from pytest_import_isolation.window.removal import Removal

_OUTCOMES: Final = {Outcome.FORGET: FORGOTTEN, Outcome.PARK: PARKED, Outcome.KEEP: KEPT}


class Summary(NamedTuple):
    """What is known of a window when it is closed."""

    #: What the code inside had changed.
    seen: Difference
    #: What became of the modules that were loaded.
    removal: Removal
    #: The fakes that the window's own parameters had asked for.
    placed: Mapping[Any, object]
    #: Entries that could not leave, with the reason.
    stuck: Mapping[Any, str]
    #: Attributes of packages that were put back or removed.
    attributes: tuple[str, ...]
    #: Gives what a list of ``sys`` holds after the window.
    contents: Callable[[str], tuple[object, ...]]

    def changes(self) -> Changes:
        """Return the summary in words."""
        rebound = [*self.seen.rebound, *(["builtins.__import__"] if self.seen.import_function else [])]
        if self.seen.lazy_imports:
            before, after = self.seen.lazy_imports
            rebound += ["sys.get_lazy_imports()"] if before.mode != after.mode else []
            rebound += ["sys.get_lazy_imports_filter()"] if before.filter is not after.filter else []
        return Changes(
            (*self._loaded(), *self._put_back()), tuple(self._items()), self.attributes, tuple(rebound)
        )

    def _loaded(self) -> Iterator[ModuleChange]:
        for name, decision in self.removal.decisions.items():
            if name in self.seen.replaced or name in self.placed or self.removal.is_old(name):
                continue
            again = self.removal.told_again(name)
            if again is not None:
                yield again
                continue
            module = self.removal.left.get(name, self.seen.added.get(name, ABSENT))
            outcome = KEPT if name in self.stuck else _OUTCOMES[decision.outcome]
            reason = self.stuck.get(name, decision.reason)
            yield ModuleChange(str(name), "nothing", describe(module), outcome, reason)

    def _put_back(self) -> Iterator[ModuleChange]:
        for name, (before, after) in self.seen.replaced.items():
            reason = f"it had been replaced by {describe(after)}"
            yield ModuleChange(str(name), describe(before), describe(after), PUT_BACK, reason)
        for name, before in self.seen.removed.items():
            yield ModuleChange(str(name), describe(before), "nothing", PUT_BACK, "it had been removed")

    def _items(self) -> Iterator[ItemChange]:
        for list_name, change in self.seen.lists.items():
            for item in change.added:
                yield ItemChange(list_name, item_text(item), "added", self._outcome_of(list_name, item))
            for item in change.removed:
                yield ItemChange(list_name, item_text(item), "removed", "undone")
            if change.moved:
                yield ItemChange(list_name, f"sys.{list_name}", "moved", "undone")

    def _outcome_of(self, list_name: str, item: object) -> str:
        if any(item is other for other in self.contents(list_name)):
            return KEPT
        return PARKED if FINDER.lot.holds(item) else "undone"


def blameless(
    difference: Difference,
    outcomes: Mapping[Any, Outcome],
    ownership: Ownership,
    installed: Iterable[SingleChange],
) -> frozenset[tuple[str, str]]:
    """Return what modules did themselves that is nobody's leak, in the words of the summary.

    An entry that they may have replaced is called ``replaced``: it is, if no test file can have done it.

    Args:
        difference: what is different, and still in place.
        outcomes: what becomes of the modules that were loaded.
        ownership: tells whose a change is.
        installed: what they installed when they were called.
    """
    # A first import is no leak at all.
    fakes = {
        name: module
        for name, module in difference.added.items()
        if outcomes.get(name) is Outcome.FORGET and is_made_by_hand(describe(module))
    }
    changes = single_changes(difference._replace(added=fakes, bindings={}))
    told = [
        (change, _words_of(change)) for change in changes
    ]  # no keys: that would hash what a user put there
    found = {words for change, words in told if ownership.blameless_maker(change)}
    # Who put something into the place of a module was not seen. The text of a library may be able to do it.
    able = (name for name in difference.replaced if type(name) is str and ownership.able_library(name))
    return frozenset((*found, *map(_words_of, installed), *(("replaced", name) for name in able)))


def _words_of(change: SingleChange) -> tuple[str, str]:
    if change.what == "import_function":
        return "rebound", "builtins.__import__"
    if change.what in ("entry", "rebound"):
        return change.what, change.key if type(change.key) is str else ""
    if change.key == "order":
        return change.what, f"sys.{change.what}"
    return change.what, item_text(change.before if change.after is ABSENT else change.after)
