"""Modules that look as if they were not installed.

Together with :mod:`.state` this is all that ever replaces a part of the import system.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import _bootstrap
from types import FrameType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.frameless import Replacement
from pytest_import_isolation.machinery.frames import is_importlib
from pytest_import_isolation.state.writing import move_to_front, remove_finder
from pytest_import_isolation.watching.asked_imports import Covers, Note, tell_of_askers


class ImportInterceptor:
    """Makes modules look as if they were not installed.

    While a block is active, ``importlib._bootstrap._find_spec`` and its alias in importlib.util answer
    None for blocked names: the one place that every way of asking goes through, so that importlib itself
    raises the exception that a really missing module gets. Where a Python has no such function, a finder
    that raises takes its place; ``importlib.util.find_spec`` and ``pkgutil`` then raise as well instead
    of answering None.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Covers, Note]] = []
        self._undo: list[Callable[[], None]] = []
        self._lifted = 0
        # Threads may open and close windows side by side: the first one installs, and the last one takes off.
        self._lock = threading.RLock()
        #: Called when something begins to look missing.
        self.listeners: list[Callable[[], object]] = []

    @property
    def blocks(self) -> bool:
        """Whether anything is made to look missing."""
        return bool(self._blocks)

    def hides(self, name: str) -> bool:
        """Tell whether a module is made to look missing, and note nothing."""
        return any(covers(name) for covers, _ in tuple(self._blocks))

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let everything be found inside the block, for the test runner's own imports between two phases."""
        self._lifted += 1
        try:
            yield
        finally:
            self._lifted -= 1

    def block(self, covers: Covers, note: Note) -> Callable[[], None]:
        """Make all modules for which ``covers`` is true look missing.

        Args:
            covers: tells whether a module name is meant.
            note: called with the name of a module that asked, and the name it asked for.

        Returns:
            The undo.
        """
        entry = (covers, note)
        with self._lock:
            self._blocks.append(entry)
            if len(self._blocks) == 1:
                for listener in tuple(self.listeners):
                    listener()
                self._undo = self._install_spec_filter()

        def undo() -> None:
            with self._lock:
                self._blocks.remove(entry)
                if not self._blocks:
                    for step in reversed(self._undo):
                        step()

        return undo

    def refuse(self, name: str) -> bool:
        """Tell whether the module is made to look missing, and note who asked if it is."""
        refused = False
        if self._lifted:
            return False
        for covers, note in tuple(self._blocks):
            if covers(name):
                tell_of_askers(note, name)
                refused = True
        return refused

    def _install_spec_filter(self) -> list[Callable[[], None]]:
        if not spec_search_can_be_filtered():
            finder = _RaisingFinder(self)
            move_to_front(finder)
            return [lambda: remove_finder(finder)]
        replacements = [
            Replacement(module, "_find_spec", self._at_search) for module in (_bootstrap, importlib.util)
        ]
        for replacement in replacements:
            replacement.install()
        return [replacement.remove for replacement in replacements]

    def _at_search(self, frame: FrameType, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return what searches: nothing finds what is refused. The frame that asks knows for what."""
        own = frame.f_locals if is_importlib(frame) else {}
        name = own.get("fullname", own.get("name"))
        if type(name) is not str:
            return self._filtered(original)
        return _find_nothing if self.refuse(name) else original

    def _filtered(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _find_spec(name: str, path: Any, target: Any = None) -> Any:
            return None if self.refuse(name) else original(name, path, target)

        return _find_spec


def _find_nothing(name: str, path: Any, target: Any = None) -> None:
    """Search as where there is nothing."""


class _RaisingFinder:
    """The fallback where nothing can be intercepted: seven of nine ways of asking get the right answer."""

    def __init__(self, interceptor: ImportInterceptor) -> None:
        self._interceptor = interceptor

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if self._interceptor.refuse(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def spec_search_can_be_filtered() -> bool:
    """Tell whether importlib asks the private function that :class:`ImportInterceptor` replaces.

    Tried live, once for every first block: the function is replaced for the time of one look-up.
    """
    asked: list[str] = []
    name = "pytest_import_isolation_self_test"
    replaced: list[tuple[ModuleType, Any]] = []
    for module in (_bootstrap, importlib.util):
        original = getattr(module, "_find_spec", None)
        if original is None:
            return False
        replaced.append((module, original))

    def _find_spec(asked_for: str, path: Any, target: Any = None) -> Any:
        if asked_for != name:
            return replaced[0][1](asked_for, path, target)  # another thread's import
        asked.append(name)
        return None

    try:
        for module, _ in replaced:
            module._find_spec = _find_spec  # type: ignore[attr-defined]
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
        importlib.util.find_spec(name)
    finally:
        for module, original in replaced:
            module._find_spec = original  # type: ignore[attr-defined]
    return len(asked) == len(replaced)


#: The process's one interceptor: it replaces functions of importlib, of which there is one set in a process.
INTERCEPTOR: Final = ImportInterceptor()
