"""Events: what code does to the import state, in the order in which it is executed."""

from __future__ import annotations

from typing import Final

from pytest_import_isolation.lint.values import UNKNOWN, Thing, Value, overlap
from pytest_import_isolation.machinery.named_tuples import NamedTuple

#: An entry of ``sys.modules`` is written.
WRITE: Final = "write"
#: An entry, or all of them, leaves ``sys.modules``.
REMOVE: Final = "remove"
#: ``importlib.reload``.
RELOAD: Final = "reload"
#: ``sys.modules``, ``sys.path`` or another list of ``sys`` becomes another object.
REBIND: Final = "rebind"
#: A directory is put on ``sys.path``.
PATH: Final = "path"
#: A module is imported.
IMPORT: Final = "import"
#: An attribute of a module is written.
ATTRIBUTE: Final = "attribute"
#: ``monkeypatch.delitem(sys.modules, ...)``.
HIDE: Final = "hide"
#: A patcher is started that somebody has to stop.
START: Final = "start"
#: A patcher is stopped.
STOP: Final = "stop"

#: ``patch.dict``: puts back all entries, and throws out what was imported meanwhile.
PATCH: Final = "patch"
#: Puts back all entries.
ENTRIES: Final = "entries"
#: Puts back single entries.
ITEM: Final = "item"
#: Puts back the object that a name of ``sys`` stood for.
OBJECT: Final = "object"
#: Undoes everything: one of our own, or a process of its own.
WINDOW: Final = "window"


class Place(NamedTuple):
    """Where a statement is."""

    file: str
    line: int
    column: int
    end_line: int


class Guard(NamedTuple):
    """Something that puts back, at its end, what happens until then."""

    kind: str
    #: The names that it puts back (:data:`ITEM`, :data:`OBJECT`), or that it writes itself (:data:`PATCH`).
    names: tuple[str, ...] = ()


class Event(NamedTuple):
    """One thing that a statement does."""

    kind: str
    #: Modules, or what of ``sys`` is meant; ``*`` is any text.
    names: tuple[str, ...]
    place: Place
    value: Value = UNKNOWN
    #: What encloses it.
    guards: tuple[Guard, ...] = ()
    #: Whether it is executed at the end, whatever happens in between.
    cleanup: bool = False
    #: Whether the code that is looked at does it, not a fixture or setup around it.
    own: bool = True
    #: The calls through which it is reached, the outermost first.
    calls: tuple[Place, ...] = ()
    #: Whether the text of the statement itself names the module.
    is_literal: bool = True
    #: How the source writes it.
    text: str = ""

    def is_guarded(self) -> bool:
        """Tell whether something around it puts back what it does."""
        return any(self._is_undone_by(guard) for guard in self.guards)

    def _is_undone_by(self, guard: Guard) -> bool:
        if guard.kind == WINDOW:
            return True
        if self.kind == REBIND:
            return guard.kind == OBJECT and overlap(guard.names, self.names)
        if self.kind not in (WRITE, REMOVE):
            return False
        if guard.kind in (PATCH, ENTRIES):
            return True
        return (guard.kind == ITEM and overlap(guard.names, self.names)) or (
            guard.kind == OBJECT and "modules" in guard.names
        )


def candidates_of(imported: Event, base: str) -> list[str]:
    """Return the modules that an import of one name loads: packages above, and what may be submodules."""
    parts = base.split(".")
    found = [".".join(parts[: end + 1]) for end in range(len(parts))]
    taken = imported.value.path.split(",") if isinstance(imported.value, Thing) else []
    if taken and imported.value != Thing("importlib.import_module"):
        joint = "" if base.endswith(".") else "."
        found += [f"{base}{joint}{name}" for name in taken]
    return found
