"""Watching each import of a module that is not loaded, from its begin to its end.

importlib holds a lock of the module's own from before it looks for the module until it is executed, through
a private class that it looks up by name. Another class in its place is told of both ends, and of what was
raised: it adds no frame to a traceback, and an import statement for a loaded module never gets there.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import _bootstrap
from typing import Any, Final, Protocol

from pytest_import_isolation.machinery.threads import get_ident

#: What stands in the place of these classes of importlib; the second is for submodules, from Python 3.15 on.
LOCKS: Final = ("_ModuleLockManager", "_HierarchicalLockManager")
#: What the self-test asks for: nobody else means that.
_NO_MODULE: Final = "pytest_import_isolation_self_test"
#: The threads in which this package imports something for itself.
_OWN: Final[set[int]] = set()


class Watcher(Protocol):
    """What is told of imports."""

    def begin(self, name: str) -> object:
        """Note that a module is about to be looked for and loaded, in this thread; returns a token."""

    def end(self, token: Any, error: BaseException | None) -> None:
        """Note that the import is over, and how it failed if it did."""


@contextmanager
def for_itself() -> Iterator[None]:
    """Let imports of this thread be those of this package, which no trace shows."""
    ident = get_ident()
    if ident in _OWN:
        yield
        return
    _OWN.add(ident)
    try:
        yield
    finally:
        _OWN.discard(ident)


def is_for_itself() -> bool:
    """Tell whether this package imports something for itself in this thread."""
    return bool(_OWN) and get_ident() in _OWN


def watch_imports(watcher: Watcher) -> Callable[[], None]:
    """Tell a watcher of imports from now on.

    Returns:
        The undo.
    """
    watch = ImportWatch(watcher)
    watch.start()
    return watch.stop


class ImportWatch:
    """Tells a watcher of imports while it is on; to start and to stop it costs next to nothing.

    Args:
        watcher: what is told.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._locks = {lock: _watched_lock(watcher, lock) for lock in LOCKS if hasattr(_bootstrap, lock)}

    def start(self) -> None:
        """Tell of imports from now on."""
        for lock, watched in self._locks.items():
            watched.is_over = False
            if not _stands_behind(watched, getattr(_bootstrap, lock)):
                watched.before = getattr(_bootstrap, lock)
                setattr(_bootstrap, lock, watched)

    def stop(self) -> None:
        """Tell of no more."""
        for lock, watched in self._locks.items():
            watched.is_over = True
            # Who came after us is still there, and is taken away with us once it is over.
            while getattr(current := getattr(_bootstrap, lock), "is_over", False):
                setattr(_bootstrap, lock, current.before)


def _stands_behind(watched: object, current: Any) -> bool:
    """Tell whether a class is one of those that wrap each other."""
    while current is not watched and hasattr(current, "is_over"):
        current = current.before
    return current is watched


def _watched_lock(watcher: Watcher, lock: str) -> Any:
    tests_itself = isinstance(watcher, _SelfTest)

    class _WatchedLock:
        is_over = True
        before: Any = getattr(_bootstrap, lock)

        def __init__(self, name: str) -> None:
            self._lock = _WatchedLock.before(name)
            self._wanted = name
            self._token: object = None

        def __enter__(self) -> None:
            self._lock.__enter__()
            # Another thread may have loaded it while this one waited for the lock.
            if _WatchedLock.is_over or self._wanted in sys.modules:
                return
            try:
                if tests_itself or not self._wanted.startswith(_NO_MODULE):
                    self._token = watcher.begin(self._wanted)
            except BaseException:
                self._lock.__exit__(*sys.exc_info())
                raise

        def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
            try:
                if self._token is not None:
                    watcher.end(self._token, error)
            finally:
                self._lock.__exit__(kind, error, traceback)

    return _WatchedLock


def _is_self_test(name: str) -> bool:
    return name.partition(".")[0] == _NO_MODULE


class _ToldError(ImportError):
    """Ends the import of the self-test before anybody looks for the module."""


class _SelfTest:
    def begin(self, name: str) -> object:
        if _is_self_test(name):
            raise _ToldError(name=name)
        return None

    def end(self, token: Any, error: BaseException | None) -> None:
        """Never called: :meth:`begin` gave no token."""


def imports_can_be_watched() -> bool:
    """Tell whether importlib takes the private locks that :func:`watch_imports` replaces. Tried live."""
    if not isinstance(getattr(_bootstrap, LOCKS[0], None), type):
        return False
    undo = watch_imports(_SelfTest())
    try:
        return all(map(_is_told_of, (_NO_MODULE, f"{_NO_MODULE}.part")))
    finally:
        undo()


def _is_told_of(name: str) -> bool:
    try:
        importlib.import_module(name)
    except _ToldError as told:
        return told.name == name  # and not of the package above it
    except ModuleNotFoundError:
        pass
    return False
