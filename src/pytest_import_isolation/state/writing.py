"""Every write to the import system: no other module of this package changes ``sys``.

Beside these functions there is :func:`.bind`, for the attribute of a package.
"""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, Final

from pytest_import_isolation.machinery.finders import drop_finder_caches, is_own_finder
from pytest_import_isolation.machinery.lazy_settings import LazySettings
from pytest_import_isolation.machinery.locks import names_being_imported, quiet_import_lock
from pytest_import_isolation.machinery.modules import ABSENT, is_initializing, parent_of
from pytest_import_isolation.state.differences import Overlay, same_items
from pytest_import_isolation.state.list_changes import Place, edited, key_of, keys_of
from pytest_import_isolation.state.odd_keys import OddKey, entries_in, entry_in
from pytest_import_isolation.state.submodule_attributes import bind, depth, parent_namespace

_set_mode: Final[Any] = sys.__dict__.get("set_lazy_imports")
_set_filter: Final[Any] = sys.__dict__.get("set_lazy_imports_filter")

#: Called with the entries that are about to leave.
Leave = Callable[[Mapping[Any, object]], None]


def rebind(name: str, value: object) -> None:
    """Put an object into the place of a container or function, or delete what stands there.

    Args:
        name: such as ``"sys.path"`` or ``"builtins.__import__"``.
        value: the object; ABSENT for nothing.
    """
    home, _, attribute = name.partition(".")
    module = builtins if home == "builtins" else sys
    if value is ABSENT:
        delattr(module, attribute)
    else:
        setattr(module, attribute, value)


def set_lazy_imports(settings: LazySettings | None) -> None:
    """Let a mode and a filter decide which imports are lazy; nothing happens before Python 3.15."""
    if settings is not None:
        _set_mode(settings.mode)
        _set_filter(settings.filter)


def refill(found: Any, items: tuple[object, ...]) -> bool:
    """Let a list hold these items, and tell whether it held others; leave alone what is no list."""
    if not issubclass(type(found), list):
        return False  # it was no list when it was captured; the object itself is back, more is not ours
    if same_items(found, items):
        return False
    list.__setitem__(found, slice(None), items)
    return True


def refill_table(table: object, entries: Mapping[Any, object]) -> None:
    """Let a table hold these entries and no others; leave alone what is no dictionary."""
    if not issubclass(type(table), dict):
        return
    now = entries_in(table)
    for key in now:
        if key not in entries:
            remove_entry(table, key)
    for key, value in entries.items():
        if now.get(key, ABSENT) is not value:
            put_entry(table, key, value)


def put_entry(table: Any, key: Any, value: object) -> None:
    """Write an entry. An :class:`.OddKey` stands for its key."""
    if type(key) is OddKey:
        dict.update(table, key.entry(value))
    else:
        dict.__setitem__(table, key, value)


def remove_entry(table: Any, key: Any) -> None:
    """Remove an entry, if it is there. An :class:`.OddKey` stands for its key."""
    if type(key) is not OddKey:
        dict.pop(table, key, None)
        return
    # To remove it the key would be asked for its hash; the last entry of a table is removed without that.
    entries = [*entries_in(table).items()]
    position = next((n for n, (other, _) in enumerate(entries) if other == key), len(entries))
    for _ in entries[position:]:
        dict.popitem(table)
    for other, value in entries[position + 1 :]:
        put_entry(table, other, value)


def take_out(names: Iterable[str], leave: Leave = lambda leaving: None) -> dict[str, object]:
    """Remove entries from ``sys.modules``, and the attributes for them of packages that stay.

    Args:
        names: the keys; those that some thread is importing stay.
        leave: called with the entries before they leave, under the import lock.

    Returns:
        The entries that left.
    """
    wanted = list(names)
    with quiet_import_lock(lambda: wanted) as busy:
        return take_out_idle(wanted, busy, leave)


def take_out_idle(names: Iterable[str], busy: Container[str], leave: Leave) -> dict[str, object]:
    """Do what :func:`take_out` does, where :func:`.quiet_import_lock` is held already.

    Args:
        names: the keys.
        busy: those that some thread is importing, which stay.
        leave: called with the entries before they leave.

    Returns:
        The entries that left.
    """
    taken: dict[str, object] = {}
    for name in sorted(names, key=depth, reverse=True):
        entry = entry_in(sys.modules, name)
        if name not in busy and entry is not ABSENT and not is_initializing(entry):
            taken[name] = entry
    leave(taken)
    for name in taken:
        remove_entry(sys.modules, name)
    for name, module in taken.items():
        # A package that leaves too keeps the attribute: its code may still run, and uses it.
        space = parent_namespace(name) if type(name) is str else None
        if space is not None and space.get(parent_of(name)[1], ABSENT) is module:
            del space[parent_of(name)[1]]
    return taken


def drop_entries(modules: Mapping[str, object]) -> list[str]:
    """Remove entries from ``sys.modules`` where they hold these very modules, and nothing else.

    Returns:
        Their names.
    """
    dropped = [name for name, module in modules.items() if entry_in(sys.modules, name) is module]
    for name in dropped:
        remove_entry(sys.modules, name)
    return dropped


def put_in(name: str, module: object, binding: object = ABSENT) -> None:
    """Enter a module under its name, and its package's attribute where ``binding`` is not ABSENT."""
    put_entry(sys.modules, name, module)
    if binding is not ABSENT:
        bind(parent_namespace(name), parent_of(name)[1], binding)


def lay(overlay: Overlay, keep_first: Callable[[object], bool] = lambda finder: False) -> None:
    """Lay changes over the import state.

    Args:
        overlay: the changes; a module that another thread is importing at this moment is left out, and is
            not removed.
        keep_first: finders for which this is true stay before all others (parking's own).
    """
    with quiet_import_lock(lambda: overlay.removed) as busy:
        importing = names_being_imported()
        for name in sorted(overlay.entries, key=depth):
            if name not in importing:
                put_entry(sys.modules, name, overlay.entries[name])
        for name in overlay.removed:
            if name not in busy:
                remove_entry(sys.modules, name)
        for name, value in overlay.bindings.items():
            bind(parent_namespace(name), parent_of(name)[1], value)
    for list_name, (before, after) in overlay.lists.items():
        found = getattr(sys, list_name, None)
        if type(found) is list:
            first = [item for item in found if keep_first(item)]
            found[:] = [*first, *edited([item for item in found if not keep_first(item)], before, after)]
    if overlay.import_function is not None:
        rebind("builtins.__import__", overlay.import_function)
    set_lazy_imports(overlay.lazy_imports)
    if overlay.lists or overlay.entries:
        drop_finder_caches()


def insert_item(list_name: str, item: object, place: Place) -> None:
    """Insert into one of the lists of ``sys`` what is not in it yet; behind the finder of this package.

    Args:
        list_name: ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
        item: what to insert.
        place: where it stood.
    """
    target = getattr(sys, list_name, None)
    if type(target) is not list or key_of(item) in keys_of(target):
        return
    own = next((at for at, other in enumerate(target, 1) if is_own_finder(other)), 0)
    target.insert(max(own, place.position_in(target)), item)
    if list_name == "path_hooks":
        sys.path_importer_cache.clear()  # it acts on paths that nobody has looked at yet


def prepend_path(entries: Sequence[str]) -> None:
    """Put entries before ``sys.path``, also those that it holds already further back.

    A directory that did not exist when it was first looked at is cached as unusable; it is looked at again.
    """
    sys.path[:0] = entries
    for entry in entries:
        if sys.path_importer_cache.get(entry, ABSENT) is None:
            del sys.path_importer_cache[entry]
    drop_finder_caches()


def put_finder(entry: str, finder: Any) -> None:
    """Let a finder answer for a path entry, whatever the path hooks would make of that."""
    sys.path_importer_cache[entry] = finder


def put_first(list_name: str, items: Sequence[object]) -> None:
    """Put finders or path hooks before all others, in order, wherever they were.

    The finders that the path hooks made before are asked no more: every entry of ``sys.path`` gets a new one.
    """
    target = getattr(sys, list_name, None)
    if type(target) is list:
        target[:] = [*items, *(other for other in target if not any(other is item for item in items))]
    sys.path_importer_cache.clear()
    drop_finder_caches()


def move_to_front(finder: object, behind: Sequence[object] = ()) -> bool:
    """Put a finder at position 0 of ``sys.meta_path``, wherever it was.

    Args:
        finder: the finder.
        behind: finders that may stand before it.

    Returns:
        Whether others had been put before it: it was there at a later position, and not as the last one, to
        which it comes if somebody moves the first to the end.
    """
    finders = getattr(sys, "meta_path", None)
    if type(finders) is not list or (finders and finders[0] is finder and not behind):
        return False
    position = 0
    while behind and position < len(finders) and any(finders[position] is other for other in behind):
        position += 1
    rest = finders[position:]
    if rest and rest[0] is finder:
        return False
    is_last = bool(rest) and rest[-1] is finder
    finders[position:] = [finder, *_others(finder, rest)]
    return len(finders) == position + len(rest) and not is_last


def remove_finder(finder: object) -> None:
    """Take a finder off ``sys.meta_path``; nothing happens if it is not there."""
    finders = getattr(sys, "meta_path", None)
    if type(finders) is list:
        rest = [*_others(finder, finders)]
        if len(rest) != len(finders):
            finders[:] = rest


def _others(item: object, items: list[object]) -> Iterator[object]:
    # By identity, at the speed of C: each window puts the finder there and takes it off.
    return compress(items, map(operator.is_not, items, repeat(item)))
