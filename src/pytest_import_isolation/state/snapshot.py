"""The import state as a value: capture it, compare it with now, and follow what changes."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from pytest_import_isolation.machinery.finders import import_function, without_own_finder
from pytest_import_isolation.machinery.identities import Identities
from pytest_import_isolation.machinery.lazy_settings import LazySettings, lazy_settings
from pytest_import_isolation.machinery.modules import ABSENT, parent_of
from pytest_import_isolation.state.differences import (
    NO_DIFFERENCE,
    Binding,
    Difference,
    Lists,
    items_in,
    same_items,
)
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.list_changes import (
    LISTS,
    ListChange,
    Place,
    beyond,
    compare_lists,
    place_of,
)
from pytest_import_isolation.state.odd_keys import entries_in
from pytest_import_isolation.state.submodule_attributes import (
    BindingIndex,
)

T = TypeVar("T")


class _Bindings:
    """What packages held for their submodules.

    Args:
        index: knows the submodules.
        values: what was held for each, in the order of the index.
    """

    __slots__ = ("_identities", "index", "values")

    def __init__(self, index: BindingIndex, values: list[object]) -> None:
        self.index = index
        self.values = values
        # Found when they are compared.
        self._identities: Identities | None = None

    def are(self, now: list[object]) -> bool:
        """Tell whether packages hold the very same objects."""
        if now is self.values:
            return True
        if self._identities is None:
            self._identities = Identities(self.values)
        return self._identities.are_those_of(now)


class ImportState:
    """A snapshot of the whole import state.

    It holds the containers themselves beside copies of their contents, so that :func:`.restore` can
    change contents and keep identities: other code, C code included, holds on to the containers.
    """

    __slots__ = (
        "_bindings",
        "_compared",
        "_import_function",
        "finders",
        "import_as_found",
        "importer_cache",
        "lazy_imports",
        "lists",
        "modules",
        "table",
    )

    # Of the last capture: the importer cache rarely changes.
    _last_finders: ClassVar[Entries | None] = None

    def __init__(self, after: ImportState | None = None) -> None:
        """Capture the state as it is now. See :meth:`capture`."""
        #: ``sys.modules`` itself.
        self.table: dict[Any, object] = sys.modules  # type: ignore[assignment]
        #: Its contents, with what was found out about them.
        index = BindingIndex.of(self.table)
        self.modules = index.entries.contents
        #: For each of the lists of ``sys``, the list itself and its items.
        self.lists = {name: (found := getattr(sys, name, ABSENT), items_in(found)) for name in LISTS}
        # Found when they are compared.
        self._compared: Lists | None = None
        #: ``sys.path_importer_cache`` itself, and what it held.
        self.importer_cache: object = getattr(sys, "path_importer_cache", ABSENT)
        self.finders = ImportState._last_finders = Entries.of(self.importer_cache, ImportState._last_finders)
        #: ``builtins.__import__``, with a wrapper of this package around it, which is nobody's change.
        self.import_as_found = builtins.__import__
        self._import_function = import_function()
        #: What decides which imports are lazy.
        self.lazy_imports = lazy_settings()
        # One object: a thread may make modules part of this while another one compares.
        self._bindings: _Bindings = (
            after._bindings
            if after is not None and after._bindings.index is index
            else _Bindings(index, index.read())
        )

    @classmethod
    def capture(cls, after: ImportState | None = None) -> ImportState:
        """Return the import state as it is now.

        Args:
            after: the state of a moment ago, since when no package was given another attribute for a
                submodule unless ``sys.modules`` changed too: reading all of them is half of the work.
        """
        return cls(after)

    @property
    def index(self) -> BindingIndex:
        """What was found out about the contents of ``sys.modules``."""
        return self._bindings.index

    def contents(self, name: str) -> tuple[object, ...]:
        """Return what one of the lists of ``sys`` held (``"path"``, ``"meta_path"`` or ``"path_hooks"``)."""
        return self.lists[name][1]

    def derive(self, key: object, compute: Callable[[dict[Any, object]], T]) -> T:
        """Return what a function computes from :attr:`modules`, computed once for all equal tables."""
        derived = self.index.derived
        if key not in derived:
            derived[key] = compute(self.modules)
        return derived[key]  # type: ignore[no-any-return]

    def shows_same_number(self) -> bool:
        """Take a glance, at a fiftieth of the cost of :meth:`looks_same`: is there as much as there was?

        What took the place of an entry or an item is not seen.
        """
        table = getattr(sys, "modules", None)
        if not issubclass(type(table), dict):
            return False
        try:
            return dict.__len__(table) == len(self.modules) and self._looks().show_same_numbers()  # type: ignore[arg-type]
        except AttributeError:  # a test deleted one of the lists
            return False

    def _looks(self) -> Lists:
        if self._compared is None:
            self._compared = Lists(self.lists.values())
        return self._compared

    def shows_same_entries(self) -> bool:
        """Take a look at the modules and lists alone, at a quarter of the cost of :meth:`looks_same`."""
        try:
            if sys.modules is not self.table or not self._bindings.index.entries.are_of(self.table):
                return False
            return not self.import_function_changed() and (self._compared or self._looks()).are_same()
        except Exception:  # a test deleted one of the lists; another thread is adding to a table
            return False

    def looks_same(self) -> bool:
        """Take a look, at two thirds of the cost of :meth:`differences`: is all that shows as it was?"""
        bindings = self._bindings
        return self.shows_same_entries() and bindings.are(bindings.index.read())

    def holds_still(self) -> bool:
        """Tell whether a state of a moment ago is still that of now, as far as :meth:`capture` would look.

        At attributes of packages nobody looks.
        """
        # Written out, the quickest first: plugins' fixtures ask a dozen times in each test.
        try:
            return (
                sys.modules is self.table
                and builtins.__import__ is self.import_as_found
                and sys.path_importer_cache is self.importer_cache
                and self._bindings.index.entries.are_of(self.table)
                and self.finders.are_of(self.importer_cache)
                and (self._compared or self._looks()).are_same()
                and lazy_settings() is self.lazy_imports
            )
        except Exception:  # a test deleted one of the lists; another thread is adding to a table
            return False

    def is_unchanged(self) -> bool:
        """Tell whether nothing has changed. Most windows end with this answer."""
        bindings = self._bindings
        return self.holds_still() and bindings.are(bindings.index.read())

    def differences(self, ignore: Callable[[object], bool] = lambda finder: False) -> Difference:
        """Compare the import state of now with this one.

        Args:
            ignore: finders for which this is true are nobody's change (parking's own).
        """
        if self.is_unchanged():
            return NO_DIFFERENCE
        entries = self.index.entries.changes_to(self.current_entries())
        return Difference(
            added=entries.added,
            removed=entries.removed,
            replaced=entries.replaced,
            bindings=dict(self.changed_bindings()),
            lists=dict(_changed_lists(self.lists, ignore)),
            rebound=tuple(name for name, _ in self.rebound()),
            import_function=self.import_function_changed(),
            importer_cache=self.importer_cache_changed(),
            lazy_imports=self._changed_lazy_imports(),
        )

    def added(self) -> dict[Any, object]:
        """Return the entries of ``sys.modules`` that were not there."""
        return self.index.entries.changes_to(self.current_entries()).added

    def current_entries(self) -> Entries:
        """Return what imports see now, also when ``sys.modules`` is another object.

        C code goes on to use the original dictionary and importlib uses the new one, so a module may
        have landed in either.
        """
        now = getattr(sys, "modules", None)
        if now is self.table:
            return Entries.of(self.table, self.index.entries)
        return Entries({**Entries.of(self.table).contents, **entries_in(now)})

    def changed_bindings(self) -> Iterator[tuple[str, Binding]]:
        """Yield the submodules that their packages hold something else for, with both values."""
        bindings = self._bindings
        now = bindings.index.read()
        if bindings.are(now):
            return
        for name, before, after in zip(bindings.index.names, bindings.values, now, strict=True):
            if before is not after:
                yield name, Binding(before, after)

    def rebound(self) -> Iterator[tuple[str, object]]:
        """Yield the containers that another object has taken the place of, each with its name."""
        if getattr(sys, "modules", None) is not self.table:
            yield "sys.modules", self.table
        for name, (found, _) in self.lists.items():
            if getattr(sys, name, ABSENT) is not found:
                yield f"sys.{name}", found
        if getattr(sys, "path_importer_cache", ABSENT) is not self.importer_cache:
            yield "sys.path_importer_cache", self.importer_cache

    def import_function_changed(self) -> bool:
        """Tell whether ``builtins.__import__`` is another one, apart from wrappers of this package."""
        is_as_found = builtins.__import__ is self.import_as_found
        return not is_as_found and import_function() is not self._import_function

    def _changed_lazy_imports(self) -> tuple[LazySettings, LazySettings] | None:
        before, now = self.lazy_imports, lazy_settings()
        return None if before is now or before is None or now is None else (before, now)

    def importer_cache_changed(self) -> bool:
        """Tell whether the importer cache holds other finders."""
        return not self.finders.are_of(self.importer_cache)

    def admit(self, entries: Mapping[Any, object]) -> None:
        """Make entries part of this snapshot, as if they had been there, with their packages' attributes."""
        if entries:
            self._hold({**self.modules, **entries}, entries)

    def admit_item(self, list_name: str, item: object, place: Place) -> None:
        """Make a path entry, finder or hook part of this snapshot, where it stands now."""
        found, items = self.lists[list_name]
        at = place.position_in(items)
        self.lists[list_name] = (found, (*items[:at], item, *items[at:]))
        if list_name == "path_hooks":
            # The finders of before were made without it, and whoever added it has dropped them.
            self.finders = Entries({})
        elif list_name == "path":
            self.finders = _with_finder_of(item, self.finders)
        self._compared = None

    def hold_items(self, list_name: str, items: tuple[object, ...]) -> None:
        """Make other path entries, finders or hooks those that this snapshot has of a list."""
        self.lists[list_name] = (self.lists[list_name][0], items)
        self._compared = None

    @property
    def import_function(self) -> object:
        """What stood in the place of ``builtins.__import__``, without a wrapper of this package."""
        return self._import_function

    def admit_import_function(self) -> None:
        """Make what stands in the place of ``builtins.__import__`` part of this snapshot."""
        self.import_as_found = builtins.__import__
        self._import_function = import_function()

    def admit_lazy_imports(self) -> None:
        """Make what decides now which imports are lazy part of this snapshot."""
        self.lazy_imports = lazy_settings()

    def follow(self, change: Difference, before: ImportState) -> None:
        """Make a change part of this snapshot, as if it had been made before; a reordering is not followed.

        Args:
            change: how the import state differs now from what it was a moment ago.
            before: what it was then.
        """
        self._follow_containers(before)
        if change.lazy_imports is not None:
            self.lazy_imports = change.lazy_imports[1]
        if change.import_function and before.import_function is self.import_function:
            self.admit_import_function()  # else it wraps what a window inside of this state will take away
        if change.added or change.replaced or change.removed or change.bindings:
            touched = {**change.added, **{name: now for name, (_, now) in change.replaced.items()}}
            modules = {n: m for n, m in {**self.modules, **touched}.items() if n not in change.removed}
            self._hold(modules, touched, change.bindings)
        for list_name, items in change.lists.items():
            found, known = self.lists[list_name]
            self.lists[list_name] = (found, tuple(beyond(known, items.removed)))
            self._compared = None
            now = without_own_finder(items_in(getattr(sys, list_name, None)))
            for item in beyond(items.added, beyond(known, before.contents(list_name))):
                self.admit_item(list_name, item, place_of(item, now))

    def _follow_containers(self, before: ImportState) -> None:
        for name, (found, _) in before.lists.items():
            now = getattr(sys, name, ABSENT)
            if now is not found:
                self.lists[name] = (now, self.lists[name][1])
                self._compared = None
        if sys.modules is not before.table and type(sys.modules) is dict:
            self.table = sys.modules  # type: ignore[assignment]
        if sys.path_importer_cache is not before.importer_cache:
            self.importer_cache = sys.path_importer_cache
        self.finders = _followed(self.finders, before.finders)

    def _hold(
        self,
        modules: dict[Any, object],
        touched: Mapping[Any, object],
        bindings: Mapping[str, Binding] = MappingProxyType({}),
    ) -> None:
        """Hold other modules; what touched packages hold, and what holds touched modules, is as it is now."""
        known = self._bindings
        values = dict(zip(known.index.names, known.values, strict=True))
        values.update({name: binding.after for name, binding in bindings.items() if name in values})
        index = BindingIndex(Entries(modules), known.index)
        held = [
            now if name in touched or parent_of(name)[0] in touched else values.get(name, now)
            for name, now in zip(index.names, index.read(), strict=True)
        ]
        self.modules = modules
        self._bindings = _Bindings(index, held)

    def remember(self) -> None:
        """Let the next capture begin with what this one knows. What the last one knew kept modules alive."""
        BindingIndex.remember(self.index)
        ImportState._last_finders = self.finders


def _changed_lists(
    lists: Mapping[str, tuple[object, tuple[object, ...]]], ignore: Callable[[object], bool]
) -> Iterator[tuple[str, ListChange]]:
    """Yield the lists of ``sys`` that hold other items than in a snapshot, without the finders to ignore."""
    for name, (_, items) in lists.items():
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


def _followed(contents: Entries, before: Entries) -> Entries:
    """Return what an importer cache shall hold after a change of that of now."""
    change = before.changes_to(Entries.of(sys.path_importer_cache))
    followed = {
        **contents.contents,
        **change.added,
        **{entry: new for entry, (_, new) in change.replaced.items()},
    }
    return Entries({entry: finder for entry, finder in followed.items() if entry not in change.removed})


def _with_finder_of(entry: object, finders: Entries) -> Entries:
    """Return finders with that of a path entry that is no directory: no hook may know how to make it."""
    finder = None
    if type(entry) is str and not os.path.isdir(entry):
        finder = entries_in(sys.path_importer_cache).get(entry)
    return finders if finder is None else Entries({**finders.contents, entry: finder})
