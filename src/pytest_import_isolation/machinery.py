"""What this package knows of CPython's import machinery beyond its documented interface.

Every private name of importlib is read here and nowhere else, each with a fallback, so that a Python
that renames one of them loses some precision and nothing more (:func:`self_test` says which).
"""

from __future__ import annotations

import _imp
import _thread
import builtins
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import _bootstrap, _bootstrap_external
from importlib.machinery import FileFinder

# By this name, which a test that patches the clock leaves alone.
from time import time as _now
from types import BuiltinFunctionType, FrameType, FunctionType
from typing import Any, Final, NamedTuple
from zipimport import zipimporter

#: Kept, because a test may take it away to try what happens without it.
get_frame: Final = sys._getframe
#: Returns how many threads Python code has started that still run.
count_threads: Final = _thread._count


class _Absent:
    """The type of :data:`ABSENT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


#: Stands for "there was nothing" where ``None`` is a possible value.
ABSENT: Final = _Absent()

#: The attribute under which a wrapper of this package holds what it wraps.
WRAPPED: Final = "_pytest_import_isolation_wrapped"
#: The name under which this package uses ``sys.monitoring``.
TOOL: Final = "pytest-import-isolation"
_PACKAGE_DIRECTORY: Final = __file__.rpartition("machinery")[0]
_PAUSE: Final = 0.002  # seconds
#: Of the times that file systems keep, at worst; in seconds.
_RESOLUTION: Final = 2.0
_STANDARD_LIBRARY: Final = os.path.dirname(getattr(os, "__file__", ""))
_IMPORTLIB_FILES: Final = ("<frozen importlib", "<frozen zipimport")
_MACHINERY: Final = (*_IMPORTLIB_FILES, _PACKAGE_DIRECTORY)
_find_and_load_code = getattr(getattr(_bootstrap, "_find_and_load_unlocked", None), "__code__", None)
_path_search = getattr(_bootstrap_external.PathFinder, "_get_spec", None)
#: The code of the functions that ask one finder after the other, in a variable ``finder``: those of
#: ``sys.meta_path`` for a module ``name``, and those of a path for a module ``fullname``.
FINDER_LOOP: Final = getattr(getattr(_bootstrap, "_find_spec", None), "__code__", None)
PATH_LOOP: Final = getattr(getattr(_path_search, "__func__", None), "__code__", None)


def namespace(module: object) -> dict[str, Any] | None:
    """Return the module's own ``__dict__``, without running any code of the module.

    Entries of ``sys.modules`` may be anything; a module-level or class-level ``__getattr__`` may import
    or raise. Only ``object.__getattribute__`` is asked.

    Args:
        module: any object.

    Returns:
        The namespace itself (not a copy), or None for an object that has none.
    """
    try:
        found = object.__getattribute__(module, "__dict__")
    except Exception:  # a hostile descriptor named __dict__ may raise anything
        return None
    return found if isinstance(found, dict) else None


def home_of(value: object) -> tuple[str, str] | None:
    """Return the module and the name that a class or function says that it was defined in and under.

    Args:
        value: anything. A lazy object, asked by ``isinstance()`` for its class, makes what it stands for.

    Returns:
        The names, or None for what is neither a class nor a function, or has no such names.
    """
    if not issubclass(type(value), (type, FunctionType, BuiltinFunctionType)):
        return None
    try:
        module, name = value.__module__, value.__name__  # type: ignore[attr-defined]
    except Exception:  # a metaclass may compute them
        return None
    return (module, name) if type(module) is str and type(name) is str else None


def parent_of(name: str) -> tuple[str, str]:
    """Split a module name into its parent package (``""`` for a top-level name) and its last part."""
    parent, _, child = name.rpartition(".")
    return parent, child


def ancestors(name: str) -> Iterator[str]:
    """Yield the packages above a module, the nearest first."""
    parent = name.rpartition(".")[0]
    while parent:
        yield parent
        parent = parent.rpartition(".")[0]


def top_level(name: str) -> str:
    """Return the first part of a module name."""
    return name.partition(".")[0]


def is_initializing(module: object) -> bool:
    """Tell whether the import of this module is still under way in some thread."""
    spec = (namespace(module) or {}).get("__spec__")
    # A Mock in place of a spec would answer with a truthy Mock.
    return (namespace(spec) or {}).get("_initializing") is True


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


def names_being_imported(*, about_to: bool = True) -> dict[str, str]:
    """Return the modules that other threads are importing now, with the name of the thread.

    Must be called under :func:`import_lock`.

    Args:
        about_to: count a module too whose lock exists and is nobody's yet. Some thread is about to take it
            and will not ask for the global import lock again; or is giving it up, and the lock vanishes.
    """
    me = threading.get_ident()
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    about_to = about_to and len(threads) > 1
    busy: dict[str, str] = {}
    # A private table; without it no module counts as busy, and is_initializing() still protects most.
    for name, reference in list(getattr(_bootstrap, "_module_locks", {}).items()):
        lock = reference()
        owner = getattr(lock, "owner", None)
        if lock is None or owner == me or (owner is None and not about_to):
            continue
        thread = "unknown" if owner is None else threads.get(owner, f"thread {owner}")
        busy[name] = thread
    return busy


def _of_same_packages(names: Iterable[Any], importing: Mapping[str, str]) -> dict[Any, str]:
    """Return those names that share a top-level package with a module that is being imported.

    importlib looks the packages above it up in ``sys.modules`` in the middle of the import, and the code of
    a half imported package uses the submodules that it has imported already.
    """
    packages = {top_level(name): thread for name, thread in importing.items()}
    tops = ((name, top_level(name)) for name in names if type(name) is str)
    return {name: packages[top] for name, top in tops if top in packages}


@contextmanager
def quiet_import_lock(wanted: Callable[[], Iterable[str]], patience: float = 1.0) -> Iterator[dict[str, str]]:
    """Hold the import lock at a moment when no other thread is importing from the wanted modules' packages.

    Args:
        wanted: called under the lock; returns the names that are about to leave ``sys.modules``.
        patience: seconds to wait for other threads to finish their imports.

    Yields:
        The wanted names that are busy all the same when the time is over, with the thread's name.
    """
    # Counted, and not looked up on a clock: a test may have stopped that (freezegun).
    pauses = round(patience / _PAUSE)
    while True:
        _imp.acquire_lock()
        try:
            is_over = pauses <= 0
            importing = names_being_imported(about_to=not is_over)
            busy = _of_same_packages(wanted(), importing) if importing else {}
            if not busy or is_over:
                yield busy
                return
        finally:
            _imp.release_lock()
        time.sleep(_PAUSE)
        pauses -= 1


def is_being_loaded(name: str) -> bool:
    """Tell whether a finder is asked for this module in order to load it.

    ``importlib.util.find_spec`` asks the same finders, and so do other finders that delegate: what counts
    is whether importlib's loading of this very name is on the call stack.
    """
    if _find_and_load_code is None:
        return True
    frame: FrameType | None = get_frame(1)
    for _ in range(16):
        if frame is None:
            break
        if frame.f_code is _find_and_load_code and frame.f_locals.get("name") == name:
            return True
        frame = frame.f_back
    return False


def location_in(spec: object) -> object:
    """Return where a spec says that its module lies: a file, or the directories of a namespace package."""
    own = namespace(spec) or {}
    origin = own.get("origin")
    if isinstance(origin, str) and origin != "namespace":
        return origin
    folders = own.get("submodule_search_locations")
    # A _NamespacePath computes itself anew when it is iterated; its list does not.
    folders = (namespace(folders) or {}).get("_path", folders)
    return tuple(folders) if isinstance(folders, list) else None


def find_location(name: str, ignore: Callable[[object], bool]) -> object:
    """Return where an import of a top-level module would find it now, as :func:`location_in` says it.

    Args:
        name: the module, loaded or not.
        ignore: finders for which this is true are not asked.
    """
    return location_in(find_spec(name, None, ignore))


def find_spec(name: str, path: object, ignore: Callable[[object], bool]) -> Any:
    """Return the spec that the finders have for a module now, loaded or not; None if none of them has one.

    Args:
        name: the absolute name of the module.
        path: the ``__path__`` of the package above it; None for a top-level module.
        ignore: finders for which this is true are not asked.
    """
    return ask_finders(name, path, ignore)[1]


def ask_finders(name: str, path: object, ignore: Callable[[object], bool]) -> tuple[object, Any]:
    """Return the first finder that knows a module, and its spec; see :func:`find_spec`."""
    finders = getattr(sys, "meta_path", None)
    for finder in finders.copy() if isinstance(finders, list) else []:
        if ignore(finder):
            continue
        try:
            spec = finder.find_spec(name, path)
        except Exception:  # a user's finder; importlib would let it pass on, but nobody asked it yet
            continue
        if spec is not None:
            return finder, spec
    return None, None


def import_function() -> Callable[..., Any]:
    """Return ``builtins.__import__``, and if that is a wrapper of this package, what it wraps."""
    function: Callable[..., Any] = builtins.__import__
    while (wrapped := (namespace(function) or {}).get(WRAPPED)) is not None:
        function = wrapped
    return function


class Importer(NamedTuple):
    """Who asked for a module: the first frame outside the import machinery."""

    module: str
    file: str
    line: int


def is_machinery(frame: FrameType) -> bool:
    """Tell whether a frame belongs to importlib or to this package."""
    if frame.f_code.co_filename.startswith(_MACHINERY):
        return True
    # import_module() and reload() stand in a file of their own, which nobody means who asks who imported.
    return frame.f_globals.get("__name__") in ("importlib", "importlib.util")


def calling_frame() -> FrameType | None:
    """Return the first frame on the stack that belongs neither to importlib nor to this package."""
    frame: FrameType | None = get_frame(1)
    while frame is not None and is_machinery(frame):
        frame = frame.f_back
    return frame


def caller() -> Importer | None:
    """Return who called, as :func:`calling_frame` sees it."""
    return importer_at(calling_frame())


def importer_at(frame: FrameType | None) -> Importer | None:
    """Return the line at which a frame is."""
    if frame is None:
        return None
    name = frame.f_globals.get("__name__")
    # Code that was made by a program may have no lines: None.
    return Importer(name if isinstance(name, str) else "?", frame.f_code.co_filename, frame.f_lineno or 0)


def modules_in_execution() -> set[str]:
    """Return the names of the modules whose body is running in this thread."""
    names: set[str] = set()
    frame: FrameType | None = get_frame(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            name = frame.f_globals.get("__name__")
            if isinstance(name, str):
                names.add(name)
        frame = frame.f_back
    return names


def runs_threads() -> bool:
    """Tell whether Python code has started a thread that still runs."""
    return count_threads() > 0


def namespaces_on_other_threads() -> dict[int, str]:
    """Return the identities of the global namespaces that other threads execute, with the thread's name."""
    if threading.active_count() == 1:
        return {}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found: dict[int, str] = {}
    for ident, top in _frames_of_other_threads().items():
        frame: FrameType | None = top
        while frame is not None:
            found.setdefault(id(frame.f_globals), names.get(ident, f"thread {ident}"))
            frame = frame.f_back
    return found


def _frames_of_other_threads() -> dict[int, FrameType]:
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return {}  # they go on to run while their frames are read, which can crash the interpreter
    # A frame that holds itself in a variable is a cycle, which keeps the variables of all its callers
    # alive until the garbage collector runs: the modules that have just left among them.
    frames = sys._current_frames()
    del frames[threading.get_ident()]
    return frames


def namespaces_on_the_stack() -> dict[int, dict[str, Any]]:
    """Return the global namespaces of all code on the call stack of any thread, by identity."""
    found: dict[int, dict[str, Any]] = {}
    for top in (get_frame(1), *_frames_of_other_threads().values()):
        frame: FrameType | None = top
        while frame is not None:
            found[id(frame.f_globals)] = frame.f_globals
            frame = frame.f_back
    return found


def packages_on_the_stack() -> set[str]:
    """Return the top-level packages of all code that is on the call stack of any thread."""
    names = (space.get("__name__") for space in namespaces_on_the_stack().values())
    return {top_level(name) for name in names if isinstance(name, str)}


def has_processes() -> bool:
    """Tell whether this platform can start another interpreter."""
    return sys.platform not in ("emscripten", "ios", "tvos", "wasi", "watchos")


class _FinderCaches:
    """What finders remember of the file system."""

    def __init__(self) -> None:
        self._dropped_at = 0.0

    def drop(self) -> None:
        """Make finders look at the file system again.

        As ``importlib.invalidate_caches()``, except that a finder which raises does not stop the others, that
        ``sys.path_importer_cache`` keeps its entries, and that nothing is imported: from Python 3.12 on the
        standard function loads importlib.metadata, forty modules, to clear a cache that does not exist yet.
        Left alone are an archive that holds the standard library, which nobody rewrites, and listings of
        directories that cannot be out of date unseen.
        """
        # A listing is read again when the directory's time of change is another one, so it can be out of date
        # only if it was read within the resolution of that time. One of a directory that had not changed for
        # longer than that when the listings were dropped the last time was read later.
        settled, self._dropped_at = self._dropped_at - _RESOLUTION, _now()
        # A test may have deleted sys.meta_path, or put anything there, and opened a window inside.
        finders = getattr(sys, "meta_path", None)
        finders = finders.copy() if isinstance(finders, list) else []
        for finder in (*finders, *list(sys.path_importer_cache.values())):
            if finder is None or finder is _bootstrap_external.PathFinder:
                continue
            if type(finder) is FileFinder and 0 < getattr(finder, "_path_mtime", -1) < settled:
                continue
            if type(finder) is zipimporter and finder.archive == _STANDARD_LIBRARY:
                continue
            try:
                finder.invalidate_caches()
            except Exception:  # a user's finder, or one without the method; the others must not stay stale
                continue
        # What PathFinder.invalidate_caches() does beside that.
        namespace_path = getattr(_bootstrap_external, "_NamespacePath", None)
        if namespace_path is not None and hasattr(namespace_path, "_epoch"):
            namespace_path._epoch += 1
        metadata = namespace(sys.modules.get("importlib.metadata")) or {}
        clear = getattr(getattr(metadata.get("FastPath"), "__new__", None), "cache_clear", None)
        if clear is not None:
            clear()


#: Of the finders of this process, which all windows share.
drop_finder_caches: Final = _FinderCaches().drop
