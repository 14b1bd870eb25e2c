"""Rules about what the body of a test file does: IL101, IL102, IL103 and IL109."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_import_isolation.lint.events import ATTRIBUTE, REBIND, RELOAD, REMOVE, START, WRITE, Event
from pytest_import_isolation.lint.findings import Located
from pytest_import_isolation.lint.located import located
from pytest_import_isolation.lint.restores import is_same_object, undone
from pytest_import_isolation.lint.traces import Trace
from pytest_import_isolation.lint.values import Fake, Real, Saved, Thing, overlap


def fakes(trace: Trace) -> Iterator[Located]:
    """IL101: fakes that stay in ``sys.modules``."""
    for index, event in enumerate(trace.events):
        if event.kind not in (WRITE, START) or event.is_guarded() or _is_genuine(event):
            continue
        for name in event.names or ("*",):
            single = event._replace(names=(name,))
            if undone([*trace.events[:index], single, *trace.events[index + 1 :]], index) is None:
                yield located(trace, single, "IL101", name, _fake_message(event, name))


def _is_genuine(event: Event) -> bool:
    """Tell whether the entry is a module that the import system made, or made again, or had before."""
    value = event.value
    if isinstance(value, (Real, Saved)):
        return True
    return isinstance(value, Thing) and value.is_known and value.path.lstrip(".") in event.names


def _fake_message(event: Event, name: str) -> str:
    if event.value == Fake("None"):
        cure, what = f'missing="{name}"', "a block"
    else:
        cure, what = f'fakes={{"{name}": {{...}}}}', "a fake"
    return (
        f"leaves {what} for {_told(name)} in place for every file that is collected later; "
        f"import what needs it in 'with IsolatedImportContext({cure}):'"
    )


def _told(name: str) -> str:
    return "modules" if name == "*" else name


def removals(trace: Trace) -> Iterator[Located]:
    """IL102: entries that are removed, and modules that are executed again."""
    for index, event in enumerate(trace.events):
        if event.kind not in (REMOVE, RELOAD) or event.is_guarded():
            continue
        own = [
            other
            for other in trace.events[:index]
            if other.kind == WRITE and not isinstance(other.value, Saved)
        ]
        for name in event.names:
            single = event._replace(names=(name,))
            if event.kind == REMOVE and name != "*" and any(overlap(other.names, (name,)) for other in own):
                continue  # what it had put there itself
            if undone([*trace.events[:index], single, *trace.events[index + 1 :]], index) is None:
                yield located(trace, single, "IL102", name, _removal_message(event, name))


def _removal_message(event: Event, name: str) -> str:
    cure = f"""use 'with IsolatedImportContext(fresh="{_told(name)}"):'"""
    if event.kind == RELOAD:
        return f"executes {_told(name)} again, and others hold objects of the first execution; {cure}"
    if name == "*":
        return (
            "removes modules from sys.modules: the next imports execute second copies; "
            "use 'with IsolatedImportContext(fresh=...):'"
        )
    return f"removes {name} from sys.modules: the next import executes a second copy; {cure}"


def rebound(trace: Trace) -> Iterator[Located]:
    """IL103: ``sys.path`` and the like become other objects, in a body or in a function."""
    last: dict[str, Event] = {}
    for event in trace.events:
        if event.kind == REBIND and not event.is_guarded():
            last[event.names[0]] = event
    for name, event in last.items():
        if event.own and not is_same_object(event):
            changes = f"sys.{name}[:] = ..." if name != "modules" else "monkeypatch.setitem(sys.modules, ...)"
            message = (
                f"makes sys.{name} another object, and other code goes on with the old one; use {changes}"
            )
            yield located(trace, event, "IL103", f"sys.{name}", message)


def attributes(trace: Trace) -> Iterator[Located]:
    """IL109: attributes of imported modules that get another value."""
    for index, event in enumerate(trace.events):
        if event.kind != ATTRIBUTE or not event.is_literal or event.cleanup:
            continue
        name = event.names[0]
        if any(other.kind == ATTRIBUTE and other.names == event.names for other in trace.events[index + 1 :]):
            continue  # changed again, or put back
        if event.value == Thing(name):
            continue  # what it was before
        message = f"changes {name} for every file; use monkeypatch.setattr in a fixture"
        yield located(trace, event, "IL109", name, message)
