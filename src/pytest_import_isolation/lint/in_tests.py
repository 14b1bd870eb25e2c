"""Rules about what tests, fixtures and helpers do: IL105 to IL108."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from pytest_import_isolation.lint.events import (
    ATTRIBUTE,
    HIDE,
    IMPORT,
    PATCH,
    RELOAD,
    REMOVE,
    START,
    WINDOW,
    WRITE,
    Event,
    candidates_of,
)
from pytest_import_isolation.lint.findings import INFO, Located
from pytest_import_isolation.lint.located import located
from pytest_import_isolation.lint.restores import puts_back, undone
from pytest_import_isolation.lint.traces import Trace
from pytest_import_isolation.lint.values import Real, Saved, Thing, overlap


def not_undone(trace: Trace) -> Iterator[Located]:
    """IL105: changes without a restore, and those with one that is not reached if a test fails."""
    for index, event in enumerate(trace.events):
        if event.kind not in (WRITE, REMOVE, RELOAD, START) or not event.own or event.cleanup:
            continue
        if event.is_guarded() or _is_harmless(trace, index):
            continue
        for name in event.names or ("*",):
            single = event._replace(names=(name,))
            restore = undone([*trace.events[:index], single, *trace.events[index + 1 :]], index)
            if restore is None:
                yield located(trace, single, "IL105", name, _message(event, name))
            elif not restore.cleanup:
                cure = _cure(event, name)
                message = f"is undone in line {restore.place.line}, unless something fails before; {cure}"
                yield located(trace, single, "IL105", name, message, INFO)


def _is_harmless(trace: Trace, index: int) -> bool:
    event, before = trace.events[index], trace.events[:index]
    if event.kind == WRITE:
        value = event.value
        return isinstance(value, (Real, Saved)) or (
            isinstance(value, Thing) and value.is_known and value.path.lstrip(".") in event.names
        )
    if event.kind == RELOAD:
        # It executes a copy that leaves again.
        removed = [
            at
            for at, other in enumerate(before)
            if other.kind == REMOVE and overlap(other.names, event.names)
        ]
        return any(before[at].is_guarded() or undone(trace.events, at) is not None for at in removed)
    if event.kind != REMOVE or overlap(event.names, trace.source.imported):
        return False
    # It takes away what it had brought, and nobody imports that again.
    brought = [other for other in before if other.kind == WRITE and not puts_back(other)]
    imports = [other for other in before if other.kind == IMPORT]
    after = [other for other in trace.events[index + 1 :] if other.kind == IMPORT]
    if _writes_its_file(trace, event):
        return True
    return any(
        other.names == event.names or (overlap(other.names, event.names) and "*" not in event.names)
        for other in brought
    ) or (
        any(_loads(other, event.names) for other in imports)
        and not any(_loads(other, event.names) for other in after)
    )


def _writes_its_file(trace: Trace, event: Event) -> bool:
    """Tell whether a test removes a module whose file it writes, so that nobody else can have it."""
    source = trace.source
    return all(
        "*" not in name and f"{name.rpartition('.')[2]}.py" in source.text and not source.has_file(name)
        for name in event.names
    )


def _message(event: Event, name: str) -> str:
    told = "modules" if name == "*" else name
    if event.kind == RELOAD:
        return f"executes {told} again, and others hold objects of the first execution; {_cure(event, name)}"
    if event.kind == REMOVE:
        return f"removes {told} from sys.modules, and nothing puts it back; {_cure(event, name)}"
    if event.kind == START:
        return f"nothing stops it; use it as a context manager or decorator; {_cure(event, name)}"
    return f"stays in sys.modules after the test; {_cure(event, name)}"


def _cure(event: Event, name: str) -> str:
    return "use the fake_module fixture" if event.kind in (WRITE, START) else "use the fresh_import fixture"


def _loads(imported: Event, names: Sequence[str]) -> bool:
    """Tell whether an import may execute a module of these names."""
    return any(overlap(candidates_of(imported, base), names) for base in imported.names)


def stale_attributes(trace: Trace) -> Iterator[Located]:
    """IL106: the entry of a submodule is put back after another execution, the package's attribute is not."""
    for index, event in enumerate(trace.events):
        if event.kind not in (REMOVE, HIDE) or not event.own or event.cleanup or _has_window(event):
            continue
        for name in event.names:
            package, _, last = name.rpartition(".")
            if not package or last == "" or overlap((package,), event.names) or "*" in package:
                continue
            if _other_removes(trace, index, package) or not _comes_back(trace, index, name):
                continue
            later = [other for other in trace.events[index + 1 :] if other.kind == IMPORT]
            if not any(_loads(other, (name,)) for other in later) or _puts_attribute_back(trace, name):
                continue
            message = (
                f"puts the entry of {name} back, but not the attribute of {package}: 'import {name}' and "
                f"'from {package} import {last}' give two modules; use the fresh_import fixture"
            )
            yield located(trace, event, "IL106", name, message)


def _has_window(event: Event) -> bool:
    return any(guard.kind == WINDOW for guard in event.guards)


def _other_removes(trace: Trace, index: int, package: str) -> bool:
    """Tell whether the package is taken away too: then the old one keeps its old attribute."""
    return any(
        other.kind in (REMOVE, HIDE) and not other.cleanup and overlap(other.names, (package,))
        for at, other in enumerate(trace.events)
        if at != index
    )


def _comes_back(trace: Trace, index: int, name: str) -> bool:
    event = trace.events[index]
    if event.kind == HIDE or event.is_guarded():
        return True
    single = event._replace(names=(name,))
    return undone([*trace.events[:index], single, *trace.events[index + 1 :]], index) is not None


def _puts_attribute_back(trace: Trace, name: str) -> bool:
    return any(other.kind == ATTRIBUTE and overlap(other.names, (name,)) for other in trace.events)


def evicted(trace: Trace) -> Iterator[Located]:
    """IL107: imports inside of ``patch.dict(sys.modules)``."""
    loaded = {
        name
        for at, other in enumerate(trace.events)
        if other.kind == IMPORT and not any(guard.kind == PATCH for guard in other.guards)
        for base in other.names
        for name in candidates_of(other, base)
    } | trace.source.imported
    told: set[str] = set()
    for index, event in enumerate(trace.events):
        patches = [guard for guard in event.guards if guard.kind == PATCH]
        if event.kind != IMPORT or not patches or not event.own or event.cleanup or _has_window(event):
            continue
        faked = [name for guard in patches for name in guard.names]
        removed = [name for other in trace.events[:index] if other.kind == REMOVE for name in other.names]
        for base in event.names:
            name = _evicted_name(trace, event, base, faked, loaded, removed)
            if name is not None and name not in told:
                told.add(name)
                message = (
                    f"patch.dict(sys.modules) around it throws {name} out at its end, and the next import "
                    "executes a second copy; use fakes= of the marker, or the fake_module fixture"
                )
                yield located(trace, event, "IL107", name, message)


def _evicted_name(
    trace: Trace, event: Event, base: str, faked: list[str], loaded: set[str], removed: list[str]
) -> str | None:
    """Return the first module that an import loads and the block throws out, if there is one."""
    if base == "*":
        return None
    candidates = candidates_of(event, base)
    sure = [name for name in candidates if name.count(".") <= base.count(".")]
    maybe = [name for name in candidates if name not in sure and trace.source.has_file(name)]
    for name in (*reversed(sure), *maybe):
        if name.partition(".")[0] in sys.stdlib_module_names or name.partition(".")[0] in _RUNNING:
            continue
        if any(name == fake or name.startswith(f"{fake}.") for fake in faked):
            continue
        if name not in loaded or overlap((name,), [one for one in removed if one != "*"]):
            return name
    return None


#: Loaded in every run.
_RUNNING = frozenset(("pytest", "_pytest", "pluggy", "pytest_import_isolation"))


def lenient_removals(trace: Trace) -> Iterator[Located]:
    """IL108: ``monkeypatch.delitem(..., raising=False)`` that may have nothing to put back."""
    for index, event in enumerate(trace.events):
        if event.kind != HIDE or type(event.value).__name__ != "Text" or not event.own or _has_window(event):
            continue
        later = [other for other in trace.events[index + 1 :] if other.kind == IMPORT]
        for name in event.names:
            if any(guard.kind == PATCH for guard in event.guards):
                continue
            if any(_loads(other, (name,)) for other in later):
                told = "a module" if name == "*" else name
                message = (
                    f"if {told} is not loaded there is nothing to put back, and what the import "
                    "loads stays; use the fresh_import fixture"
                )
                yield located(trace, event, "IL108", name, message)
