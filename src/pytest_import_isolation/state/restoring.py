"""Putting a captured import state back, in place."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from typing import Any

from pytest_import_isolation.machinery.finders import drop_finder_caches
from pytest_import_isolation.machinery.lazy_settings import lazy_settings
from pytest_import_isolation.machinery.locks import names_being_imported, quiet_import_lock
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    is_initializing,
    namespace,
    parent_of,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.state.submodule_attributes import bind, depth
from pytest_import_isolation.state.writing import (
    Leave,
    put_entry,
    rebind,
    refill,
    refill_table,
    remove_entry,
    set_lazy_imports,
)


class Restored(NamedTuple):
    """What :func:`restore` did."""

    #: Names that could not leave, with the reason.
    stuck: dict[Any, str]
    #: Objects that left ``sys.modules``.
    released: list[object]


def restore(state: ImportState, leave: Leave = lambda leaving: None) -> Restored:
    """Put everything back, in place.

    Args:
        state: what to put back.
        leave: called with the entries before they leave ``sys.modules``, under the import lock.

    Returns:
        What stayed, because another thread was in the middle of importing it, and the objects that
        left. The caller drops those when it has nothing more to do: their destructors may import.
    """
    changed = _restore_containers(state)
    entries = _restore_entries(state, leave)
    for found, items in state.lists.values():
        changed |= refill(found, items)
    changed |= _restore_bindings(state, entries.stuck)
    if state.importer_cache_changed():
        _leave_out_outdated(state)
        refill_table(state.importer_cache, state.finders.contents)
        changed = True
    if state.import_function_changed():
        rebind("builtins.__import__", state.import_as_found)
    if state.lazy_imports is not lazy_settings():
        set_lazy_imports(state.lazy_imports)
    if changed or entries.released:
        drop_finder_caches()
    state.remember()
    return entries


def _leave_out_outdated(state: ImportState) -> None:
    """Leave out finders that were thrown out since, and do not know which files are source any more.

    A library that adds a suffix when it is executed has all finders made anew, and does not do so again when
    it returns. The import system makes what is missing.
    """
    now = entries_in(state.importer_cache)
    before = state.finders.contents
    outdated = {
        entry
        for entry, finder in before.items()
        if now.get(entry, ABSENT) is not finder and _is_outdated(finder)
    }
    if outdated:
        state.finders = Entries({e: finder for e, finder in before.items() if e not in outdated})


def _is_outdated(finder: object) -> bool:
    if type(finder) is not FileFinder:
        return False
    loaders: object = (namespace(finder) or {}).get("_loaders")  # of importlib's own
    known = (
        [suffix for suffix, loader in loaders if loader is SourceFileLoader] if type(loaders) is list else []
    )
    return bool(known) and known != SOURCE_SUFFIXES


def _restore_containers(state: ImportState) -> bool:
    rebound = dict(state.rebound())
    if "sys.modules" in rebound:
        now = Entries.of(state.table).contents
        for name, module in state.current_entries().contents.items():
            if now.get(name, ABSENT) is not module:
                put_entry(state.table, name, module)
    for name, found in rebound.items():
        # ABSENT if somebody had deleted it, and a window inside that one must not make a None of it.
        rebind(name, found)
    return bool(rebound)


def _restore_entries(state: ImportState, leave: Leave) -> Restored:
    stuck: dict[Any, str] = {}
    with quiet_import_lock(lambda: [*_leaving(state), *_returning(state)]) as busy:
        leaving = _leaving(state)
        for name, module in leaving.items():
            if name in busy:
                stuck[name] = f"thread {busy[name]!r} is still importing it"
            elif is_initializing(module) and name not in state.modules:
                stuck[name] = "its import is still under way"
        for name in stuck:
            del leaving[name]
        leave(leaving)
        for name in leaving:
            remove_entry(state.table, name)
        importing = names_being_imported()
        for name in _returning(state):
            # importlib executes a module again that appears while it looks for it; a module that is
            # being looked for comes from where it waits.
            if name not in stuck and name not in importing:
                put_entry(state.table, name, state.modules[name])
    return Restored(stuck, [*leaving.values()])


def _leaving(state: ImportState) -> dict[Any, object]:
    """Return the entries that must go or change, children before parents."""
    entries = state.index.entries
    if entries.are_of(state.table):
        return {}
    changes = entries.changes_to(Entries.of(state.table))
    leaving = changes.added | {name: now for name, (_, now) in changes.replaced.items()}
    return {name: leaving[name] for name in sorted(leaving, key=depth, reverse=True)}


def _returning(state: ImportState) -> list[Any]:
    """Return the keys whose entries are not those of the snapshot; as a rule, there are none."""
    entries = state.index.entries
    if entries.are_of(state.table):
        return []
    changes = entries.changes_to(Entries.of(state.table))
    return [name for name in state.modules if name in changes.removed or name in changes.replaced]


def _restore_bindings(state: ImportState, stuck: Mapping[Any, str]) -> bool:
    changed = False
    for name, binding in list(state.changed_bindings()):
        if name not in stuck:
            parent, child = parent_of(name)
            bind(namespace(state.modules.get(parent)), child, binding.before)
            changed = True
    return changed
