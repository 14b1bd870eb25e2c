"""IL104: two files that give one name to different modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from pytest_import_isolation.lint.events import IMPORT, PATH, WRITE, Event
from pytest_import_isolation.lint.findings import Located
from pytest_import_isolation.lint.located import located
from pytest_import_isolation.lint.restores import undone
from pytest_import_isolation.lint.test_files import CONFTEST
from pytest_import_isolation.lint.traces import Trace
from pytest_import_isolation.lint.values import Real

#: Where a file gets a name from: the trace, the event, and what it gets.
_Uses = dict[str, list[tuple[Trace, Event, str]]]


def clashes(bodies: Iterable[Trace]) -> Iterator[Located]:
    """Tell the imports and registrations of one name that give different modules in different files.

    Args:
        bodies: traces of the bodies of all files.
    """
    imported: _Uses = {}
    registered: _Uses = {}
    for trace in bodies:
        if trace.source.role != CONFTEST:
            _note_imports(trace, imported)
            _note_registrations(trace, registered)
    for name, uses in sorted(imported.items()):
        for trace, event, origin in uses:
            other = next((one for one, _, its in uses if its != origin), None)
            if other is not None:
                message = f"gets another {name} than {other.source.name} means; {_CURE}"
                yield located(trace, event, "IL104", name, message)
    for name, uses in sorted(registered.items()):
        for trace, event, _ in uses:
            other = next((one for one, _, _ in uses if one.source is not trace.source), None)
            if other is not None:
                message = (
                    f"{other.source.name} also registers a module as {name}, and replaces this one; {_CURE}"
                )
                yield located(trace, event, "IL104", name, message)


_CURE = "give the modules different names, or run pytest with --isolate-imports=file"


def _note_imports(trace: Trace, uses: _Uses) -> None:
    folders: list[str] = []
    seen: set[str] = set()
    for event in trace.events:
        if event.kind == PATH:
            folders += [name for name in event.names if "*" not in name]
        elif event.kind == IMPORT and folders and not event.text.startswith("from ."):
            for base in event.names:
                name = base.partition(".")[0]
                if not name or name in seen or name in sys.stdlib_module_names or "*" in name:
                    continue
                seen.add(name)
                origin = _origin(folders, name)
                if origin is not None:
                    uses.setdefault(name, []).append((trace, event, origin))


def _origin(folders: list[str], name: str) -> str | None:
    """Return the file that a name is imported from; the folders themselves if they do not exist here."""
    existing = [folder for folder in folders if os.path.isdir(folder)]
    for folder in reversed(existing):
        for file in (os.path.join(folder, f"{name}.py"), os.path.join(folder, name, "__init__.py")):
            if os.path.isfile(file):
                return os.path.realpath(file)
    return None if existing else f"{folders[-1]}/{name}"


def _note_registrations(trace: Trace, uses: _Uses) -> None:
    for index, event in enumerate(trace.events):
        if event.kind != WRITE or not isinstance(event.value, Real) or event.is_guarded():
            continue
        if undone(trace.events, index) is None:
            for name in event.names:
                if "*" not in name:
                    uses.setdefault(name, []).append((trace, event, event.value.file))
