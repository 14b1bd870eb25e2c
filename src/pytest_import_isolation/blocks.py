"""Modules that look as if they were not installed, and watching who asks for a module.

Together with :mod:`.state` this is all that ever replaces a part of the import system.
"""

from __future__ import annotations

import builtins
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from importlib import _bootstrap
from types import ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery import caller, modules_in_execution
from pytest_import_isolation.state import move_to_front, remove_finder

Covers = Callable[[str], object]
Note = Callable[[str, str], object]


class Toll:
    """Makes modules look as if they were not installed, and tells who asked for watched modules.

    While a block is active, ``importlib._bootstrap._find_spec`` and its alias in importlib.util answer
    None for blocked names: the one place that every way of asking goes through, so that importlib itself
    raises the exception that a really missing module gets. Where a Python has no such function, a finder
    that raises takes its place; ``importlib.util.find_spec`` and ``pkgutil`` then raise as well instead
    of answering None.

    While asks are watched, ``builtins.__import__`` is wrapped: a fake in ``sys.modules`` is found by the
    interpreter without asking any finder.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Covers, Note]] = []
        self._watches: list[tuple[Covers, Note]] = []
        self._undo: list[Callable[[], None]] = []
        self._undo_import: Callable[[], None] | None = None

    def block(self, covers: Covers, note: Note) -> Callable[[], None]:
        """Make all modules for which ``covers`` is true look missing.

        Args:
            covers: tells whether a module name is meant.
            note: called with the name of a module that asked, and the name it asked for.

        Returns:
            The undo.
        """
        entry = (covers, note)
        self._blocks.append(entry)
        if len(self._blocks) == 1:
            self._undo = self._install_spec_filter()

        def undo() -> None:
            self._blocks.remove(entry)
            if not self._blocks:
                for step in reversed(self._undo):
                    step()

        return undo

    def watch(self, covers: Covers, note: Note) -> Callable[[], None]:
        """Note the modules that ask for names for which ``covers`` is true; see :meth:`block`."""
        entry = (covers, note)
        self._watches.append(entry)
        if len(self._watches) == 1:
            self._undo_import = self._wrap_import()

        def undo() -> None:
            self._watches.remove(entry)
            if not self._watches and self._undo_import is not None:
                self._undo_import()

        return undo

    def refuse(self, name: str) -> bool:
        """Tell whether the module is made to look missing, and note who asked if it is."""
        refused = False
        for covers, note in tuple(self._blocks):
            if covers(name):
                _tell(note, name)
                refused = True
        return refused

    def _install_spec_filter(self) -> list[Callable[[], None]]:
        if not spec_search_can_be_filtered():
            finder = _RaisingFinder(self)
            move_to_front(finder)
            return [lambda: remove_finder(finder)]
        return [self._wrap_spec_search(module) for module in (_bootstrap, importlib.util)]

    def _wrap_spec_search(self, module: ModuleType) -> Callable[[], None]:
        original = module._find_spec

        def _find_spec(name: str, path: Any, target: Any = None) -> Any:
            if self.refuse(name):
                return None
            return original(name, path, target)

        module._find_spec = _find_spec  # type: ignore[attr-defined]

        def undo() -> None:
            # Somebody who wrapped it after us keeps the wrapper: without blocks ours is transparent.
            if module._find_spec is _find_spec:
                module._find_spec = original  # type: ignore[attr-defined]

        return undo

    def _wrap_import(self) -> Callable[[], None]:
        original = builtins.__import__

        def __import__(  # noqa: N807 - what it replaces is called so
            name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
        ) -> Any:
            __tracebackhide__ = True  # pytest leaves this frame out of tracebacks
            absolute = name
            if level:
                package = (globals or {}).get("__package__") or ""
                base = package.rsplit(".", level - 1)[0]
                absolute = f"{base}.{name}" if name else base
            for wanted in (absolute, *(f"{absolute}.{item}" for item in fromlist or ())):
                for covers, note in tuple(self._watches):
                    if covers(wanted):
                        _tell(note, wanted)
            return original(name, globals, locals, fromlist, level)

        builtins.__import__ = __import__

        def undo() -> None:
            if builtins.__import__ is __import__:
                builtins.__import__ = original

        return undo


def _tell(note: Note, wanted: str) -> None:
    """Report every module whose body is running, and the one that asked."""
    asker = caller()
    for name in {*modules_in_execution(), *([asker.module] if asker else [])}:
        note(name, wanted)


class _RaisingFinder:
    """The fallback of :class:`Toll`: seven of nine ways of asking answer as for a missing module."""

    def __init__(self, toll: Toll) -> None:
        self._toll = toll

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if self._toll.refuse(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def spec_search_can_be_filtered() -> bool:
    """Tell whether importlib asks the private function that :class:`Toll` replaces.

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


#: The process's one toll: it replaces functions of importlib, of which there is one set in a process.
TOLL: Final = Toll()
