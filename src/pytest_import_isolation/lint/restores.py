"""Whether something that code does to the import state is undone, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_import_isolation.lint.events import ATTRIBUTE, REBIND, RELOAD, REMOVE, START, STOP, WRITE, Event
from pytest_import_isolation.lint.values import Copy, Fake, Saved, Thing, Value, is_unknown, overlap

#: Whatever happens in between.
SURELY: Final = "surely"
#: Only if nothing fails before.
LATER: Final = "later"


def undone(events: Sequence[Event], index: int) -> Event | None:
    """Return what undoes an event: by preference something that is executed whatever happens.

    Args:
        events: a trace.
        index: the event in it.
    """
    event = events[index]
    for other in events:
        if other is not event and other.cleanup and undoes(other, event):
            return other
    return next((other for other in events[index + 1 :] if not other.cleanup and undoes(other, event)), None)


def undoes(other: Event, event: Event) -> bool:
    """Tell whether one event takes back what another one did."""
    if other.kind == REBIND and other.names == ("modules",) and event.kind in (WRITE, REMOVE):
        return isinstance(other.value, (Saved, Copy)) or is_same_object(other)
    if event.kind == RELOAD and other.kind == ATTRIBUTE:  # what somebody still holds is put back by its name
        return other.cleanup and overlap(other.names, (f"{name}.*" for name in event.names))
    if not overlap(other.names, event.names) and "*" not in event.names:
        return False
    if event.kind == WRITE:
        return other.kind == REMOVE or (other.kind == WRITE and puts_back(other))
    if event.kind == REMOVE:
        return other.kind == WRITE and puts_back(other)
    if event.kind == RELOAD:
        return other.kind == RELOAD and other.cleanup
    if event.kind == START:
        return other.kind == STOP and (other.value == event.value or "*" in other.names)
    return event.kind == REBIND and other.kind == REBIND and is_same_object(other)


def puts_back(event: Event) -> bool:
    """Tell whether an entry that is written was there before, as far as anybody can tell."""
    return isinstance(event.value, Saved) or (event.cleanup and not is_fake(event.value))


def is_same_object(event: Event) -> bool:
    """Tell whether what of ``sys`` is rebound gets the object back that it was."""
    name = event.names[0]
    if isinstance(event.value, Copy):
        return False
    return event.value == Thing(f"sys.{name}") or (event.cleanup and is_unknown(event.value))


def is_fake(value: Value) -> bool:
    """Tell whether somebody made a value by hand, in the file that is read."""
    return isinstance(value, Fake) or type(value).__name__ in (
        "Text",
        "Items",
        "Table",
        "Kind",
        "Routine",
        "Instance",
    )
