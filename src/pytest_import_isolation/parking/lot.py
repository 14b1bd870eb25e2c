"""The parking lot, where foreign modules wait outside of ``sys.modules``.

A foreign module must never be executed a second time in one process: many extension modules refuse,
misbehave or crash, and what leans on them breaks. So a module that has to leave ``sys.modules`` is put
aside, and the next import of it, wherever it happens, gets the same object back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container, Iterable, Iterator, KeysView, Mapping
from contextlib import suppress
from importlib.machinery import ExtensionFileLoader
from typing import Any
from weakref import WeakValueDictionary

from pytest_import_isolation.machinery.locks import import_lock, names_being_imported
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    home_of,
    location_in,
    modules_among,
    namespace,
    parent_of,
    spec_of,
    spec_value,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.parking.belongings import Belonging, folder_of
from pytest_import_isolation.parking.looked_up import LookedUp
from pytest_import_isolation.parking.made_modules import original
from pytest_import_isolation.state.changes import ModuleChange
from pytest_import_isolation.state.list_changes import key_of
from pytest_import_isolation.state.submodule_attributes import bind, depth, parent_namespace
from pytest_import_isolation.state.writing import (
    drop_entries,
    insert_item,
    put_finder,
    put_in,
    rebind,
    set_lazy_imports,
)
from pytest_import_isolation.watching.executed_modules import EXECUTED


class ParkedModule(NamedTuple):
    """A module outside ``sys.modules``, and what its package held under its name."""

    module: object
    binding: object
    #: The package above it that it belongs to; ABSENT where any of that name will do.
    package: object = ABSENT
    #: Tells whether a second copy may come back: somebody threw out the first one, which others have. None
    #: for what is no such copy.
    is_meant_here: Callable[[], bool] | None = None


class ParkingLot:
    """Modules by the top-level package they belong to; a package comes back as a whole."""

    def __init__(self) -> None:
        self._packages: dict[str, dict[str, ParkedModule]] = {}
        # By package, and by the list in which each stands and its key.
        self._belongings: dict[str, dict[tuple[str, object], Belonging]] = {}
        # Every module that ever came back, so that one which is thrown out of sys.modules behind our
        # back (mock.patch.dict does it) can be parked again and is never freed.
        self._returned: dict[str, ParkedModule] = {}
        # By identity, which is nobody else's as long as they live.
        self._retired: dict[int, object] = {}
        # Foreign modules that windows forgot: they may go, and nobody else has thrown them out.
        self._forgotten: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._told: dict[str, tuple[object, ModuleChange]] = {}
        #: Returns the modules in whose places code has put others in ``sys.modules`` for now, by their names.
        self.replaced: Callable[[], Mapping[str, object]] = dict
        #: Counts what is parked.
        self.clock = 0
        # For each package, when that was found out, and the other packages that its modules hold.
        self._held: dict[str, tuple[int, set[str]]] = {}
        #: What extension modules look up: it comes back with them.
        self.looked_up = LookedUp()
        # The packages of the top level of which an extension module was parked: it must never be executed
        # twice, and works with the modules that it was executed with.
        self._of_c: set[str] = set()
        # For each name: the identity of the module that was parked under it last, and when that was
        # parked first.
        self._since: dict[str, tuple[int, int]] = {}

    def __contains__(self, name: object) -> bool:
        if not self._packages or type(name) is not str:
            return False
        return name in self._packages.get(top_level(name), ())

    def __bool__(self) -> bool:
        return bool(self._packages)

    def __iter__(self) -> Iterator[str]:
        # Copies: another thread may be parking.
        return (name for package in list(self._packages.values()) for name in list(package))

    def names_among(self, loaded: KeysView[Any]) -> list[str]:
        """Return those of some names under which modules are parked."""
        return [name for package in list(self._packages.values()) for name in package.keys() & loaded]

    def module(self, name: object) -> object:
        """Return the parked module, or ABSENT."""
        if type(name) is not str:
            return ABSENT
        parked = self._packages.get(top_level(name), {}).get(name)
        return ABSENT if parked is None else parked.module

    def companions(self, name: str) -> list[str]:
        """Return the parked modules that come back with one: of its package, and of those that this uses."""
        return [other for package in self._group(name) for other in list(self._packages.get(package, ()))]

    def belongs_here(self, name: str) -> bool:
        """Tell whether the package above a parked module is the one that it left.

        A package that is executed anew gets new submodules: what the old ones use is not theirs. And who
        throws out a module to have it executed anew does not get the copy that somebody else had made so.
        """
        parked = self._packages.get(top_level(name), {}).get(name)
        if parked is None or top_level(name) in self._of_c:
            return True
        if self._is_meant_elsewhere(top_level(name), parked) or _uses(parked.module, self.replaced()):
            return False
        above = sys.modules.get(parent_of(name)[0], ABSENT)
        return parked.package is ABSENT or above is ABSENT or original(above) is parked.package

    def _is_meant_elsewhere(self, package: str, parked: ParkedModule) -> bool:
        """Tell whether a module of a package is a copy of somebody else's; C code has one copy for all."""
        is_meant_here = parked.is_meant_here
        return is_meant_here is not None and package not in self._of_c and not is_meant_here()

    def _group(self, name: str) -> list[str]:
        """Return the top-level packages that come back together with a parked module.

        Its code has imported submodules of other packages, and uses them as their attributes.
        """
        group, waiting = list[str](), [top_level(name)]
        while waiting:
            package = waiting.pop()
            if package not in group and package in self._packages:
                group.append(package)
                known = self._held.get(package)
                if known is None or known[0] != self.clock:
                    known = self._held[package] = (self.clock, self._find_held(package))
                waiting += known[1]
        return group

    def _find_held(self, package: str) -> set[str]:
        """Return the other top-level packages that modules of a parked package hold, or look up."""
        found: set[str] = set()
        for own_name, parked in list(self._packages[package].items()):
            found.update(map(top_level, self.looked_up.by(own_name)))
            for module in modules_among(list((namespace(parked.module) or {}).values())):
                if "__path__" in module.__dict__:
                    name = module.__dict__.get("__name__")
                    if type(name) is str and self._is_package(name, module):
                        found.add(top_level(name))
        return found - {package}

    def _is_package(self, name: str, value: object) -> bool:
        return sys.modules.get(name) is value or self.module(name) is value

    def park(self, modules: Mapping[str, ParkedModule]) -> None:
        """Take modules over; nothing is kept of a package in whose place another one comes."""
        with import_lock():  # another thread may be bringing the package back
            for package in modules.keys() & self._packages.keys():
                self._make_way(package, modules[package].module)
            for name, (given, bound, above, is_meant_here) in modules.items():
                module = original(given)  # what a caller made of it
                binding = module if bound is given else original(bound)
                top = top_level(name)
                of_package = self._packages.setdefault(top, {})
                earlier = of_package.get(name)
                if earlier is not None and earlier.module is not module:
                    self.retire([earlier.module])
                of_package[name] = ParkedModule(module, binding, original(above), is_meant_here)
                if type(spec_value(spec_of(module), "loader")) is ExtensionFileLoader:
                    self._of_c.add(top)
                if self._since.get(name, (0, 0))[0] != id(module):
                    self.clock += 1
                    self._since[name] = (id(module), self.clock)

    def _make_way(self, package: str, module: object) -> None:
        """Give up what belongs to the parked package in whose place one from another directory comes."""
        parked = self._packages[package]
        folder = folder_of(module)
        if folder is not None and package in parked and lie_apart(parked[package].module, module):
            for name, (old, *_) in list(parked.items()):
                file = (namespace(old) or {}).get("__file__")
                if type(file) is not str or not file.startswith(folder + os.sep):
                    self.retire([parked.pop(name).module])

    def park_again(self, modules: Mapping[str, object]) -> None:
        """Take modules out of ``sys.modules`` that came back, as they were when they were parked.

        The attributes by which packages among them hold others stay: the packages leave too.
        """
        with import_lock():
            for name in drop_entries(modules):
                self._packages.setdefault(top_level(name), {})[name] = self._returned[name]

    def park_as_before(self, name: str) -> None:
        """Park a module again that came back and was thrown out since, as it was parked then.

        Whoever threw it out may have taken it off its package, too.
        """
        self.park({name: self._returned[name]})

    def told(self, name: str, tell: Callable[[str, object], ModuleChange]) -> ModuleChange:
        """Return how it is told that a module is parked, which is put into words once."""
        module = self.returned(name)
        known = self._told.get(name)
        if known is None or known[0] is not module:
            known = self._told[name] = (module, tell(name, module))
        return known[1]

    def entrust(self, package: str, belonging: Belonging) -> None:
        """Take over what a top-level package had installed; it returns with the package."""
        with import_lock():
            known = self._belongings.setdefault(package, {})
            known.setdefault((belonging.list_name, key_of(belonging.item)), belonging)

    def withdraw(self, covers: Callable[[str], object]) -> dict[str, ParkedModule]:
        """Take out of the lot, without bringing them back, the modules for which ``covers`` is true."""
        taken: dict[str, ParkedModule] = {}
        with import_lock():  # another thread may be bringing a package back
            for package in list(self._packages):
                parked = self._packages[package]
                for name in [name for name in parked if covers(name)]:
                    taken[name] = parked.pop(name)
                if not parked:
                    del self._packages[package]
        return taken

    def drop(self, covers: Callable[[str], object]) -> None:
        """Give up the modules for which ``covers`` is true: another copy takes their place."""
        self.retire(parked.module for parked in self.withdraw(covers).values())

    def holds(self, item: object) -> bool:
        """Tell whether a finder, hook or path entry is waiting here with its package."""
        return any(item is each.item for known in self._belongings.values() for each in known.values())

    def retire(self, modules: Iterable[object]) -> None:
        """Keep objects alive for the rest of the process: freeing an extension module can crash it."""
        self._retired.update((id(module), module) for module in modules)

    def forget(self, module: object) -> None:
        """Take note that a window has forgotten a foreign module; only what it was can be asked later."""
        with suppress(TypeError):  # nothing can refer to it weakly
            self._forgotten[id(module)] = module

    def has_given_up(self, module: object) -> bool:
        """Tell whether it was here that a module left for good: another copy comes into its place."""
        return id(module) in self._retired or self._forgotten.get(id(module)) is module

    def bring_back(self, name: str, *, is_asked: bool = True) -> None:
        """Put a parked module and its package's other parked modules back into ``sys.modules``.

        A module that another thread is importing at this moment stays: that thread meets the finder.

        Args:
            name: the module.
            is_asked: whether this thread is importing it now.
        """
        with import_lock():
            if name in self:  # else another thread was faster: with the package, or with giving it up
                self._bring_group_back(name, name if is_asked else "", names_being_imported())
                EXECUTED.synchronize()

    def _bring_group_back(self, name: str, asked: str, busy: Container[str]) -> None:
        for package in self._group(name):
            self._bring_package_back(package, asked, busy)
            for belonging in self._belongings.pop(package, {}).values():
                self._put_in_place(belonging, busy)

    def _bring_package_back(self, package: str, asked: str, busy: Container[str]) -> None:
        parked = self._packages.pop(package, {})  # it may have returned with what another one had installed
        later: dict[str, ParkedModule] = {}
        # One that is alone was asked for, and belongs here.
        replaced = self.replaced() if len(parked) > 1 and package not in self._of_c else {}
        spaces: dict[str, dict[str, Any] | None] = {}
        # A package is there before what is below it.
        for other in sorted(parked, key=depth):
            module, binding, above, _ = returning = parked[other]
            parent, child = parent_of(other)
            if other != asked and (
                other in busy
                # Another copy of its package is there.
                or (above is not ABSENT and sys.modules.get(parent, above) is not above)
                or self._is_meant_elsewhere(package, returning)
                or _uses(module, replaced)
            ):
                later[other] = returning
                continue
            self._returned[other] = returning
            if other == asked or other not in sys.modules:
                put_in(other, module)
                if parent not in spaces:
                    spaces[parent] = parent_namespace(other)
                space = spaces[parent]
                # A package that left with it has kept its attribute; one that left later had lost it.
                if space is not None and binding is not ABSENT and not (parent in parked and child in space):
                    bind(space, child, binding)
        if later:
            self._packages[package] = later

    def _put_in_place(self, belonging: Belonging, busy: Container[str]) -> None:
        list_name, item, place = belonging
        if list_name == "import_function":
            rebind("builtins.__import__", item)
        elif list_name == "lazy_imports":
            set_lazy_imports(item)
        elif list_name == "class":
            item.redo()
            EXECUTED.class_changes.append(item)
        elif list_name == "path_importer_cache":
            put_finder(*item)
        elif list_name == "entry":
            if item in self:  # else it is back already
                self._bring_group_back(item, "", busy)
        else:
            insert_item(list_name, item, place)

    def bring_all_back(self) -> None:
        """Put every parked module back."""
        for name in list(self):
            self.bring_back(name, is_asked=False)

    def was_parked(self, name: object, module: object, at: int) -> bool:
        """Tell whether a module that is loaded now was parked when the clock stood there."""
        if type(name) is not str or self.returned(name) is not module:
            return False
        if namespace(module) is None:  # a number or a string is the same object each time it is made
            return False
        identity, since = self._since[name]
        return identity == id(module) and since <= at

    def returned(self, name: str) -> object:
        """Return the module that came back under this name earlier in the process, or ABSENT."""
        parked = self._returned.get(name)
        return ABSENT if parked is None else parked.module


def _uses(module: object, others: Mapping[str, object]) -> bool:
    """Tell whether a module holds one of some others, or a function or class of one.

    Who puts something else into their places has it executed anew, to use that; before, such code throws it
    out of ``sys.modules``, and does not see that it is not there.
    """
    if not others:
        return False
    values = list((namespace(module) or {}).values())
    if not set(map(id, others.values())).isdisjoint(map(id, values)):
        return True
    homes = filter(None, map(home_of, values))
    return any(home in others for home, _ in homes)


def lie_apart(module: object, other: object) -> bool:
    """Tell whether two modules are known to lie in different places: neither is a copy of the other."""
    place, other_place = (location_in(spec_of(each)) for each in (module, other))
    return place is not None and other_place is not None and not is_same_place(place, other_place)


def is_same_place(known: object, found: object) -> bool:
    """Tell whether two locations, as :func:`.location_in` says them, are one."""
    if known == found:  # strings, or tuples of what stands in a list
        return True
    if type(known) is not str or type(found) is not str:
        return False
    # An entry of sys.path may be written in several ways.
    return os.path.realpath(known) == os.path.realpath(found)
