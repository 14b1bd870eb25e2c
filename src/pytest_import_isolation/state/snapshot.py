"""The import state as a value: capture it, compare it with now, put it back in place.

This module is the only one that writes to ``sys.modules``, ``sys.path``, ``sys.meta_path``,
``sys.path_hooks``, ``sys.path_importer_cache`` and to the attributes that bind submodules to packages.
"""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import compress, repeat
from typing import Any, NamedTuple, TypeVar

from pytest_import_isolation.machinery.finders import drop_finder_caches, import_function
from pytest_import_isolation.machinery.locks import import_lock, names_being_imported, quiet_import_lock
from pytest_import_isolation.machinery.modules import ABSENT, is_initializing, namespace, parent_of
from pytest_import_isolation.state.differences import (
    LISTS,
    NO_DIFFERENCE,
    Binding,
    Difference,
    EntryChanges,
    ListChange,
    Lists,
    Overlay,
    beyond,
    compare_entries,
    compare_lists,
    edited,
    items_in,
    key_of,
    same_entries,
    same_items,
    stands_in_front,
)
from pytest_import_isolation.state.submodule_attributes import (
    BindingIndex,
    are_hashed_by_identity,
    bind,
    depth,
    fingerprint,
    parent_namespace,
)

T = TypeVar("T")

#: Called with the key and the value of an entry that is about to leave.
Leave = Callable[[Any, object], None]


class ImportState:
    """A snapshot of the whole import state.

    It holds the containers themselves beside copies of their contents, so that :meth:`restore` can
    change contents and keep identities: other code, C code included, holds on to the containers.
    """

    __slots__ = (
        "_bound",
        "_bound_fingerprint",
        "_cache",
        "_cache_object",
        "_compared",
        "_import_as_found",
        "_import_function",
        "_index",
        "_lists",
        "modules",
        "table",
    )

    def __init__(self, after: ImportState | None = None) -> None:
        """Capture the state as it is now. See :meth:`capture`."""
        #: ``sys.modules`` itself.
        self.table: dict[Any, object] = sys.modules  # type: ignore[assignment]
        self._index = BindingIndex.of(self.table)
        #: Its contents.
        self.modules: dict[Any, object] = self._index.modules
        self._lists = {name: (found := getattr(sys, name, ABSENT), items_in(found)) for name in LISTS}
        # Found when they are compared.
        self._compared: Lists | None = None
        self._cache_object: dict[str, object] = sys.path_importer_cache  # type: ignore[assignment]
        self._cache = self._cache_object.copy()
        # With a wrapper of this package around it, which is nobody's change.
        self._import_as_found = builtins.__import__
        self._import_function = import_function()
        self._bound: list[object]
        # Found when it is clear that it will be compared more than once.
        self._bound_fingerprint: int | None = None
        if after is not None and after._index is self._index:
            self._bound, self._bound_fingerprint = after._bound, after._bound_fingerprint
        else:
            self._bound = self._index.read()

    @classmethod
    def capture(cls, after: ImportState | None = None) -> ImportState:
        """Return the import state as it is now.

        Args:
            after: the state of a moment ago, since when no package was given another attribute for a
                submodule unless ``sys.modules`` changed too: reading all of them is half of the work.
        """
        return cls(after)

    def contents(self, name: str) -> tuple[object, ...]:
        """Return what one of the lists of ``sys`` held (``"path"``, ``"meta_path"`` or ``"path_hooks"``)."""
        return self._lists[name][1]

    def derive(self, key: object, compute: Callable[[dict[Any, object]], T]) -> T:
        """Return what a function computes from :attr:`modules`, computed once for all equal tables."""
        derived = self._index.derived
        if key not in derived:
            derived[key] = compute(self.modules)
        return derived[key]  # type: ignore[no-any-return]

    def shows_same_number(self) -> bool:
        """Take a glance, at a fiftieth of the cost of :meth:`looks_same`: is there as much as there was?

        What took the place of something else is not seen.
        """
        try:
            return len(sys.modules) == len(self.modules) and self._looks().show_same_numbers()
        except Exception:  # a test may have left anything
            return False

    def _looks(self) -> Lists:
        if self._compared is None:
            self._compared = Lists(self._lists.values())
        return self._compared

    def shows_same_entries(self) -> bool:
        """Take a look at the modules and lists alone, at a quarter of the cost of :meth:`looks_same`.

        Where dictionaries have no versions, it looks at no keys, and believes an object that claims to be
        equal to the one whose place it took.
        """
        try:
            return (
                sys.modules is self.table and self._index.looks_like(self.table) and self._looks().look_same()
            )
        except Exception:  # a test may have left anything
            return False

    def holds_still(self) -> bool:
        """Tell whether a state of a moment ago is still that of now, as far as :meth:`capture` would look.

        It believes what :meth:`shows_same_entries` believes.
        """
        if not (self.shows_same_entries() and self._rest_is_same()):
            return False
        is_new = self._bound_fingerprint is None and not self._index.has_versions
        if is_new and are_hashed_by_identity(self._bound):
            self._bound_fingerprint = fingerprint(self._bound)
        return True

    def looks_same(self) -> bool:
        """Take a look, at two thirds of the cost of :meth:`differences`: is all that shows as it was?

        It believes an attribute, or an item of a list, that claims to equal the one whose place it took.
        """
        try:
            same: bool = (
                sys.modules is self.table
                and self._looks().look_same()
                and self._index.is_of(self.table)
                and ((now := self._index.read()) is self._bound or now == self._bound)
            )
        except Exception:  # a test may have left anything
            return False
        return same

    def _is_same(self) -> bool:
        """Tell whether nothing has changed, by identity. Most windows end with this answer."""
        try:
            return (
                sys.modules is self.table
                and self._index.is_of(self.table)
                and self._looks().are_same()
                and self._are_bound(self._index.read())
                and self._rest_is_same()
            )
        except Exception:  # a test may have left anything
            return False

    def _are_bound(self, now: list[object]) -> bool:
        """Tell whether packages hold the very same objects as before."""
        if now is self._bound:
            return True
        if self._bound_fingerprint is not None and fingerprint(now) == self._bound_fingerprint:
            return True
        return all(map(operator.is_, self._bound, now))

    def _rest_is_same(self) -> bool:
        return (
            builtins.__import__ is self._import_as_found
            and sys.path_importer_cache is self._cache_object
            and self._cache_object == self._cache
        )

    def differences(self, ignore: Callable[[object], bool] = lambda finder: False) -> Difference:
        """Compare the import state of now with this one.

        Args:
            ignore: finders for which this is true are nobody's change (parking's own).
        """
        if self._is_same():
            return NO_DIFFERENCE
        current = self._current_modules()
        entries = self._changed_entries(current)
        return Difference(
            added=entries.added,
            removed=entries.removed,
            replaced=entries.replaced,
            bindings=dict(self._changed_bindings()),
            lists=dict(self._changed_lists(ignore)),
            rebound=tuple(self._rebound()),
            import_function=import_function() is not self._import_function,
            importer_cache=self._importer_cache_changed(),
        )

    def added(self) -> dict[Any, object]:
        """Return the entries of ``sys.modules`` that were not there."""
        return self._changed_entries(self._current_modules()).added

    def _changed_entries(self, current: dict[Any, object]) -> EntryChanges:
        return compare_entries(self.modules, self._index.keys, self._index.objects, current)

    def _current_modules(self) -> dict[Any, object]:
        """Return a copy of what imports see now, also when ``sys.modules`` is another object.

        C code goes on to use the original dictionary and importlib uses the new one, so a module may
        have landed in either.
        """
        now = getattr(sys, "modules", None)
        merged = self.table.copy()
        if now is not self.table:
            # Anything may stand there; a failed update leaves the original's contents, or some more.
            with suppress(Exception):
                merged.update(now)  # type: ignore[arg-type]
        return merged

    def _changed_bindings(self) -> Iterator[tuple[str, Binding]]:
        now = self._index.read()
        if self._are_bound(now):
            return
        for name, before, after in zip(self._index.names, self._bound, now, strict=True):
            if before is not after:
                yield name, Binding(before, after)

    def _changed_lists(self, ignore: Callable[[object], bool]) -> Iterator[tuple[str, ListChange]]:
        for name, (_, items) in self._lists.items():
            found = getattr(sys, name, None)
            if same_items(found, items):
                continue
            now = items_in(found)
            before: Sequence[object] = items
            if name == "meta_path":
                before = [finder for finder in before if not ignore(finder)]
                now = tuple(finder for finder in now if not ignore(finder))
            change = compare_lists(before, now)
            if change:
                yield name, change

    def _rebound(self) -> Iterator[str]:
        if getattr(sys, "modules", None) is not self.table:
            yield "sys.modules"
        for name, (found, _) in self._lists.items():
            if getattr(sys, name, ABSENT) is not found:
                yield f"sys.{name}"
        if getattr(sys, "path_importer_cache", None) is not self._cache_object:
            yield "sys.path_importer_cache"

    def _importer_cache_changed(self) -> bool:
        return not same_entries(self._cache, self._cache_object.copy())

    def admit(self, entries: Mapping[Any, object]) -> None:
        """Make entries part of this snapshot, as if they had been there, with their packages' attributes."""
        if not entries:
            return
        values = dict(zip(self._index.names, self._bound, strict=True))
        self._index = BindingIndex({**self.modules, **entries}, self._index)
        self.modules = self._index.modules
        self._bound_fingerprint = None
        self._bound = [
            now if name in entries else values.get(name, now)
            for name, now in zip(self._index.names, self._index.read(), strict=True)
        ]

    def admit_item(self, list_name: str, item: object, *, in_front: bool) -> None:
        """Make a path entry, finder or hook part of this snapshot, before or behind all others."""
        found, items = self._lists[list_name]
        self._lists[list_name] = (found, (item, *items) if in_front else (*items, item))
        self._compared = None

    def follow(self, change: Difference) -> None:
        """Make a change part of this snapshot, as if it had been made before; a reordering is not followed.

        Args:
            change: how the import state differs now from what it was a moment ago.
        """
        if change.added or change.replaced or change.removed or change.bindings:
            self._follow_modules(change)
        for list_name, items in change.lists.items():
            if f"sys.{list_name}" in change.rebound:
                continue
            found, known = self._lists[list_name]
            self._lists[list_name] = (found, tuple(beyond(known, items.removed)))
            self._compared = None
            for item in items.added:
                if not any(item is other for other in known):
                    now = items_in(getattr(sys, list_name, None))
                    self.admit_item(list_name, item, in_front=stands_in_front(item, now, known))

    def _follow_modules(self, change: Difference) -> None:
        touched = {**change.added, **{name: now for name, (_, now) in change.replaced.items()}}
        values = dict(zip(self._index.names, self._bound, strict=True))
        values.update({name: binding.after for name, binding in change.bindings.items() if name in values})
        self._index = BindingIndex(
            {n: m for n, m in {**self.modules, **touched}.items() if n not in change.removed}, self._index
        )
        self.modules = self._index.modules
        self._bound_fingerprint = None
        self._bound = [
            now if name in touched else values.get(name, now)
            for name, now in zip(self._index.names, self._index.read(), strict=True)
        ]

    def restore(self, leave: Leave = lambda name, module: None) -> Restored:
        """Put everything back, in place.

        Args:
            leave: called for each entry before it leaves ``sys.modules``, under the import lock.

        Returns:
            What stayed, because another thread was in the middle of importing it, and the objects that
            left. The caller drops those when it has nothing more to do: their destructors may import.
        """
        changed = self._restore_containers()
        entries = self._restore_entries(leave)
        for found, items in self._lists.values():
            changed |= _refill(found, items)
        changed |= self._restore_bindings(entries.stuck)
        changed |= self._restore_importer_cache()
        if import_function() is not self._import_function:
            builtins.__import__ = self._import_as_found
        if changed or entries.released:
            drop_finder_caches()
        BindingIndex.remember(self._index)
        return entries

    def _restore_containers(self) -> bool:
        rebound = tuple(self._rebound())
        if "sys.modules" in rebound:
            merged = self._current_modules()
            for name, module in merged.items():
                if self.table.get(name, ABSENT) is not module:
                    self.table[name] = module
            sys.modules = self.table  # type: ignore[assignment]
        for list_name, (found, _) in self._lists.items():
            if f"sys.{list_name}" not in rebound:
                continue
            if found is ABSENT:
                # Somebody had deleted it, and a window inside that one must not make a None of it.
                delattr(sys, list_name)
            else:
                setattr(sys, list_name, found)
        if "sys.path_importer_cache" in rebound:
            sys.path_importer_cache = self._cache_object  # type: ignore[assignment]
        return bool(rebound)

    def _leaving(self) -> list[Any]:
        """Return the keys whose entries must go or change, children before parents."""
        if self._index.is_of(self.table):
            return []
        now = self.table.copy()
        leaving = [name for name, module in now.items() if self.modules.get(name, ABSENT) is not module]
        return sorted(leaving, key=depth, reverse=True)

    def _returning(self) -> list[Any]:
        """Return the keys whose entries are not those of the snapshot; as a rule, there are none."""
        now = map(self.table.get, self._index.keys, repeat(ABSENT))
        if all(map(operator.is_, now, self._index.objects)):
            return []
        return [name for name, module in self.modules.items() if self.table.get(name, ABSENT) is not module]

    def _restore_entries(self, leave: Leave) -> Restored:
        released: list[object] = []
        stuck: dict[Any, str] = {}
        with quiet_import_lock(lambda: [*self._leaving(), *self._returning()]) as busy:
            for name in self._leaving():
                module = self.table[name]
                if name in busy:
                    stuck[name] = f"thread {busy[name]!r} is still importing it"
                elif is_initializing(module) and name not in self.modules:
                    stuck[name] = "its import is still under way"
                else:
                    leave(name, module)
                    released.append(self.table.pop(name))
            importing = names_being_imported()
            for name in self._returning():
                # importlib executes a module again that appears while it looks for it; a module that is
                # being looked for comes from where it waits.
                if name not in stuck and name not in importing:
                    self.table[name] = self.modules[name]
        return Restored(stuck, released)

    def _restore_bindings(self, stuck: Mapping[Any, str]) -> bool:
        changed = False
        for name, binding in list(self._changed_bindings()):
            if name not in stuck:
                parent, child = parent_of(name)
                bind(namespace(self.modules.get(parent)), child, binding.before)
                changed = True
        return changed

    def _restore_importer_cache(self) -> bool:
        if not self._importer_cache_changed():
            return False
        cache = self._cache_object
        for entry in list(cache):
            if entry not in self._cache:
                del cache[entry]
        cache.update(self._cache)
        return True


class Restored(NamedTuple):
    """What :meth:`ImportState.restore` did."""

    #: Names that could not leave, with the reason.
    stuck: dict[Any, str]
    #: Objects that left ``sys.modules``.
    released: list[object]


def _refill(found: object, items: tuple[object, ...]) -> bool:
    if not isinstance(found, list):
        return False  # it was no list when it was captured; the object itself is back, more is not ours
    if len(found) == len(items) and all(map(operator.is_, found, items)):
        return False
    found[:] = items
    return True


def take_out(names: Iterable[str], leave: Leave = lambda name, module: None) -> dict[str, object]:
    """Remove entries from ``sys.modules``, and the attributes for them of packages that stay.

    Args:
        names: the keys; those that some thread is importing stay.
        leave: called for each entry before it leaves, under the import lock.

    Returns:
        The entries that left.
    """
    wanted = sorted(names, key=depth, reverse=True)
    taken: dict[str, object] = {}
    with quiet_import_lock(lambda: wanted) as busy:
        for name in wanted:
            entry = sys.modules.get(name, ABSENT)
            if name in busy or entry is ABSENT or is_initializing(entry):
                continue
            leave(name, entry)
            taken[name] = sys.modules.pop(name)
        for name, module in taken.items():
            # A package that leaves too keeps the attribute: its code may still run, and uses it.
            space = parent_namespace(name)
            if space is not None and space.get(parent_of(name)[1], ABSENT) is module:
                del space[parent_of(name)[1]]
    return taken


def drop_entries(modules: Mapping[str, object]) -> list[str]:
    """Remove entries from ``sys.modules`` where they hold these very modules, and nothing else.

    Returns:
        Their names.
    """
    dropped = [name for name, module in modules.items() if sys.modules.get(name, ABSENT) is module]
    for name in dropped:
        del sys.modules[name]
    return dropped


def put_in(name: str, module: object, binding: object = ABSENT) -> None:
    """Enter a module under its name, and its package's attribute where ``binding`` is not ABSENT."""
    sys.modules[name] = module  # type: ignore[assignment]
    if binding is not ABSENT:
        bind(parent_namespace(name), parent_of(name)[1], binding)


def lay(overlay: Overlay, keep_first: Callable[[object], bool] = lambda finder: False) -> None:
    """Lay changes over the import state.

    Args:
        overlay: the changes; a module that another thread is importing at this moment is left out.
        keep_first: finders for which this is true stay before all others (parking's own).
    """
    with import_lock():
        importing = names_being_imported()
        for name in sorted(overlay.entries, key=depth):
            if name not in importing:
                sys.modules[name] = overlay.entries[name]  # type: ignore[assignment]
        for name in overlay.removed:
            sys.modules.pop(name, None)
        for name, value in overlay.bindings.items():
            bind(parent_namespace(name), parent_of(name)[1], value)
    for list_name, (before, after) in overlay.lists.items():
        found = getattr(sys, list_name, None)
        if isinstance(found, list):
            first = [item for item in found if keep_first(item)]
            found[:] = [*first, *edited([item for item in found if not keep_first(item)], before, after)]
    if overlay.import_function is not None:
        builtins.__import__ = overlay.import_function
    if overlay.lists or overlay.entries:
        drop_finder_caches()


def insert_items(list_name: str, items: Sequence[object], *, in_front: bool, after: int = 0) -> None:
    """Insert into one of the lists of ``sys`` what is not in it yet.

    Args:
        list_name: ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
        items: what to insert, in order.
        in_front: before the others, or behind them.
        after: how many items at the front keep their place.
    """
    target = getattr(sys, list_name, None)
    if not isinstance(target, list):
        return
    present = set(map(key_of, target))
    new = [item for item in items if key_of(item) not in present]
    position = after if in_front else len(target)
    target[position:position] = new


def prepend_path(entries: Sequence[str]) -> None:
    """Put entries before ``sys.path``, also those that it holds already further back.

    A directory that did not exist when it was first looked at is cached as unusable; it is looked at again.
    """
    sys.path[:0] = entries
    for entry in entries:
        if sys.path_importer_cache.get(entry, ABSENT) is None:
            del sys.path_importer_cache[entry]
    drop_finder_caches()


def put_first(list_name: str, items: Sequence[object]) -> None:
    """Put finders or path hooks before all others, in order, wherever they were.

    The finders that the path hooks made before are asked no more: every entry of ``sys.path`` gets a new one.
    """
    target = getattr(sys, list_name, None)
    if isinstance(target, list):
        target[:] = [*items, *(other for other in target if not any(other is item for item in items))]
    sys.path_importer_cache.clear()
    drop_finder_caches()


def move_to_front(finder: object, behind: Sequence[object] = ()) -> None:
    """Put a finder at position 0 of ``sys.meta_path``, wherever it was.

    Args:
        finder: the finder.
        behind: finders that may stand before it.
    """
    finders = getattr(sys, "meta_path", None)
    if not isinstance(finders, list):
        return
    position = 0
    while behind and position < len(finders) and any(finders[position] is other for other in behind):
        position += 1
    rest = finders[position:]
    if not (rest and rest[0] is finder):
        finders[position:] = [finder, *_others(finder, rest)]


def remove_finder(finder: object) -> None:
    """Take a finder off ``sys.meta_path``; nothing happens if it is not there."""
    finders = getattr(sys, "meta_path", None)
    if isinstance(finders, list):
        rest = [*_others(finder, finders)]
        if len(rest) != len(finders):
            finders[:] = rest


def _others(item: object, items: list[object]) -> Iterator[object]:
    # By identity, at the speed of C: each window puts the finder there and takes it off.
    return compress(items, map(operator.is_not, items, repeat(item)))
