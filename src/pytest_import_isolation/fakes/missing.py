"""Modules that look as if they were not installed, and watching who asks for a module.

Together with :mod:`.state` this is all that ever replaces a part of the import system.
"""

from __future__ import annotations

import builtins
import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import _bootstrap
from types import CodeType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.finders import WRAPPED
from pytest_import_isolation.machinery.frames import caller, modules_in_execution
from pytest_import_isolation.state.writing import move_to_front, remove_finder

Covers = Callable[[str], object]
Note = Callable[[str, str], object]


class ImportInterceptor:
    """Makes modules look as if they were not installed, and tells who asked for watched modules.

    While a block is active, ``importlib._bootstrap._find_spec`` and its alias in importlib.util answer
    None for blocked names: the one place that every way of asking goes through, so that importlib itself
    raises the exception that a really missing module gets. Where a Python has no such function, a finder
    that raises takes its place; ``importlib.util.find_spec`` and ``pkgutil`` then raise as well instead
    of answering None.

    While asks are watched, ``builtins.__import__`` is wrapped, and the function below ``import_module``: a
    fake in ``sys.modules`` is found by the interpreter without asking any finder.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Covers, Note]] = []
        self._watches: list[tuple[Covers, Callable[[str], object]]] = []
        self._undo: list[Callable[[], None]] = []
        self._wrappers: list[_Wrapper] = []
        self._lifted = 0
        # Threads may open and close windows side by side: the first one installs, and the last one takes off.
        self._lock = threading.RLock()

    @property
    def blocks(self) -> bool:
        """Whether anything is made to look missing."""
        return bool(self._blocks)

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
                self._undo = self._install_spec_filter()

        def undo() -> None:
            with self._lock:
                self._blocks.remove(entry)
                if not self._blocks:
                    for step in reversed(self._undo):
                        step()

        return undo

    def watch(self, covers: Covers, note: Note) -> Callable[[], None]:
        """Note the modules that ask for names for which ``covers`` is true; see :meth:`block`."""
        return self.observe(covers, lambda wanted: _tell(note, wanted))

    def observe(self, covers: Covers, told: Callable[[str], object]) -> Callable[[], None]:
        """Call back, in the importing thread, for every import of a name for which ``covers`` is true.

        Args:
            covers: tells whether a module name is meant.
            told: called with the name, before it is imported.

        Returns:
            The undo.
        """
        entry = (covers, told)
        with self._lock:
            self._watches.append(entry)
            if not self._wrappers:
                self._wrappers = [
                    _Wrapper(builtins, "__import__", self._wrapped_import),
                    _Wrapper(_bootstrap, "_gcd_import", self._wrapped_import_module),
                ]
            self.settle()

        def undo() -> None:
            with self._lock:
                self._watches.remove(entry)
                if not self._watches:
                    for wrapper in self._wrappers:
                        wrapper.remove()
                    self._wrappers = []

        return undo

    def settle(self) -> None:
        """Take the place of the import functions again, should something have put them back."""
        for wrapper in self._wrappers:
            wrapper.install()

    def refuse(self, name: str) -> bool:
        """Tell whether the module is made to look missing, and note who asked if it is."""
        refused = False
        if self._lifted:
            return False
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

    def _note(self, wanted: str) -> None:
        for covers, told in tuple(self._watches):
            if covers(wanted):
                told(wanted)

    def _wrapped_import(self, original: Callable[..., Any]) -> Callable[..., Any]:
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
                self._note(wanted)
            return original(name, globals, locals, fromlist, level)

        return __import__

    def _wrapped_import_module(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _gcd_import(name: str, package: Any = None, level: int = 0) -> Any:
            __tracebackhide__ = True
            # A relative name is resolved by importlib's own rules, or refused by them.
            base = package.rsplit(".", level - 1)[0] if level and isinstance(package, str) else ""
            self._note(f"{base}.{name}" if base else name)
            return original(name, package, level)

        return _gcd_import


class _Wrapper:
    """A function of the import system that is replaced as long as somebody watches.

    Args:
        home: the module that holds it; where it does not have such a function, nothing is replaced.
        name: its name there.
        wrap: makes the replacement.
    """

    def __init__(
        self, home: ModuleType, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        self._home = home
        self._name = name
        self._original: Any = getattr(home, name, None)
        self._replacement: Any = None
        if self._original is not None:
            self._replacement = wrap(self._original)
            setattr(self._replacement, WRAPPED, self._original)

    def install(self) -> None:
        """Take the function's place; somebody else's replacement stays."""
        if self._replacement is not None and getattr(self._home, self._name, None) is self._original:
            setattr(self._home, self._name, self._replacement)

    def remove(self) -> None:
        """Put the function back. Who wrapped it after us keeps ours: without watches it is transparent."""
        if self._replacement is not None and getattr(self._home, self._name, None) is self._replacement:
            setattr(self._home, self._name, self._original)


def _tell(note: Note, wanted: str) -> None:
    """Report every module whose body is running, and the one that asked."""
    asker = caller()
    for name in {*modules_in_execution(), *([asker.module] if asker else [])}:
        note(name, wanted)


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


def _code_in(function: Callable[..., Any]) -> Iterator[CodeType]:
    return (part for part in function.__code__.co_consts if isinstance(part, CodeType))


#: The code of the functions that are put in the place of the import system's own.
WRAPPERS: Final = frozenset(
    (*_code_in(ImportInterceptor._wrapped_import), *_code_in(ImportInterceptor._wrapped_import_module))
)

#: The process's one interceptor: it replaces functions of importlib, of which there is one set in a process.
INTERCEPTOR: Final = ImportInterceptor()
