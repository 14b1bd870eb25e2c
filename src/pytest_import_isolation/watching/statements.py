"""Which statement changed the import state: the observed answer."""

from __future__ import annotations

import builtins
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from pytest_import_isolation.machinery.finders import import_function
from pytest_import_isolation.machinery.frames import CO_OPTIMIZED, is_machinery
from pytest_import_isolation.machinery.modules import ABSENT, file_of, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.differences import Lists, items_in, items_of
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.list_changes import LISTS, compare_lists, key_of
from pytest_import_isolation.state.single_changes import SingleChange, container, entry_of
from pytest_import_isolation.state.submodule_attributes import bound_value
from pytest_import_isolation.watching.lines import LineWatch

#: The types of what nobody can refer to weakly, and of which nobody is told when it dies.
_VALUES: Final = frozenset(map(id, (object, type(None), bool, int, float, complex, str, bytes)))
#: The package that calls the hooks of pytest, and nothing else.
_CALLER_OF_HOOKS: Final = "pluggy"


class Step(NamedTuple):
    """A statement that was running: of a module, in a file."""

    module: str
    file: str
    line: int
    #: The name of the code it is in: ``<module>``, a function, a class.
    code: str
    #: Whether that code runs as a part of the statement around it: a class body, a comprehension.
    is_inline: bool = False
    #: Whether it was called by code that is not part of the trail: by pytest, by a library.
    is_entry: bool = False
    #: Whether it was called as a hook.
    is_hook: bool = False


class Trail(NamedTuple):
    """The statements that were running when something changed, the innermost last."""

    steps: tuple[Step, ...]
    exact: bool


class Statements:
    """Remembers the statement that changed an entry, a list or a container last.

    Args:
        is_watched: tells whether the lines of a file are watched.
        is_shown: tells, by the name of the module and its file, whether its statements are part of a trail.
        on_change: called with what a statement has just changed, as single changes.
    """

    def __init__(
        self,
        is_watched: Callable[[str], bool],
        is_shown: Callable[[str, str], bool],
        on_change: Callable[[list[SingleChange], Trail], object] = lambda changes, trail: None,
    ) -> None:
        self._is_shown = is_shown
        self._on_change = on_change
        self._watch = LineWatch(is_watched, self._look)
        # By what was changed: the identity of what is there since then, and who did it.
        self._by: dict[tuple[str, Any], tuple[int, Trail]] = {}
        # By its key, an entry that a statement took out: what knows the object, and who had entered it.
        self._gone: dict[Any, tuple[Callable[[object], bool], Trail]] = {}
        # By its key, an entry that was taken out since the last boundary: what knows the object, and who did.
        self._removed: dict[str, tuple[Callable[[object], bool], Trail]] = {}
        self._table: object = None
        self._entries = Entries({})
        # Whether a statement changed something since the last call of synchronize().
        self._is_ahead = False
        self.synchronize()

    @property
    def is_always_on(self) -> bool:
        """Whether watching costs next to nothing, so that it can go on for the whole run."""
        return self._watch.is_always_on

    @property
    def failures(self) -> tuple[int, str | None]:
        """How many looks failed, and why the first one did."""
        return self._watch.failures, self._watch.failure

    def start(self) -> bool:
        """Watch from now on; tell whether statements are seen."""
        self.synchronize()
        return self._watch.start()

    def go_on(self) -> None:
        """Watch again if a test has taken away what statements are watched with."""
        self._watch.go_on()

    def stop(self) -> None:
        """Watch no more; what was seen is kept."""
        self._watch.stop()

    def find(self, change: SingleChange) -> Trail | None:
        """Return the statement that made a change, if it was seen."""
        known, trail = self._by.get(change.place, (0, None))
        return trail if known == _identity(change) else None

    def find_removal(self, name: str) -> Trail | None:
        """Return the statement that took an entry out of ``sys.modules``, if it changed the entry last."""
        known, trail = self._by.get(("entry", name), (0, None))
        return trail if known == id(ABSENT) else None

    def find_exchange(self, change: SingleChange) -> Trail | None:
        """Return the statement that took out what was an entry before, since the last boundary.

        Who put something else into its place was not seen then: an import executes a second copy anywhere.
        """
        if change.what != "entry" or type(change.key) is not str or change.before is ABSENT:
            return None
        if file_of(change.after) is None:
            return None  # nothing that was executed, but a fake: somebody's own doing
        removed = self._removed.get(change.key)
        return removed[1] if removed is not None and removed[0](change.before) else None

    def begin_anew(self, *, is_same: bool = False) -> None:
        """Take what is there now as the state of a boundary; see :meth:`synchronize`."""
        self._removed.clear()
        self._watch.counts.begin_anew()
        self.synchronize(is_same=is_same)

    def synchronize(self, *, is_same: bool = False) -> None:
        """Take what is there now as nobody's statement.

        Args:
            is_same: the import state is known to be as it was at the last call.
        """
        if is_same and not self._is_ahead:
            return
        self._is_ahead = False
        if self._looks_same():
            return
        self._table = getattr(sys, "modules", None)
        self._entries = Entries.of(self._table, self._entries)
        self._lists = [(name, getattr(sys, name, None), items_of(name)) for name in LISTS]
        self._compared = Lists((found, items) for _, found, items in self._lists)
        self._import_found: object = builtins.__import__
        self._function: object = import_function()

    def _looks_same(self) -> bool:
        try:
            return (
                sys.modules is self._table
                and self._entries.are_of(self._table)
                and self._compared.are_same()
                and (builtins.__import__ is self._import_found or import_function() is self._function)
            )
        except Exception:  # a test may have left anything
            return False

    def _look(self, frame: FrameType, line: int, *, exact: bool) -> bool:
        if self._looks_same():
            return False
        entries = Entries.of(getattr(sys, "modules", None), self._entries)  # held until they are taken over
        changes = self._changes(entries)
        frame, line, is_certain = self._watch.certain(frame, line)
        trail = self._trail(frame, line, exact=exact and is_certain)
        if not is_certain and len(trail.steps) > 1:
            # That frame may have gone on to another line since.
            trail = trail._replace(steps=trail.steps[:-1])
        seen = trail.steps if line else self._seen(trail.steps)
        self.synchronize()
        self._is_ahead = True
        if changes and trail.steps:
            trail = trail._replace(steps=seen or trail.steps)
            for change in changes if seen else ():
                self._by[change.place] = (_identity(change), self._earlier(change) or trail)
                if change.what == "entry" and type(change.key) is str:
                    self._note_removal(change, trail)
                if change.what == "entry" and type(change.key) is str and "." in change.key:
                    # Attributes are not looked at by themselves; here one failed to follow its entry.
                    bound = bound_value(change.key)
                    if bound is not change.after:
                        self._by["attribute", change.key] = (id(bound), trail)
            self._on_change(changes, trail)
        return bool(changes)

    def _seen(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return the statements that called code which has only begun, up to the first that is watched.

        Code that is not watched may have made the change by an earlier statement.
        """
        while steps and not self._watch.files.get(steps[-1].file):
            steps = steps[:-1]
        return steps

    def _note_removal(self, change: SingleChange, trail: Trail) -> None:
        if change.after is ABSENT:
            self._removed.setdefault(change.key, (_recognizer(change.before), trail))
        elif (removed := self._removed.get(change.key)) is not None and removed[0](change.after):
            del self._removed[change.key]  # it is back

    def _earlier(self, change: SingleChange) -> Trail | None:
        """Return the statement that entered a module which comes back, as when a table is filled again."""
        if change.what != "entry":
            return None
        if change.after is ABSENT:
            known, trail = self._by.get(change.place, (0, None))
            if trail is not None and known == id(change.before):
                self._gone[change.key] = _recognizer(change.before), trail
            return None
        gone = self._gone.pop(change.key, None)
        return gone[1] if gone is not None and gone[0](change.after) else None

    def _changes(self, entries: Entries) -> list[SingleChange]:
        found: list[SingleChange] = []
        now = getattr(sys, "modules", None)
        if now is not self._table:
            found.append(SingleChange("rebound", "sys.modules", ABSENT, now))
        changes = self._entries.changes_to(entries)
        found += (
            SingleChange("entry", name, before, after) for name, (before, after) in changes.replaced.items()
        )
        found += (SingleChange("entry", name, ABSENT, module) for name, module in changes.added.items())
        found += (SingleChange("entry", name, module, ABSENT) for name, module in changes.removed.items())
        for name, list_object, items in self._lists:
            found += self._list_changes(name, list_object, items)
        if (function := import_function()) is not self._function:
            found.append(SingleChange("import_function", "", ABSENT, function))
        return found

    def _list_changes(self, name: str, list_object: object, items: tuple[object, ...]) -> list[SingleChange]:
        found: list[SingleChange] = []
        now = getattr(sys, name, None)
        if now is not list_object:
            found.append(SingleChange("rebound", f"sys.{name}", ABSENT, container(name)))
        after = items_in(now)
        change = compare_lists(items, after)
        found += (SingleChange(name, key_of(item), ABSENT, item) for item in change.added)
        found += (SingleChange(name, key_of(item), item, ABSENT) for item in change.removed)
        if change.moved:
            found.append(SingleChange(name, "order", ABSENT, tuple(map(key_of, after))))
        return found

    def _trail(self, frame: FrameType, line: int, *, exact: bool) -> Trail:
        steps: list[Step] = []
        current: FrameType | None = frame
        last: int | None = None
        while current is not None:
            # Most frames are pytest's, and to find the line of a frame, or what it belongs to, takes longest.
            name, code = current.f_globals.get("__name__"), current.f_code
            # A frame that has only begun did nothing yet.
            if (
                type(name) is str
                and self._shows(name, current)
                and not is_machinery(current)
                and (at := line if current is frame else current.f_lineno)
            ):
                is_inline = code.co_name.startswith("<") and code.co_name != "<module>"
                is_inline = is_inline or (not code.co_flags & CO_OPTIMIZED and code.co_name != "<module>")
                steps.append(Step(name, code.co_filename, at, code.co_name, is_inline))
                last = len(steps) - 1
            elif last is not None and not is_machinery(current):
                steps[last] = steps[last]._replace(is_entry=True, is_hook=_calls_hooks(name))
                last = None
            current = current.f_back
        return Trail(tuple(reversed(steps)), exact)

    def _shows(self, module: str, frame: FrameType) -> bool:
        file = frame.f_code.co_filename
        if not self._is_shown(module, file):
            return False
        # Hypothesis gives its wrappers the file and the first line of the function that they call.
        home = frame.f_globals.get("__file__")
        if type(home) is str:
            return home == file or self._is_shown(module, home)
        return frame.f_code.co_name == "<module>" or namespace(entry_of(module)) is frame.f_globals


def _calls_hooks(module: object) -> bool:
    return type(module) is str and module.partition(".")[0] == _CALLER_OF_HOOKS


def _recognizer(value: object) -> Callable[[object], bool]:
    """Return what knows a value again, and does not keep it alive."""
    if id(type(value)) in _VALUES:
        return lambda other: other is value
    try:
        reference = weakref.ref(value)
    except TypeError:
        # Another one of its type may lie there later; but then one that came under the same key.
        place, kind = id(value), id(type(value))
        return lambda other: id(other) == place and id(type(other)) == kind
    return lambda other: reference() is other


def _identity(change: SingleChange) -> int:
    if change.what in ("entry", "attribute", "rebound", "import_function"):
        return id(change.after)
    return change.before is ABSENT  # an item was added, or removed
