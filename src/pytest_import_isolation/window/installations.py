"""What modules installed in the import system: it stays, or leaves and returns, with its owner."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_import_isolation.machinery.finders import import_function, without_own_finder
from pytest_import_isolation.machinery.modules import ABSENT, class_home, file_of, top_level
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.parking.belongings import Belonging, holds, homes_of, owner_of
from pytest_import_isolation.parking.finder import FINDER
from pytest_import_isolation.parking.installed_entries import InstalledEntries
from pytest_import_isolation.parking.ownership import IMPORT_SYSTEM, Ownership, says
from pytest_import_isolation.state.differences import Difference, items_of
from pytest_import_isolation.state.entries import Entries
from pytest_import_isolation.state.list_changes import Place, beyond, key_of, place_of
from pytest_import_isolation.state.origins import Origins
from pytest_import_isolation.state.single_changes import SingleChange
from pytest_import_isolation.state.snapshot import ImportState
from pytest_import_isolation.watching.executed_modules import EXECUTED
from pytest_import_isolation.watching.makers import ClassChange, Maker
from pytest_import_isolation.window.outcomes import Outcome
from pytest_import_isolation.window.own_items import OwnItems

_FUNCTION = "import_function"
_CACHE = "path_importer_cache"
_LAZY = "lazy_imports"
# Of each there is one.
_SINGLE = (_FUNCTION, _LAZY)


class _Fate(NamedTuple):
    """What becomes of something that was installed."""

    outcome: Outcome
    #: The top-level packages with which it returns, if it leaves.
    packages: tuple[str, ...] = ()

    def together_with(self, package: str, outcome: Outcome) -> _Fate:
        """Return what becomes of it if it is a package's, too, which has a certain outcome."""
        others = self.packages if self.outcome is Outcome.PARK else ()
        return _Fate(max(self.outcome, outcome), (package, *others))


class Installations:
    """Sorts what was installed while a window was open.

    Args:
        origins: gives the verdicts on modules.
        state: that around the window. What stays becomes a part of it.
        files: returns the files whose code ran in the window in its own name.
        own_items: what the window itself put into the lists: it goes with the window.
    """

    def __init__(
        self, origins: Origins, state: ImportState, files: Callable[[], list[str]], own_items: OwnItems
    ) -> None:
        self._ownership = Ownership(origins)
        self._entries = InstalledEntries(self._ownership, origins)
        self._state = state
        self._files = files
        self._own_items = own_items
        self._first_class_change = len(EXECUTED.class_changes)
        #: Changes of finders' classes that were undone with the modules that had made them.
        self.undone: list[ClassChange] = []

    def settle(self, difference: Difference, outcomes: Mapping[Any, Outcome]) -> None:
        """Let each thing stay, or wait for its packages, with what becomes of its owner.

        Args:
            difference: what changed in the window.
            outcomes: what becomes of the modules that were loaded in it.
        """
        packages = _of_packages(outcomes)
        for list_name, item in _installed(difference, self._own_items):
            fate = self._fate(list_name, item, outcomes, packages)
            if fate.outcome is Outcome.KEEP:
                self.admit(list_name, item)
            elif fate.outcome is Outcome.PARK:
                _entrust(fate.packages, Belonging(list_name, item, _place(list_name, item)))
        self._entrust_cached_finders(difference, packages)

    def packages_installing(self, difference: Difference, modules: Mapping[Any, object]) -> frozenset[str]:
        """Return the packages of the top level that installed something.

        Args:
            difference: what changed in the window.
            modules: those that were loaded in it; of others nothing is told.
        """
        found: set[str] = set()
        for list_name, item in _installed(difference, self._own_items):
            maker = self._ownership.owner(_change(list_name, item))
            name = self._installer(list_name, item, modules) if maker is None else maker.module
            if name is not None and name in modules:
                found.add(top_level(name))
        return frozenset(found)

    def installed_by_themselves(
        self, difference: Difference, modules: Mapping[Any, object]
    ) -> Iterator[SingleChange]:
        """Yield what modules installed when called, and no test did; see :meth:`packages_installing`."""
        for list_name, item in _installed(difference, self._own_items):
            if self._installer(list_name, item, modules) is not None:
                yield _change(list_name, item)

    def settle_entries(self, outcomes: Mapping[Any, Outcome]) -> None:
        """Let the entries that a module made outside of its package return with it.

        Args:
            outcomes: see :meth:`settle`.
        """
        returning: dict[Maker, tuple[str, ...]] = {}  # a module may make hundreds
        for name in EXECUTED.makers.entries:
            if outcomes.get(name) is not Outcome.PARK:
                continue
            maker = self._ownership.owner(SingleChange("entry", name, ABSENT, sys.modules.get(name)))
            if maker is not None and maker.module != name:
                packages = returning.get(maker)
                if packages is None:
                    packages = returning[maker] = _returning_with(maker, outcomes)
                top = top_level(name)
                if packages != (top,):
                    others = tuple(package for package in packages if package != top)
                    _entrust(others, Belonging("entry", name))

    def settle_classes(self, outcomes: Mapping[Any, Outcome]) -> None:
        """Undo what modules that leave did to the classes of finders.

        Args:
            outcomes: see :meth:`settle`.
        """
        made = EXECUTED.class_changes[self._first_class_change :]
        for change in reversed(made):
            fate = self._fate_of_class_change(change, outcomes)
            if fate.outcome is Outcome.KEEP:
                continue
            change.undo()
            EXECUTED.class_changes.remove(change)
            self.undone.insert(0, change)
            if fate.outcome is Outcome.PARK:
                _entrust(fate.packages, Belonging("class", change))

    def _fate_of_class_change(self, change: ClassChange, outcomes: Mapping[Any, Outcome]) -> _Fate:
        maker = change.maker
        fate = _Fate(self._outcome_of(maker, outcomes), _returning_with(maker, outcomes))
        if fate.outcome is Outcome.KEEP or change.after is ABSENT or change.name in text_of(maker.file or ""):
            return fate
        packages = _of_packages(outcomes)
        for home in homes_of(change.after):
            package, module = top_level(home), self._state.modules.get(home)
            if package == top_level(maker.module):
                break
            # The module called a library, which remembers what it did then.
            if module is not None and self._ownership.may_own(home, module):
                return _Fate(Outcome.KEEP)
            if packages.get(package, Outcome.FORGET) is not Outcome.FORGET:
                return fate.together_with(package, packages[package])
        return fate

    def note_entries(self, entries: Mapping[Any, object]) -> set[str]:
        """Let entries follow the libraries that made them when they were called.

        Args:
            entries: what is new in ``sys.modules``, and not the window's own.

        Returns:
            The names of those whose libraries survive: they belong to the surrounding state now.
        """
        # All that nobody was seen to make, and that does not look so, was imported.
        made = EXECUTED.makers.entries | self._entries.note(entries, self._files).keys()
        admitted = {}
        for name, module in entries.items():
            if type(name) is str and name in made:
                maker = self._ownership.owner(SingleChange("entry", name, ABSENT, module))
                if maker is not None and maker.is_call and self._is_surviving(maker.module):
                    admitted[name] = module
        self._state.admit(admitted)
        return set(admitted)

    def admit_installed_later(self, difference: Difference) -> bool:
        """Let what surviving modules installed when they were called belong to the surrounding state.

        What they took away again belongs to it no more.

        Returns:
            Whether there was any.
        """
        admitted = False
        for list_name, item in _installed(difference, self._own_items):
            if self._was_installed_by_a_survivor(list_name, item):
                self.admit(list_name, item)
                admitted = True
        for list_name, item in self._removed(difference):
            if self._ownership.remover(list_name, item, self._state.modules, self._texts(list_name, item)):
                admitted = True
                if list_name == _FUNCTION:
                    self._state.admit_import_function()
                else:
                    self._dismiss(list_name, item)
        admitted |= self._admit_exchanged(difference)
        return self._admit_cached_finders(difference) or admitted

    def _admit_exchanged(self, difference: Difference) -> bool:
        """Let what a library has put something of its own into the place of, or put back, be its affair.

        Libraries wrap all finders, and ask those themselves.
        """
        admitted = False
        for list_name, change in self._own_items.without_own(difference.lists).items():
            known = set(map(key_of, self._state.contents(list_name)))
            own = [item for item in change.added if key_of(item) in known]
            left = [item for item in change.removed if key_of(item) not in known]
            gone = [i for i in beyond(change.removed, left) if any(holds(item, i) for item in own)]
            back = [i for i in beyond(change.added, own) if any(holds(item, i) for item in left)]
            for item in gone:
                self._dismiss(list_name, item)
            for item in back:
                self.admit(list_name, item)
            if gone or back:
                self._follow_order(list_name)
                admitted = True
        return admitted

    def _dismiss(self, list_name: str, item: object) -> None:
        """Let a thing belong to the surrounding state no more."""
        self._state.hold_items(list_name, tuple(beyond(self._state.contents(list_name), [item])))

    def _follow_order(self, list_name: str) -> None:
        items = self._state.contents(list_name)
        others, now = without_own_finder(items), without_own_finder(items_of(list_name))
        if not beyond(now, others) and not beyond(others, now):
            self._state.hold_items(list_name, (*beyond(items, others), *now))

    def _admit_cached_finders(self, difference: Difference) -> bool:
        """Let finders that surviving libraries put into ``sys.path_importer_cache`` stay there."""
        found = self._cached_finders(difference, self._state.modules)
        for entry, finder, _ in found:
            self._state.finders = Entries({**self._state.finders.contents, entry: finder})
        return bool(found)

    def _entrust_cached_finders(self, difference: Difference, packages: Mapping[str, Outcome]) -> None:
        """Let those of libraries that leave return with them."""
        known = {package: FINDER.lot.module(package) or sys.modules.get(package) for package in packages}
        for entry, finder, home in self._cached_finders(difference, known):
            if packages[top_level(home)] is Outcome.PARK:
                _entrust((top_level(home),), Belonging(_CACHE, (entry, finder)))

    def _cached_finders(
        self, difference: Difference, modules: Mapping[Any, object]
    ) -> list[tuple[Any, object, str]]:
        """Return path entries with new finders that a library can have put there, each with its module."""
        found: list[tuple[Any, object, str]] = []
        if not difference.importer_cache:
            return found
        before = self._state.finders
        change = before.changes_to(Entries.of(self._state.importer_cache, before))
        replaced = {entry: finder for entry, (_, finder) in change.replaced.items()}
        for entry, finder in {**change.added, **replaced}.items():
            # Those of the import system were made by it: nothing is lost with them.
            if finder is None or top_level(class_home(type(finder))) in IMPORT_SYSTEM:
                continue
            texts = self._texts(_CACHE, finder)
            home = self._ownership.installer(_CACHE, finder, modules, texts)
            if home is not None and not any(says(text, "path_hooks") for text in texts):
                found.append((entry, finder, home))
        return found

    def _removed(self, difference: Difference) -> Iterator[tuple[str, object]]:
        for list_name, change in difference.lists.items():
            for item in change.removed:
                yield list_name, item
        if difference.import_function:
            yield _FUNCTION, self._state.import_function

    def _fate(
        self, list_name: str, item: object, outcomes: Mapping[Any, Outcome], packages: Mapping[str, Outcome]
    ) -> _Fate:
        if self._was_installed_by_a_survivor(list_name, item):
            return _Fate(Outcome.KEEP)
        maker = self._ownership.owner(_change(list_name, item))
        known = {package: FINDER.lot.module(package) or sys.modules.get(package) for package in packages}
        owner = owner_of(list_name, item, known)
        if maker is not None and (maker.module in outcomes or maker.module in FINDER.lot):
            fate = _Fate(self._outcome_of(maker, outcomes), _returning_with(maker, outcomes))
            if owner is None or packages[owner] is Outcome.FORGET or owner in fate.packages:
                return fate
            if list_name == _LAZY or says(text_of(maker.file or ""), list_name):
                return fate
            # The module called a library, which remembers what it did then.
            return fate.together_with(owner, packages[owner])
        if owner is None:  # nothing of it is of a package
            caller = self._installer(list_name, item, known)
            owner = None if caller is None else top_level(caller)
        return _Fate(Outcome.FORGET) if owner is None else _Fate(packages[owner], (owner,))

    def _installer(
        self, list_name: str, item: object, among: Mapping[Any, object] | None = None
    ) -> str | None:
        """Return the surviving module, or that of others, which can have installed an item when called."""
        if list_name == _LAZY:
            return None  # nothing about it says who may have called the function that sets it
        modules = self._state.modules if among is None else among
        return self._ownership.installer(list_name, item, modules, self._texts(list_name, item))

    def _was_installed_by_a_survivor(self, list_name: str, item: object) -> bool:
        """Tell whether a surviving module installed an item when it was called, as far as that is known."""
        change = _change(list_name, item)
        name = self._installer(list_name, item)
        if name is not None:
            if any(home not in self._state.modules for home in homes_of(item)):
                # It is remembered: when a part of the item has left, nobody sees it any more.
                file = file_of(self._state.modules.get(name))
                EXECUTED.attribute([change], Maker(name, file, is_call=True))
            return True
        maker = self._ownership.owner(change)
        return maker is not None and maker.is_call and self._is_surviving(maker.module)

    def _texts(self, list_name: str, item: object) -> list[str]:
        """Return the texts of the files that may have changed something themselves."""
        maker = EXECUTED.maker(_change(list_name, item))
        files = {*self._files(), *([maker.file] if maker and maker.file else [])}
        return [text_of(file) for file in files]

    def _outcome_of(self, maker: Maker, outcomes: Mapping[Any, Outcome]) -> Outcome:
        if self._ownership.is_test_code(maker):
            return Outcome.FORGET
        if maker.module in outcomes:
            return outcomes[maker.module]
        if maker.module in FINDER.lot:  # it had been imported by what came back
            return Outcome.PARK
        return Outcome.KEEP if self._is_surviving(maker.module) else Outcome.FORGET

    def _is_surviving(self, name: str) -> bool:
        return self._state.modules.get(name) is sys.modules.get(name, ABSENT)

    def admit(self, list_name: str, item: object) -> None:
        """Let a thing belong to the surrounding state."""
        if list_name == _FUNCTION:
            self._state.admit_import_function()
        elif list_name == _LAZY:
            self._state.admit_lazy_imports()
        else:
            self._state.admit_item(list_name, item, _place(list_name, item))


def _returning_with(maker: Maker, outcomes: Mapping[Any, Outcome]) -> tuple[str, ...]:
    """Return the packages that bring something back: that of its maker, and those that had imported it.

    They have it imported already, and will not do so again.
    """
    names = (name for name in maker.around if outcomes.get(name) is Outcome.PARK)
    return tuple(dict.fromkeys(map(top_level, (maker.module, *names))))


def _entrust(packages: tuple[str, ...], belonging: Belonging) -> None:
    for package in packages:
        FINDER.lot.entrust(package, belonging)


def _of_packages(outcomes: Mapping[Any, Outcome]) -> dict[str, Outcome]:
    """Return what becomes of packages of the top level: the best of what becomes of their modules."""
    packages: dict[str, Outcome] = {}
    for name, outcome in outcomes.items():
        if type(name) is str:
            package = top_level(name)
            packages[package] = max(outcome, packages.get(package, Outcome.FORGET))
    return packages


def _place(list_name: str, item: object) -> Place:
    # What comes back stands behind the finder.
    return place_of(item, () if list_name in _SINGLE else without_own_finder(items_of(list_name)))


def _change(list_name: str, item: object) -> SingleChange:
    return SingleChange(list_name, "" if list_name in _SINGLE else key_of(item), ABSENT, item)


def _installed(difference: Difference, own: OwnItems) -> Iterator[tuple[str, object]]:
    for list_name, change in own.without_own(difference.lists).items():
        for item in change.added:
            yield list_name, item
    if difference.import_function:
        yield _FUNCTION, import_function()
    if difference.lazy_imports:
        yield _LAZY, difference.lazy_imports[1]
