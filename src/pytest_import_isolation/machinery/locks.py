"""The locks of the import system: who is importing now, and a moment when nobody is."""

from __future__ import annotations

import _imp
import importlib
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import _bootstrap
from importlib.machinery import ModuleSpec
from typing import Any, Final

from pytest_import_isolation.machinery.import_bytecode import names_of_statement
from pytest_import_isolation.machinery.modules import ancestors, namespace, spec_value, top_level
from pytest_import_isolation.machinery.threads import (
    known_threads,
    own_idents,
    pause,
    runs_threads,
    stacks_of_other_threads,
)

_PAUSE: Final = 0.002  # seconds
# Where functions run that import: what they ask for stands in a variable.
_IMPORTERS: Final = importlib.__dict__, _bootstrap.__dict__
_LockManager: Final[Any] = getattr(_bootstrap, "_ModuleLockManager", None)
#: Python 3.15: the code that locks a module with all packages above it.
_takes_all_locks: Final = getattr(
    getattr(getattr(_bootstrap, "_HierarchicalLockManager", None), "__enter__", None), "__code__", None
)
#: Says to importlib that the import of a module is under way, and is not what importlib says itself.
_LEAVES: Final = 1


@contextmanager
def import_lock() -> Iterator[None]:
    """Hold the global import lock: no other thread can begin to import an uncached module.

    Nothing that could import may run inside: the lock is the outermost of importlib's locks only for
    the look-up of a module's own lock.
    """
    _imp.acquire_lock()
    try:
        yield
    finally:
        _imp.release_lock()


@contextmanager
def hear_reentries(told: Callable[[str], object]) -> Iterator[None]:
    """Call back for every import that finds a module whose own import is still under way.

    Such an import closes a circle, or waits for another thread. The interpreter's C code and importlib
    alike call one private function then, and only then: imports of modules that are ready cost nothing.

    Args:
        told: called in the importing thread with the name of the module. It must not raise.

    Raises:
        AttributeError: this Python has no such function.
    """
    original = _bootstrap._lock_unlock_module  # type: ignore[attr-defined]

    def _lock_unlock_module(name: str) -> None:
        told(name)
        original(name)

    _bootstrap._lock_unlock_module = _lock_unlock_module  # type: ignore[attr-defined]
    try:
        yield
    finally:
        # Somebody who wrapped it after us keeps the wrapper, which only tells.
        if _bootstrap._lock_unlock_module is _lock_unlock_module:  # type: ignore[attr-defined]
            _bootstrap._lock_unlock_module = original  # type: ignore[attr-defined]


def is_importing() -> bool:
    """Tell whether a module may be being imported, in any thread."""
    return bool(getattr(_bootstrap, "_module_locks", True))  # private; without it, one may be


def names_being_imported(*, about_to: bool = True) -> dict[str, str]:
    """Return the modules that other threads are importing now, with the name of the thread.

    Must be called under :func:`import_lock`.

    Args:
        about_to: count a module too whose lock exists and is nobody's yet. Some thread is about to take it
            and will not ask for the global import lock again; or is giving it up, and the lock vanishes.
    """
    me = own_idents()
    threads = {ident: thread.name for ident, thread in known_threads().items()}
    asking: set[str] | None = None
    busy = {} if _takes_all_locks is None else dict(_names_with_other_locks(threads))
    # A private table; without it no module counts as busy, and is_initializing() still protects most.
    for name, reference in list(getattr(_bootstrap, "_module_locks", {}).items()):
        lock = reference()
        owner = getattr(lock, "owner", None)
        if lock is None or owner in me:
            continue
        if owner is None:
            asking = _names_asked_for() if asking is None and about_to else asking
            # Else an error is kept whose traceback holds the lock: nobody is about to take that.
            if not asking or name not in asking:
                continue
        thread = "unknown" if owner is None else threads.get(owner, f"thread {owner}")
        busy[name] = thread
    return busy


def _names_with_other_locks(threads: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yield the modules that other threads lock together with the packages above them, from 3.15 on.

    Such a thread has looked which packages are loaded.
    """
    for ident, frame in stacks_of_other_threads():
        if frame.f_code is _takes_all_locks:
            yield frame.f_locals["self"]._name, threads.get(ident, f"thread {ident}")


def _names_asked_for(waiting: Container[int] = ()) -> set[str]:
    """Return the modules that the code of importlib handles in other threads, and the packages above them.

    Args:
        waiting: the threads that are not meant.
    """
    me = own_idents()
    names: set[str] = set()
    for ident, frame in stacks_of_other_threads():
        if all(frame.f_globals is not space for space in _IMPORTERS) or ident in waiting:
            continue
        given = frame.f_locals
        manager: Any = given.get("self")
        name = given.get("name")
        if type(manager) is _LockManager:
            # `_load()` has no variable for the name, but what takes the lock has, once it is made.
            name = getattr(manager, "_name", name)
        # Who waits for a lock that this thread holds cannot go on before it.
        if type(name) is str and _owner_of(name) not in me:
            names.update((name, *ancestors(name)))
    return names


def _names_in_statements(waiting: Container[int]) -> Iterator[str]:
    """Yield what the import statements ask for at which other threads are.

    For a loaded module no code of importlib runs, but what listens to imports may.
    """
    for ident, frame in stacks_of_other_threads():
        for name in () if ident in waiting else names_of_statement(frame):
            yield from (name, *ancestors(name))


def _owner_of(name: str) -> int | None:
    reference = getattr(_bootstrap, "_module_locks", {}).get(name)
    return None if reference is None else getattr(reference(), "owner", None)


def _of_same_packages(names: Iterable[Any], importing: Mapping[str, str]) -> dict[Any, str]:
    """Return those names that share a top-level package with a module that is being imported.

    importlib looks the packages above it up in ``sys.modules`` in the middle of the import, and the code of
    a half imported package uses the submodules that it has imported already.
    """
    packages = {top_level(name): thread for name, thread in importing.items()}
    tops = ((name, top_level(name)) for name in names if type(name) is str)
    return {name: packages[top] for name, top in tops if top in packages}


@contextmanager
def _known_to_leave(wanted: Callable[[], Iterable[object]]) -> Iterator[None]:
    """Let threads that begin to import a submodule lock the packages above it too, which are about to leave.

    From 3.15 on, importlib locks the packages above a module before the module, but only those that are not
    loaded. A thread that finds a package loaded, and then waits for the global import lock while the package
    leaves, locks in the other order: first the module, then the package. It and one that came later wait for
    each other. So the packages count as half imported while they leave.
    """
    specs: list[ModuleSpec] = []
    if _takes_all_locks is not None and runs_threads():
        for name in wanted():
            space = namespace(sys.modules.get(name)) if type(name) is str else None
            spec = space.get("__spec__") if space is not None and "__path__" in space else None
            if type(spec) is ModuleSpec and spec_value(spec, "_initializing") is False:
                specs.append(spec)
    try:
        for spec in specs:
            spec._initializing = _LEAVES  # type: ignore[attr-defined]
        yield
    finally:
        for spec in specs:
            spec._initializing = False  # type: ignore[attr-defined]


@contextmanager
def quiet_import_lock(
    wanted: Callable[[], Iterable[str]],
    patience: float = 1.0,
    outer: AbstractContextManager[object] | None = None,
    waiting: Container[int] | None = None,
) -> Iterator[dict[str, str]]:
    """Hold the import lock at a moment when no other thread is importing from the wanted modules' packages.

    Args:
        wanted: called under the lock; returns the names that are about to leave ``sys.modules``.
        patience: seconds to wait for other threads to finish their imports.
        outer: a lock to hold around the import lock; it is free while this waits.
        waiting: if given, a thread also counts that only asks for a module, be it loaded, but for these.

    Yields:
        The wanted names that are busy all the same when the time is over, with the thread's name.
    """
    # Counted, and not looked up on a clock: a test may have stopped that (freezegun).
    pauses = round(patience / _PAUSE)
    while True:
        with outer or nullcontext(), import_lock():
            is_over = pauses <= 0
            with _known_to_leave(wanted):
                importing = names_being_imported(about_to=not is_over)
                if waiting is not None:
                    asked = _names_asked_for(waiting).union(_names_in_statements(waiting))
                    importing.update(dict.fromkeys(asked, "unknown"))
                busy = _of_same_packages(wanted(), importing) if importing else {}
                if not busy or is_over:
                    yield busy
                    return
        pause(_PAUSE)
        pauses -= 1
