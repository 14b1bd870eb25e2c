"""A world: changes of the import state that are put away, and swapped in for those to whom they belong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_import_isolation.contents.findings import Undone
from pytest_import_isolation.contents.writers import Writers
from pytest_import_isolation.machinery.finders import import_function, is_own_finder, without_own_finder
from pytest_import_isolation.machinery.frames import Importer
from pytest_import_isolation.machinery.modules import ABSENT, ancestors, namespace
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.lot import ParkedModule
from pytest_import_isolation.parking.ownership import Ownership
from pytest_import_isolation.state.changes import Changes
from pytest_import_isolation.state.differences import Difference, Overlay, items_of
from pytest_import_isolation.state.list_changes import edited
from pytest_import_isolation.state.odd_keys import entries_in, is_plain
from pytest_import_isolation.state.origins import Origin, Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.state.submodule_attributes import bind_others, bound_value
from pytest_import_isolation.state.writing import lay
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.import_log import ImportLog
from pytest_import_isolation.watching.makers import ClassChange
from pytest_import_isolation.window.closing import abandon_window, close_with_inner
from pytest_import_isolation.window.loan import Borrowed, Loan
from pytest_import_isolation.window.open_windows import with_inner
from pytest_import_isolation.window.opening import open_window
from pytest_import_isolation.window.parameters import NOTHING_ASKED
from pytest_import_isolation.window.window import MustStay, Window


class World:
    """What the import state has more, less or otherwise for some code than for all other code.

    Entering it opens a window and lays the changes over the import state; leaving it takes the changes
    as they are then, and closes the window.

    Args:
        name: what messages call it.
        origins: gives the verdicts on modules.
        must_stay: gives the reason to keep a module, and all that it refers to, when the world is left.
        is_common: tells whether a module that was loaded in it belongs to everybody, it alone.
        is_common_entry: tells whether a path entry belongs to everybody.
        is_alone: whether its first-party modules are for itself, also if surviving code refers to them.
        is_watchful: whether to look for fakes among what is loaded while it is in place.
        writers: tells whose doing a change of contents is; without it, contents are left as they are.
    """

    def __init__(
        self,
        name: str,
        origins: Origins,
        must_stay: MustStay,
        is_common: Callable[[str, object], bool] = lambda name, module: False,
        is_common_entry: Callable[[object], bool] = lambda entry: False,
        *,
        is_alone: bool = True,
        is_watchful: bool = False,
        writers: Writers | None = None,
    ) -> None:
        self.name = name
        #: The files of the test code that it is for.
        self.test_code: list[str] | None = None
        self._writers = writers
        # What its test code did to the contents of modules, which is undone while it is not in place.
        self._contents = Undone()
        self.is_common = is_common
        #: Whether other worlds may use the first-party modules that were executed in this one.
        self.lends = False
        #: Whether it changed more than ``sys.path``.
        self.is_harmful = False
        #: The worlds around it that must be around a world that uses them.
        self.lends_inside: tuple[World, ...] = ()
        #: Whether nothing in it differs from elsewhere, except for what is loaded.
        self.is_for_all = False
        self.log = ImportLog(with_images=True)
        self.overlay = Overlay()
        #: Modules of other worlds that are in place with this one, with their packages' attributes.
        self.borrowed = Borrowed()
        #: Modules whose references are no reason to keep anything: those of the test files it is for.
        self.test_modules: list[object] = []
        self._origins = origins
        self._must_stay = must_stay
        self._is_common_entry = is_common_entry
        self._is_alone = is_alone
        self._tainted: dict[str, str] = {}
        self._fakes: set[str] = set()
        # What was loaded when somebody looked for fakes last; None if nobody looks.
        self._seen: dict[Any, object] | None = {} if is_watchful else None
        #: First-party packages of the top level that were put away when it was left last.
        self.forgotten_packages: dict[str, object] = {}
        #: What its modules did that is nobody's leak, as of when it was left last.
        self.blameless: frozenset[tuple[str, str]] = frozenset()
        self._window: Window | None = None
        # What was put before the lists of sys for its sake: it is no doing of its code.
        self._own_items: dict[str, tuple[object, ...]] = {}
        self._class_changes: list[ClassChange] = []
        self._loan: Loan | None = None

    def __repr__(self) -> str:
        return f"World({self.name!r})"

    @property
    def window(self) -> Window:
        """The window that is open while the world is in place."""
        assert self._window is not None, f"{self} is not in place"
        return self._window

    @property
    def is_watchful(self) -> bool:
        """Whether fakes are looked for."""
        return self._seen is not None

    @property
    def has_undone(self) -> bool:
        """Whether something is undone in modules around it, which who borrows from it would not have."""
        return bool(self._contents.again)

    @property
    def is_in_place(self) -> bool:
        """Whether it was entered and not left."""
        return self._window is not None

    def open(self) -> None:
        """Be in place from now on: what is loaded from here on is part of this world."""
        window = Window(
            NOTHING_ASKED,
            self._origins,
            self._must_stay,
            self.name,
            log=self.log,
            is_alone=self._is_alone,
            is_long=True,
        )
        window.writers, window.test_code = self._writers, self.test_code
        window.tainted.update(self._tainted)
        window.is_for_all = self.is_for_all
        open_window(window)
        self._window = window
        if self._seen is not None:
            self._seen = entries_in(sys.modules)
        for module in self.test_modules:
            window.disregard(module)
        if self._fakes or self._seen is not None:
            window.mistrust(self._fakes.__contains__)

    def enter(self) -> None:
        """Lay the world's changes over the import state."""
        self.open()
        for name, module in self.overlay.entries.items():
            if FINDER.lot.module(name) is module:
                FINDER.lot.bring_back(name, is_asked=False)
        lay(self.overlay, is_own_finder)
        bind_others(self.overlay.entries, self.window.around.modules)
        self.window.own_items.items.update(self._own_items)
        if self.window.contents is not None:
            self.window.contents.lay(self._contents)
        for change in self._class_changes:
            change.redo()
            EXECUTED.class_changes.append(change)

    def leave(self) -> Changes:
        """Put the world's changes away.

        Returns:
            What became of the modules that were in place.
        """
        window = self.window
        window.stop_watching()
        difference = self.settle()
        self.overlay = _overlay(window.around, difference)
        self._tainted = {**window.tainted, **self._tainted_by_reference()}
        window.tainted.update(self._tainted)
        self._own_items = window.own_items.items
        self._loan = None
        self._seen = None
        changes, _ = close_with_inner(window)
        self._class_changes = window.installations.undone
        if window.contents is not None:
            self._contents = window.contents.undone
        self.forgotten_packages, self.blameless = window.forgotten_packages, window.blameless
        self._window = None
        return changes

    def settle(self) -> Difference:
        """Give to everybody what does not belong to this world alone.

        Returns:
            What is different beside that.
        """
        self.borrowed.settle(self.window)
        self.window.admit_installed_later()
        difference = self.window.all_differences()
        staying = {
            name: module
            for name, module in difference.added.items()
            if type(name) is str and self._is_everybodys(name, module)
        }
        for name in list(staying):
            staying.update({a: difference.added[a] for a in ancestors(name) if a in difference.added})
        path = self.window.own_items.without_own(difference.lists).get("path")
        entries = [entry for entry in path.added if self._is_common_entry(entry)] if path else []
        if not staying and not entries:
            return difference
        # What a library installed for itself stays with it; what a test file installed is the file's.
        foreign = {
            n for n, m in staying.items() if self._origins.verdict(n, m).origin is not Origin.FIRST_PARTY
        }
        self.window.admit({n: m for n, m in staying.items() if n in foreign}, difference)
        self.window.around.admit({n: m for n, m in staying.items() if n not in foreign})
        for entry in entries:
            self.window.installations.admit("path", entry)
        return self.window.all_differences()

    def _is_everybodys(self, name: str, module: object) -> bool:
        if self.is_common(name, module):
            return True
        owner = Ownership(self._origins).owner_of_entry(name, module)
        return owner in sys.modules and self.is_common(str(owner), sys.modules[owner])

    def abandon(self) -> None:
        """End the world and leave everything as it is."""
        abandon_window(self.window)
        self._window = None

    def clear(self) -> None:
        """Let go of everything."""
        self.overlay, self.borrowed, self.log = Overlay(), Borrowed(), ImportLog(with_images=True)
        self._contents = Undone()
        self.forgotten_packages = {}
        self._loan = None

    def absorb(self, other: World) -> bool:
        """Take over the modules of a world, if none of them has the name of one of this world's own.

        Returns:
            Whether that could be done; both are as before if not.
        """
        mine, new = self.overlay, other.overlay
        entries = {**{name: parked.module for name, parked in other.borrowed.modules.items()}, **new.entries}
        borrowed = {name: parked.binding for name, parked in other.borrowed.modules.items()}
        if new.removed or new.import_function or new.lazy_imports:
            return False
        if any(mine.entries.get(name, module) is not module for name, module in entries.items()):
            return False
        bindings = {**borrowed, **mine.bindings, **new.bindings}
        self.overlay = mine._replace(
            entries={**mine.entries, **entries},
            bindings=bindings,
            lists={
                **mine.lists,
                **{name: _joined(mine, name, *change) for name, change in new.lists.items()},
            },
        )
        self._class_changes = [*self._class_changes, *other._class_changes]
        self.log.importers.update({n: i for n, i in other.log.importers.items() if n in entries})
        self._loan = None
        return True

    def holdings(self) -> dict[str, ParkedModule]:
        """Return the modules that are in place with this world, with the attributes of their packages."""
        overlay = _overlay(self.window.around, self.settle()) if self.is_in_place else self.overlay
        own = {
            name: ParkedModule(module, overlay.bindings.get(name, ABSENT))
            for name, module in overlay.entries.items()
        }
        return {**self.borrowed.modules, **own}

    # Fakes

    def has_fakes(self) -> bool:
        """Tell whether a fake is in place that belongs to this world."""
        seen = self._seen  # another thread may be about to leave this world
        if seen is not None:
            now = entries_in(sys.modules)
            new = {name: module for name, module in now.items() if seen.get(name, ABSENT) is not module}
            self._seen = now
            self._fakes.update(self._fakes_among(new))
        return any(name in sys.modules for name in [*self._fakes])

    def _fakes_among(self, entries: Mapping[Any, object]) -> Iterator[str]:
        ownership = Ownership(self._origins)
        for name, module in entries.items():
            if (
                type(name) is str
                and self._origins.verdict(name, module).origin is Origin.FAKE
                # What a library makes of itself is a part of it, and stands for nothing else.
                and not ownership.blameless_maker(SingleChange("entry", name, ABSENT, module))
            ):
                yield name

    def _tainted_by_reference(self) -> dict[str, str]:
        """Return the foreign modules that hold a fake, with its name, and note all fakes."""
        entries = self.overlay.entries
        self._fakes.update(self._fakes_among(entries))
        fakes = {
            id(entries[name]): name
            for name in [*self._fakes]
            if name in entries and not is_plain(entries[name])  # anybody can have the same number or text
        }
        if not fakes:
            return {}
        return {
            name: fakes[id(value)]
            for name, module in entries.items()
            if name not in self._fakes
            for value in list((namespace(module) or {}).values())
            if id(value) in fakes
        }

    # Lending

    @property
    def loan(self) -> Loan | None:
        """What another world may use of this one, if it is first-party; None while it is in place itself."""
        if not self.lends or self.is_in_place:
            return None
        loan = self._loan
        if loan is None:
            loan = self._loan = Loan(self.holdings(), self.log.importers)
        return loan

    def borrow(self, modules: Mapping[str, ParkedModule], importers: Mapping[str, Importer]) -> None:
        """Let modules of another world, which are in place now, belong to what surrounds this one.

        Args:
            modules: what is borrowed.
            importers: who imported them first, and others.
        """
        self.log.importers.update({n: i for n, i in importers.items() if n in modules})
        self.borrowed.add(modules, with_inner(self.window))


def _joined(
    overlay: Overlay, list_name: str, before: tuple[object, ...], after: tuple[object, ...]
) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return the change of a list by an overlay and then by another one."""
    if list_name not in overlay.lists:
        return before, after
    first, then = overlay.lists[list_name]
    return first, tuple(edited(then, before, after))


def _overlay(around: ImportState, difference: Difference) -> Overlay:
    """Return changes in the form in which they can be laid over the import state again.

    Args:
        around: the state that they changed.
        difference: the changes.
    """
    entries = {**difference.added, **{name: now for name, (_, now) in difference.replaced.items()}}
    bindings = {name: binding.after for name, binding in difference.bindings.items()}
    bound = {name: bound_value(name) for name in entries if type(name) is str}
    bindings.update({name: value for name, value in bound.items() if value is not ABSENT})
    return Overlay(
        entries,
        tuple(difference.removed),
        bindings,
        {
            name: (without_own_finder(around.contents(name)), without_own_finder(items_of(name)))
            for name in difference.lists
        },
        import_function() if difference.import_function else None,
        difference.lazy_imports[1] if difference.lazy_imports else None,
    )
