"""The finder through which parked modules return, and which tells listeners of every import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from operator import is_
from types import FrameType, ModuleType
from typing import Any, Final, Protocol

from pytest_import_isolation.machinery.finders import (
    ListedPath,
    SearchedPath,
    delegating_finders,
    find_spec,
    is_as_listed,
    is_own_finder,
    listed_path,
    searched_path,
    spec_from,
)
from pytest_import_isolation.machinery.frames import loading_frame
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    location_in,
    namespace,
    spec_of,
    spec_value,
    top_level,
)
from pytest_import_isolation.parking.lot import ParkedModule, ParkingLot, is_same_place
from pytest_import_isolation.parking.made_modules import prepare
from pytest_import_isolation.state.differences import items_of
from pytest_import_isolation.state.submodule_attributes import bind
from pytest_import_isolation.state.writing import (
    move_to_front,
    put_in,
    remove_finder,
)


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


class ParkedModuleFinder:
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
        self._found: dict[str, tuple[object, SearchedPath]] = {}
        # The path on which finders looked for a module of the top level last, because it was not here.
        self._searched: dict[str, ListedPath] = {}
        self._listeners: list[Listener] = []
        self._lenders: list[Lender] = []
        # The ready modules for which other finders are being asked, and whether one asked for it in turn.
        self._handing: dict[str, bool] = {}
        # All finders as of when it went to the front of others that had been put before it.
        self._overtaking: tuple[object, ...] = ()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Answer importlib: a spec for a fake, or for a parked module that is to be loaded; else None."""
        for fake_for in reversed(self.fakers):  # the window that was opened last knows best
            spec = fake_for(name)
            if spec is not None:
                return spec
        if target is not None:
            for listener in tuple(self._listeners):
                listener.reloading(name, target)
            return None
        if not self._listeners and not self._lenders and name not in self.lot:
            return None
        # importlib.util.find_spec() must get the real spec, and is no import.
        loading = loading_frame(name)
        if loading is None:
            for listener in tuple(self._listeners):
                listener.seeking(name)
            return self._real_spec(name, path)
        for listener in tuple(self._listeners):
            listener.importing(name, loading)
        self.lot.looked_up.note(name, loading)
        is_waiting = name in self.lot
        if is_waiting and self.lot.belongs_here(name) and self._is_meant(name, path):
            # The module now, under the import lock: when it is loaded, another thread may have been faster.
            loader = _ReadyLoader(name, self.lot.module(name), lambda: self.lot.bring_back(name))
            return self._handed_on(ModuleSpec(name, loader, origin="parked"), path)  # type: ignore[arg-type]
        lenders = tuple(self._lenders)
        lent = next(filter(None, (lend(name) for lend in lenders)), None) if lenders else None
        if lent is None:
            # The other finders look for it now; what waits here was found elsewhere.
            if is_waiting:
                self._searched.pop(name, None)
            elif path is None:
                self._searched[name] = listed_path(items_of("path"))
            return None
        loader = _ReadyLoader(name, lent.module, lambda: put_in(name, lent.module, lent.binding))
        return self._handed_on(ModuleSpec(name, loader, origin="lent"), path)  # type: ignore[arg-type]

    def _handed_on(self, ready: ModuleSpec, path: object) -> ModuleSpec:
        """Return the spec that a finder behind this one makes of a ready module's, or that spec itself.

        Libraries call functions when a module has been imported. Their finder asks all the others and wraps
        the loader that it gets, so it asks this one again. The spec of one that did not ask loads another
        module.
        """
        if ready.name in self._handing:
            self._handing[ready.name] = True
            return ready
        self._handing[ready.name] = False
        try:
            for finder in delegating_finders():
                spec = spec_from(finder, ready.name, path)
                if spec is not None and spec is not ABSENT:
                    return spec if self._handing[ready.name] else ready
        finally:
            del self._handing[ready.name]
        return ready

    def _real_spec(self, name: str, path: object) -> ModuleSpec | None:
        """Return the spec that other finders have for a parked module; None if importlib is to ask them."""
        if name not in self.lot or not self.lot.belongs_here(name):
            return None
        spec = find_spec(name, path, is_own_finder, stops=True)
        parked = self.lot.module(name)
        known = location_in(spec_of(parked))
        if type(spec) is not ModuleSpec or known is None or not is_same_place(known, location_in(spec)):
            return None
        prepare(spec, parked, lambda: self.lot.bring_back(name))
        return spec

    def _is_meant(self, name: str, path: object) -> bool:
        """Tell whether an import means the parked module, and not another one of its name.

        Its directory may have left ``sys.path``, or one before it may have another module of that name.
        """
        top = top_level(name)
        if top != name and sys.modules.get(top) is self.lot.returned(top):
            return True  # it came back with its package
        spec = spec_of(self.lot.module(name))
        known = location_in(spec)
        if known is None or spec_value(spec, "name") != name:
            return True  # nothing is known of how it was found, or it was put there by hand
        places: Any = path
        entries = items_of("path") if path is None else places
        searched = (known, searched_path(entries))
        if self._found.get(name) == searched:
            return True
        if path is None and name in self._searched and is_as_listed(self._searched[name], entries):
            self._found[name] = searched
            return True
        found = PathFinder.find_spec(name, places)
        if not is_same_place(known, location_in(found)):
            found = find_spec(name, path, is_own_finder)
            if found is None:
                # What was unloaded may have been loaded from a file that no finder knows. A submodule of
                # another copy of its package is another one.
                return top == name
            if not is_same_place(known, location_in(found)):
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
        if self._listeners or self._lenders or self.lot:
            was_taken_out = self.give_back()
            overtakes = move_to_front(self, behind=self.ahead) or was_taken_out
            if overtakes and not self.ahead:
                self._overtaking = tuple(sys.meta_path)
        else:
            self._overtaking = ()
            remove_finder(self)

    def give_back(self) -> bool:
        """Let ``sys.meta_path.pop(0)`` have taken out what it was meant for, and not this finder.

        Libraries put a finder first and take out the first one again; in between this one went to the front.

        Returns:
            Whether it was taken out so.
        """
        finders = getattr(sys, "meta_path", None)
        others = self._overtaking[1:]
        if not others or type(finders) is not list or any(finder is self for finder in finders):
            return False
        self._overtaking = ()
        start = len(finders) - len(others)
        # They may have put another one first since then.
        if start < 0 or not all(map(is_, finders[start:], others)):
            return False
        del finders[start]
        return True


#: Gives the spec of a fake module, or None for any other name.
Faker = Callable[[str], "ModuleSpec | None"]
#: Gives a module that is about to be executed, executed already; or None.
Lender = Callable[[str], "ParkedModule | None"]


class Listener(Protocol):
    """What the finder tells of imports to."""

    def importing(self, name: str, loading: FrameType) -> None:
        """Note that an import statement, or its like, asks for a module that is not loaded.

        Args:
            name: the module.
            loading: the frame of importlib that loads it.
        """

    def seeking(self, name: str) -> None:
        """Note that somebody asks where a module is, and may execute it without an import."""

    def reloading(self, name: str, module: object) -> None:
        """Note that ``importlib.reload`` is about to execute a module again."""


#: The one finder of the process. Like ``sys.modules`` it belongs to the process and not to a run: a module
#: parked by an inner pytest run must return in the outer one, or it would be executed twice.
FINDER: Final = ParkedModuleFinder()
