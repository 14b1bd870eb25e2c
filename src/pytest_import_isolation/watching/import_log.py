"""The log of first importers: who asked for which module first, with file and line."""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from types import FrameType, ModuleType
from typing import Any, Final, Protocol

from pytest_import_isolation.machinery.frames import (
    Importer,
    caller,
    callers,
    callers_beside,
    calling_frame,
    importer_at,
    is_compiled_code_importing,
    is_machinery,
)
from pytest_import_isolation.machinery.import_bytecode import import_of
from pytest_import_isolation.machinery.lazy_imports import lazy_statement
from pytest_import_isolation.machinery.modules import (
    file_of,
    loaded_among,
    modules_among,
    namespace,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.threads import get_ident, is_main_thread, known_threads

_EXTENSIONS: Final = tuple(EXTENSION_SUFFIXES)
#: So many statements of a chain are told.
LONGEST_CHAIN: Final = 50
_LATEST: Final = 16


def _nothing() -> None:
    """Stand for a reference to what is no longer alive."""


class Teller(Protocol):
    """Knows when imports end; see :class:`.ExecutedModules`."""

    @property
    def is_on(self) -> bool:
        """Whether it tells."""

    #: Told of the modules whose imports are over, and did not fail: their names, and what is loaded as them.
    when_settled: list[Callable[[Sequence[tuple[str, object]]], object]]

    def settle(self) -> None:
        """Tell of them now."""


class Way(NamedTuple):
    """The statements that led to an import, the innermost first."""

    statements: tuple[Importer, ...]
    #: Whether the last one stands in the body of a module, so that the way goes on with who imported that.
    goes_on: bool


class Reload(NamedTuple):
    """A module that was executed again in place."""

    name: str
    importer: Importer | None
    module: object
    #: What its namespace held before.
    before: dict[str, Any]
    #: The statements that led to it, the innermost first.
    way: tuple[Importer, ...] = ()
    #: Those that the main thread was at, if another thread asked for it.
    beside: tuple[Importer, ...] = ()


class ImportLog:
    """Listens to the finder and remembers the first importer of every module.

    Args:
        with_images: also copy the namespaces of the packages above a module before it is imported, which
            is what an exact restore of their attributes needs.
    """

    def __init__(self, *, with_images: bool = False) -> None:
        #: Called with the name of a module that is not loaded, before it is imported.
        self.beforehand: Callable[[str], object] = lambda name: None
        #: Called with the name of a module that is asked for again: it was executed, and is gone.
        self.once_more: Callable[[str], object] = lambda name: None
        #: Tells whether code is the users' own, by the name of its file. Ways are noted only with it.
        self.is_users: Callable[[str], bool] | None = None
        #: The first importer of each module, in the order of the imports.
        self.importers: dict[str, Importer] = {}
        #: Those that compiled code asked for: it does so once, and looks in ``sys.modules`` from then on.
        self.compiled: set[str] = set()
        #: For modules that were asked for by the first use of a lazy import: the statement that made that.
        self.lazily: dict[str, Importer] = {}
        #: For each package that was loaded before something below it was imported: its namespace, and
        #: a copy of what that held then.
        self.images: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        #: For modules that another thread than the main one asked for first: that thread.
        self.threads: dict[str, threading.Thread] = {}
        #: The packages of the top level of which extension modules were executed.
        self.packages_of_c: set[str] = set()
        #: The reloads in place, in order.
        self.reloads: list[Reload] = []
        #: How many imports there were.
        self.number = 0
        self._with_images = with_images
        # How the last import of each module came about, where that is not what the first importer says.
        self._ways: dict[str, Way] = {}
        # What was executed, by name: nobody is kept alive.
        self._executed: dict[str, weakref.ref[ModuleType]] = {}
        # What was asked for a moment ago, and may appear: a finder may import before it answers.
        # Of use only while nobody tells of the ends of imports.
        self._expected: deque[str] = deque(maxlen=_LATEST)
        self._tellers: list[Teller] = []

    def importing(self, name: str, loading: FrameType) -> None:
        """Note an import of a module that is not loaded.

        Args:
            name: the module.
            loading: the frame of importlib that loads it.
        """
        self.number += 1
        self.beforehand(name)
        if not self._tellers:
            self._note_executed()
            self._expected.append(name)
        if self._with_images:
            self.picture_packages(name)
        frame = calling_frame(loading.f_back)
        is_again = name in self.importers
        if is_again:
            self.once_more(name)
        elif frame is not None and (importer := importer_at(frame)) is not None:
            self.importers[name] = importer
            # Nearly always there is a statement: no need to look closer.
            is_statement = import_of(frame.f_code, frame.f_lasti) is not None
            if not is_statement and is_compiled_code_importing(frame):
                self.compiled.add(name)
            if (statement := lazy_statement(name)) is not None:
                self.lazily[name] = statement
            if not is_main_thread():
                thread = known_threads().get(get_ident())
                if thread is not None:
                    self.threads[name] = thread
        if frame is not None and self.is_users is not None and (is_again or not _is_body(frame)):
            self._ways[name] = self._way(frame, self.is_users)

    def _way(self, frame: FrameType, is_users: Callable[[str], bool]) -> Way:
        """Return the statement that asks, and the users' own that called it, up to the body of a module.

        A function of a library asks in the name of whoever called it, and is left out.
        """
        found: list[Importer] = []
        current: FrameType | None = frame
        while current is not None and len(found) < LONGEST_CHAIN:
            is_body = _is_body(current)
            # A stack has some forty frames, of which few are users'.
            if (is_body or is_users(current.f_code.co_filename)) and not is_machinery(current):
                at = importer_at(current)
                found += [at] if at is not None and at.line else []
                if is_body:
                    return Way(tuple(found), goes_on=True)
            current = current.f_back
        return Way(tuple(found), goes_on=False)

    def hear_ends(self, teller: Teller) -> None:
        """Let the ends of imports be told: nothing else may be imported before a module is thrown out."""
        if teller.is_on:
            teller.when_settled.append(self._note_all)
            self._tellers.append(teller)

    def hear_no_ends(self, teller: Teller) -> None:
        """Undo one :meth:`hear_ends`."""
        if teller in self._tellers:
            teller.settle()
            teller.when_settled.remove(self._note_all)
            self._tellers.remove(teller)

    def _note_all(self, modules: Sequence[tuple[str, object]]) -> None:
        for name, module in modules:
            self._note(name, module)

    def _note_executed(self) -> None:
        """Remember what has appeared: a module is there when it imports others."""
        for teller in self._tellers:
            teller.settle()
        # Of a copy: other threads import too.
        for name in loaded_among(self._expected.copy()):
            self._note(name, sys.modules.get(name))

    def _note(self, name: str, module: object) -> None:
        if type(module) is ModuleType:
            file = module.__dict__.get("__file__")
            known = self._executed.get(name)
            if known is None or known() is None:
                self._executed[name] = weakref.ref(module)
        else:
            file = file_of(module)
        if type(file) is str and file.endswith(_EXTENSIONS):
            self.packages_of_c.add(top_level(name))
        if self._expected:
            with suppress(ValueError):  # another thread was faster, or much else was asked for since
                self._expected.remove(name)

    def executed_among(self, names: Collection[str]) -> dict[str, ModuleType]:
        """Return the module objects that were executed under some of these names and are still alive.

        Those that no import followed are found where others hold them.
        """
        self._note_executed()
        found: dict[str, ModuleType] = {}
        waiting = [module for name in names if (module := self._executed.get(name, _nothing)()) is not None]
        while waiting:
            module = waiting.pop()
            name = module.__dict__.get("__name__")
            if type(name) is not str or name not in names or name in found:
                continue
            found[name] = module
            waiting += modules_among(list(module.__dict__.values()))
        return found

    def picture_packages(self, name: str) -> None:
        """Copy the namespaces of the packages above a module that is about to be bound to them."""
        ancestor = name.rpartition(".")[0]
        while ancestor and ancestor not in self.images and ancestor not in self.importers:
            space = namespace(sys.modules.get(ancestor))
            if space is not None:
                self.images[ancestor] = (space, space.copy())
            ancestor = ancestor.rpartition(".")[0]  # those above one that is known were looked at then

    def seeking(self, name: str) -> None:
        """To ask where a module is, is no import."""

    def reloading(self, name: str, module: object) -> None:
        """Note a reload in place."""
        before = (namespace(module) or {}).copy()
        way, beside = tuple(callers()), tuple(callers_beside())
        self.reloads.append(Reload(name, caller(), module, before, way, beside))

    def chain(self, name: str) -> Iterator[tuple[str, Importer]]:
        """Yield the modules that led to a module, from the module itself to the first statement.

        Args:
            name: a module.

        Yields:
            Each module with its importer: ``name``, then the module that imported it, and so on.
        """
        seen: set[str] = set()
        while name in self.importers and name not in seen and len(seen) < LONGEST_CHAIN:
            seen.add(name)
            importer = self.importers[name]
            yield name, importer
            name = importer.module

    def last_way(self, name: str) -> Way:
        """Return how the last execution of a module that was asked for came about.

        Raises:
            KeyError: nobody was seen to ask for it.
        """
        return self._ways.get(name) or Way((self.importers[name],), goes_on=True)

    def way(self, name: str) -> Iterator[tuple[str, Importer]]:
        """Yield how the last execution of a module came about, from the module itself outwards.

        Args:
            name: a module.

        Yields:
            Each module that was imported, or whose function was called, with the statement that did so.
        """
        seen: set[str] = set()
        while name in self.importers and name not in seen and len(seen) < LONGEST_CHAIN:
            seen.add(name)
            way = self.last_way(name)
            for statement in way.statements:
                yield name, statement
                name = statement.module
            if not way.goes_on:
                return


def _is_body(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>"
