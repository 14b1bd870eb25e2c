"""The parking lot, where foreign modules wait outside ``sys.modules``, and the door they return through.

A foreign module must never be executed a second time in one process: many extension modules refuse,
misbehave or crash, and what leans on them breaks. So a module that has to leave ``sys.modules`` is put
aside, and the next import of it, wherever it happens, gets the same object back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple, Protocol

from pytest_import_isolation.bindings import bind, depth
from pytest_import_isolation.changes import ModuleChange
from pytest_import_isolation.machinery import (
    ABSENT,
    find_spec,
    import_lock,
    is_being_loaded,
    location_in,
    names_being_imported,
    namespace,
    parent_of,
    top_level,
)
from pytest_import_isolation.state import drop_entries, insert_items, move_to_front, put_in, remove_finder


class ParkedModule(NamedTuple):
    """A module outside ``sys.modules``, and what its package held under its name."""

    module: object
    binding: object


class Belonging(NamedTuple):
    """A path entry, finder or hook that a package had installed, which leaves and returns with it."""

    list_name: str
    item: object
    in_front: bool


def owner_of(list_name: str, item: object, packages: Mapping[str, object]) -> str | None:
    """Return the package that installed a finder, hook or path entry, or None.

    A finder's class says where it comes from; a path entry belongs to the package whose folder holds it
    (setuptools adds its ``_vendor``).

    Args:
        list_name: ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
        item: what was found in that list.
        packages: the top-level packages to choose from.
    """
    if list_name == "path":
        if not isinstance(item, str):
            return None
        for package, module in packages.items():
            folder = _folder(module)
            if folder and item.startswith(folder + os.sep):
                return package
        return None
    home = item.__module__ if isinstance(item, (type, FunctionType)) else type(item).__module__
    package = top_level(home) if isinstance(home, str) else ""
    return package if package in packages else None


def _folder(module: object) -> str | None:
    file = (namespace(module) or {}).get("__file__")
    if isinstance(file, str) and os.path.basename(file).startswith("__init__."):
        return os.path.dirname(file)
    return None


def item_text(item: object) -> str:
    """Return a path entry as it is, and any other item as the name of its class or function."""
    if isinstance(item, str):
        return item
    named = item if isinstance(item, (type, FunctionType)) else type(item)
    return f"{named.__module__}.{named.__qualname__}"


class ParkingLot:
    """Modules by the top-level package they belong to; a package comes back as a whole."""

    def __init__(self) -> None:
        self._packages: dict[str, dict[str, ParkedModule]] = {}
        self._belongings: dict[str, list[Belonging]] = {}
        # Every module that ever came back, so that one which is thrown out of sys.modules behind our
        # back (mock.patch.dict does it) can be parked again and is never freed.
        self._returned: dict[str, ParkedModule] = {}
        self._retired: list[object] = []
        self._told: dict[str, tuple[object, ModuleChange]] = {}
        #: Counts what is parked.
        self.clock = 0
        # For each name: the identity of the module that was parked under it last, and when that was
        # parked first.
        self._since: dict[str, tuple[int, int]] = {}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._packages.get(top_level(name), ())

    def __bool__(self) -> bool:
        return bool(self._packages)

    def __iter__(self) -> Iterator[str]:
        # Copies: another thread may be parking.
        return (name for package in list(self._packages.values()) for name in list(package))

    def module(self, name: str) -> object:
        """Return the parked module, or ABSENT."""
        parked = self._packages.get(top_level(name), {}).get(name)
        return ABSENT if parked is None else parked.module

    def companions(self, name: str) -> list[str]:
        """Return the parked modules of the package that a module belongs to."""
        return list(self._packages.get(top_level(name), ()))

    def park(self, modules: Mapping[str, ParkedModule]) -> None:
        """Take modules over; nothing is kept of a package in whose place another one comes."""
        with import_lock():  # another thread may be bringing the package back
            for package in modules.keys() & self._packages.keys():
                self._make_way(package, modules[package].module)
            for name, parked in modules.items():
                earlier = self._packages.setdefault(top_level(name), {}).get(name)
                if earlier is not None and earlier.module is not parked.module:
                    self.retire([earlier.module])
                self._packages[top_level(name)][name] = parked
                if self._since.get(name, (0, 0))[0] != id(parked.module):
                    self.clock += 1
                    self._since[name] = (id(parked.module), self.clock)

    def _make_way(self, package: str, module: object) -> None:
        """Give up what belongs to the parked package in whose place one from another directory comes."""
        parked = self._packages[package]
        folder = _folder(module)
        if folder is not None and package in parked and lie_apart(parked[package].module, module):
            for name, (old, _) in list(parked.items()):
                file = (namespace(old) or {}).get("__file__")
                if not isinstance(file, str) or not file.startswith(folder + os.sep):
                    self.retire([parked.pop(name).module])

    def park_again(self, modules: Mapping[str, object]) -> None:
        """Take modules out of ``sys.modules`` that came back, as they were when they were parked.

        The attributes by which packages among them hold others stay: the packages leave too.
        """
        with import_lock():
            for name in drop_entries(modules):
                self._packages.setdefault(top_level(name), {})[name] = self._returned[name]

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
            known = self._belongings.setdefault(package, [])
            if not any(belonging.item is other.item for other in known):
                known.append(belonging)

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
        return any(item is belonging.item for items in self._belongings.values() for belonging in items)

    def retire(self, modules: Iterable[object]) -> None:
        """Keep objects alive for the rest of the process: freeing an extension module can crash it."""
        self._retired.extend(modules)

    def bring_back(self, name: str, *, is_asked: bool = True) -> None:
        """Put a parked module and its package's other parked modules back into ``sys.modules``.

        A module that another thread is importing at this moment stays: that thread meets the door.

        Args:
            name: the module.
            is_asked: whether this thread is importing it now.
        """
        package = top_level(name)
        with import_lock():
            parked = self._packages.pop(package, {})
            if name not in parked:  # another thread was faster: with the package, or with giving it up
                self._packages.update({package: parked} if parked else {})
                return
            busy = names_being_imported()
            later = {n: p for n, p in parked.items() if n in busy and not (is_asked and n == name)}
            for other in sorted(parked.keys() - later.keys(), key=depth):
                module, binding = self._returned[other] = parked[other]
                if (is_asked and other == name) or other not in sys.modules:
                    # A package that was parked too has kept its attribute.
                    put_in(other, module, ABSENT if parent_of(other)[0] in parked else binding)
            if later:
                self._packages[package] = later
            for belonging in self._belongings.pop(package, ()):
                after = _behind_the_door() if belonging.list_name == "meta_path" else 0
                insert_items(belonging.list_name, [belonging.item], in_front=belonging.in_front, after=after)

    def bring_all_back(self) -> None:
        """Put every parked module back."""
        for name in list(self):
            self.bring_back(name, is_asked=False)

    def was_parked(self, name: object, module: object, at: int) -> bool:
        """Tell whether a module that is loaded now was parked when the clock stood there."""
        if not isinstance(name, str) or self.returned(name) is not module:
            return False
        if namespace(module) is None:  # a number or a string is the same object each time it is made
            return False
        identity, since = self._since[name]
        return identity == id(module) and since <= at

    def returned(self, name: str) -> object:
        """Return the module that came back under this name earlier in the process, or ABSENT."""
        parked = self._returned.get(name)
        return ABSENT if parked is None else parked.module


def lie_apart(module: object, other: object) -> bool:
    """Tell whether two modules are known to lie in different places: neither is a copy of the other."""
    place, other_place = (location_in((namespace(each) or {}).get("__spec__")) for each in (module, other))
    return place is not None and other_place is not None and not _is_same_place(place, other_place)


def _is_same_place(known: object, found: object) -> bool:
    if known == found:
        return True
    if not isinstance(known, str) or not isinstance(found, str):
        return False
    # An entry of sys.path may be written in several ways.
    return os.path.realpath(known) == os.path.realpath(found)


def _behind_the_door() -> int:
    return next((place for place, finder in enumerate(sys.meta_path, 1) if is_door(finder)), 0)


class _ReadyLoader:
    """Hands a module that was executed before to importlib in place of executing it.

    Args:
        name: the module's name.
        module: the object.
        arrive: called in place of the execution.
    """

    # What importlib writes into a module that it is about to execute.
    _WRITTEN = ("__name__", "__loader__", "__package__", "__spec__", "__path__")

    def __init__(self, name: str, module: object, arrive: Callable[[], object]) -> None:
        self._name = name
        self._module = module
        self._arrive = arrive
        self._attributes: dict[str, object] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module itself, where that is safe."""
        module = self._module
        # Only a plain module is handed over directly, which lets other threads wait for it properly.
        # importlib would write attributes into any other object, or ask it for some: that gets a
        # stand-in here, and exec_module() puts the object in its place.
        if type(module) is not ModuleType:
            return None
        own = module.__dict__
        self._attributes = {key: own.get(key, ABSENT) for key in self._WRITTEN}
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Let the module arrive; nothing is executed."""
        for key, value in self._attributes.items():
            bind(namespace(module), key, value)
        self._arrive()
        # In place of a stand-in, and also if the module was no longer waiting.
        put_in(self._name, self._module)


class Door:
    """The finder at position 0 of ``sys.meta_path``, or behind the finders that a test put there to be tried.

    It lets parked modules return, tells listeners of every import of an uncached module, and answers None
    to all else. It is on ``sys.meta_path`` only while something is parked or somebody listens.
    """

    def __init__(self) -> None:
        #: Where modules wait that left ``sys.modules``.
        self.lot = ParkingLot()
        #: Finders under test, which are asked before it.
        self.ahead: list[object] = []
        #: Give the specs of fake modules.
        self.fakers: list[Faker] = []
        # Where a parked module lies, and the path on which it was found there last: looking costs.
        self._found: dict[str, tuple[object, tuple[object, ...]]] = {}
        # The path on which finders looked for a module of the top level last, because it was not here.
        self._searched: dict[str, tuple[object, ...]] = {}
        self._listeners: list[Listener] = []
        self._lenders: list[Lender] = []

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Answer importlib: a spec for a fake, or for a parked module that is to be loaded; else None."""
        for spec_of in reversed(self.fakers):  # the window that was opened last knows best
            spec = spec_of(name)
            if spec is not None:
                return spec
        if target is not None:
            for listener in tuple(self._listeners):
                listener.reloading(name, target)
            return None
        if not self._listeners and not self._lenders and name not in self.lot:
            return None
        # importlib.util.find_spec() must get the real spec, and is no import.
        if not is_being_loaded(name):
            return None
        for listener in tuple(self._listeners):
            listener.importing(name)
        if name in self.lot and self._is_meant(name, path):
            # The module now, under the import lock: when it is loaded, another thread may have been faster.
            loader = _ReadyLoader(name, self.lot.module(name), lambda: self.lot.bring_back(name))
            return ModuleSpec(name, loader, origin="parked")  # type: ignore[arg-type]
        lent = next(filter(None, (lend(name) for lend in tuple(self._lenders))), None)
        if lent is None:
            if path is None:
                self._searched[name] = tuple(sys.path)
            return None
        loader = _ReadyLoader(name, lent.module, lambda: put_in(name, *lent))
        return ModuleSpec(name, loader, origin="lent")  # type: ignore[arg-type]

    def _is_meant(self, name: str, path: object) -> bool:
        """Tell whether an import means the parked module, and not another one of its name.

        Its directory may have left ``sys.path``, or one before it may have another module of that name.
        """
        top = top_level(name)
        if top != name and sys.modules.get(top) is self.lot.returned(top):
            return True  # it came back with its package
        spec: Any = (namespace(self.lot.module(name)) or {}).get("__spec__")
        known = location_in(spec)
        if known is None or (namespace(spec) or {}).get("name") != name:
            return True  # nothing is known of how it was found, or it was put there by hand
        places: Any = path
        entries = tuple(sys.path if path is None else places)
        searched = (known, entries)
        if self._found.get(name) == searched or (path is None and self._searched.get(name) == entries):
            return True
        found = PathFinder.find_spec(name, places)
        if not _is_same_place(known, location_in(found)):
            found = find_spec(name, path, is_door)
            if found is None:
                # What was unloaded may have been loaded from a file that no finder knows. A submodule of
                # another copy of its package is another one.
                return top == name
            if not _is_same_place(known, location_in(found)):
                return False
        self._found[name] = searched
        return True

    def listen(self, listener: Listener) -> None:
        """Tell the listener of imports from now on."""
        self._listeners.append(listener)
        self.settle()

    def unlisten(self, listener: Listener) -> None:
        """Stop telling the listener."""
        self._listeners.remove(listener)
        self.settle()

    def lend_from(self, lender: Lender) -> None:
        """Ask a lender for modules that are neither loaded nor parked, from now on."""
        self._lenders.append(lender)
        self.settle()

    def stop_lending_from(self, lender: Lender) -> None:
        """Ask it no more."""
        self._lenders.remove(lender)
        self.settle()

    def settle(self) -> None:
        """Take position 0 of ``sys.meta_path``, or leave it if there is nothing to do."""
        if self.lot or self._listeners or self._lenders:
            move_to_front(self, behind=self.ahead)
        else:
            remove_finder(self)


#: Gives the spec of a fake module, or None for any other name.
Faker = Callable[[str], "ModuleSpec | None"]

#: Gives a module that is about to be executed, executed already; or None.
Lender = Callable[[str], "ParkedModule | None"]


class Listener(Protocol):
    """What the door tells of imports to."""

    def importing(self, name: str) -> None:
        """Note that an import statement, or its like, asks for a module that is not loaded."""

    def reloading(self, name: str, module: object) -> None:
        """Note that ``importlib.reload`` is about to execute a module again."""


#: The one door of the process. Like ``sys.modules`` it belongs to the process and not to a run: a module
#: parked by an inner pytest run must return in the outer one, or it would be executed twice.
DOOR: Final = Door()


def is_door(finder: object) -> bool:
    """Tell whether a finder is a door of this package (a second copy of the package has another one)."""
    return type(finder).__name__ == "Door" and type(finder).__module__ == __name__


def without_doors(items: Iterable[object]) -> tuple[object, ...]:
    """Return what a list of ``sys`` holds beside the door."""
    return tuple(item for item in items if not is_door(item))
