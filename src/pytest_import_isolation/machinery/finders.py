"""Finders: asking them, and making them look at the file system again."""

from __future__ import annotations

import builtins
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from importlib import _bootstrap, _bootstrap_external
from importlib.machinery import FileFinder
from itertools import repeat

# By these names, which a test that patches the file system or the clock leaves alone, as importlib does.
from os import stat as _stat
from time import time as _now
from types import FunctionType
from typing import Any, Final
from zipimport import zipimporter

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    WRAPPED,
    are_strings,
    class_attribute,
    class_namespace,
    location_in,
    mro_of,
    namespace,
    top_level,
)

#: Where a finder keeps when the directory that it has listed had changed. Private.
_TIME: Final = "_path_mtime"
#: Of the times that file systems keep, at worst; in seconds.
_RESOLUTION: Final = 2.0
_STANDARD_LIBRARY: Final = os.path.dirname(getattr(os, "__file__", "")) or "(none)"
_path_search = getattr(_bootstrap_external.PathFinder, "_get_spec", None)
#: The code of the functions that ask one finder after the other, in a variable ``finder``: those of
#: ``sys.meta_path`` for a module ``name``, and those of a path for a module ``fullname``.
FINDER_LOOP: Final = getattr(getattr(_bootstrap, "_find_spec", None), "__code__", None)
PATH_LOOP: Final = getattr(getattr(_path_search, "__func__", None), "__code__", None)


# The finder of this package, of which a second copy of the package has another one.
_OWN_FINDER: Final = f"{top_level(__name__)}.parking.finder", "ParkedModuleFinder"


def is_own_finder(finder: object) -> bool:
    """Tell whether a finder is the one of this package through which parked modules return."""
    kind = type(finder)
    # A metaclass may compute the names.
    return type(kind) is type and (kind.__module__, kind.__name__) == _OWN_FINDER


def class_of(finder: object) -> type:
    """Return the class that a finder is, or is an instance of."""
    return finder if issubclass(type(finder), type) else type(finder)  # type: ignore[return-value]


def without_own_finder(items: Iterable[object]) -> tuple[object, ...]:
    """Return what a list of ``sys`` holds beside the finder of this package."""
    return tuple(item for item in items if not is_own_finder(item))


def find_location(name: str, ignore: Callable[[object], bool]) -> object:
    """Return where an import of a top-level module would find it now, as :func:`location_in` says it.

    Args:
        name: the module, loaded or not.
        ignore: finders for which this is true are not asked.
    """
    return location_in(find_spec(name, None, ignore))


def find_spec(name: str, path: object, ignore: Callable[[object], bool], *, stops: bool = False) -> Any:
    """Return the spec that the finders have for a module now, loaded or not; None if none of them has one.

    Args:
        name: the absolute name of the module.
        path: the ``__path__`` of the package above it; None for a top-level module.
        ignore: finders for which this is true are not asked.
        stops: whether none is asked after one that raises.
    """
    return ask_finders(name, path, ignore, stops=stops)[1]


def ask_finders(
    name: str, path: object, ignore: Callable[[object], bool], *, stops: bool = False
) -> tuple[object, Any]:
    """Return the first finder that knows a module, and its spec; see :func:`find_spec`."""
    for finder in _finders():
        if ignore(finder):
            continue
        spec = spec_from(finder, name, path)
        if spec is ABSENT and stops:
            break
        if spec is not None and spec is not ABSENT:
            return finder, spec
    return None, None


def spec_from(finder: Any, name: str, path: object) -> Any:
    """Return the spec that a finder has for a module; None if it has none, ``ABSENT`` if it raises."""
    try:
        return finder.find_spec(name, path)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a user's finder; importlib would let it pass on, but nobody asked it yet
        return ABSENT


def delegating_finders() -> Iterator[object]:
    """Yield the finders before that of the path which may ask all finders for what they are asked for."""
    for finder in _finders():
        if finder is _bootstrap_external.PathFinder:
            return
        if not is_own_finder(finder) and any(map(_asks_finders, mro_of(class_of(finder)))):
            yield finder


def _asks_finders(cls: type) -> bool:
    space = class_namespace(cls)
    known = _ASKING.get(id(cls))  # each module that returns asks
    if known is not None and known[0]() is cls and known[1] == len(space):
        return known[2]
    asks = any(
        type(value) is FunctionType and "find_spec" in value.__code__.co_names
        for value in tuple(space.values())
    )
    _ASKING[id(cls)] = weakref.ref(cls), len(space), asks
    return asks


# By the identity of a class: how much was in its namespace, and whether it asks all finders.
_ASKING: Final[dict[int, tuple[weakref.ref[type], int, bool]]] = {}


def _finders() -> list[Any]:
    # A test may have deleted sys.meta_path, or put anything there, such as a list that iterates otherwise.
    finders: object = getattr(sys, "meta_path", None)
    return [*list.__iter__(finders)] if issubclass(type(finders), list) else []  # type: ignore[arg-type]


def _path_finders() -> dict[Any, object]:
    # As above.
    finders: object = getattr(sys, "path_importer_cache", None)
    return finders if type(finders) is dict else {}


#: The entries of ``sys.path``, and when their directories had changed last as far as finders know.
ListedPath = tuple[tuple[object, ...], tuple[object, ...]]


def listed_path(entries: tuple[object, ...]) -> ListedPath:
    """Return a path with the directories as of when finders listed them last. No file system is asked."""
    if not are_strings(entries):
        return entries, ()
    finders = map(_path_finders().get, entries, repeat(ABSENT))
    return entries, tuple([_listed_at(finder) for finder in finders])


def _listed_at(finder: object) -> object:
    if finder is None:  # there is nothing at this entry
        return ABSENT
    return getattr(finder, _TIME, None) if type(finder) is FileFinder else None


def is_as_listed(path: ListedPath, entries: tuple[object, ...]) -> bool:
    """Tell whether a search is known to find what it found earlier.

    Args:
        path: what :func:`listed_path` returned then.
        entries: the entries of the path now.
    """
    before, times = path
    return len(entries) == len(before) == len(times) and all(
        entry is earlier and (entry.startswith(_STANDARD_LIBRARY) or _time_of(entry) == time)  # type: ignore[attr-defined]
        for entry, earlier, time in zip(entries, before, times, strict=True)
    )


def _time_of(folder: Any) -> object:
    try:
        return _stat(folder or ".").st_mtime
    except (OSError, ValueError):
        return ABSENT


#: The entries of a path, each with what tells that a module was put into its folder or archive, or taken out.
SearchedPath = tuple[tuple[object, tuple[int, int, int] | None], ...]


def searched_path(entries: Iterable[object]) -> SearchedPath:
    """Return a path as it is now: a search along one that is equal finds the same again.

    What lies at an entry may change: a test writes a module into a folder, or an archive anew.
    """
    return tuple((entry if type(entry) is str else id(entry), _state_of(entry)) for entry in entries)


def _state_of(entry: object) -> tuple[int, int, int] | None:
    if type(entry) is not str or entry.startswith(_STANDARD_LIBRARY):  # which nobody rewrites
        return None
    try:
        found = _stat(entry or ".")
    except NotADirectoryError:
        return _state_of(os.path.dirname(entry))  # a folder in an archive
    except (OSError, ValueError):  # an entry may be anything
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def import_function() -> Callable[..., Any]:
    """Return ``builtins.__import__``, and if that is a wrapper of this package, what it wraps."""
    function: Callable[..., Any] = builtins.__import__
    while (wrapped := (namespace(function) or {}).get(WRAPPED)) is not None:
        function = wrapped
    return function


def _has_caches(finder: object) -> bool:
    """Tell whether a finder, which may be a class, has the method by which caches are dropped."""
    name, kind = "invalidate_caches", type(finder)
    if name in (namespace(finder) or {}) or class_attribute(kind, name) is not ABSENT:
        return True
    return issubclass(kind, type) and class_attribute(finder, name) is not ABSENT  # type: ignore[arg-type]


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
        for finder in (*_finders(), *list(_path_finders().values())):
            if finder is None or finder is _bootstrap_external.PathFinder:
                continue
            if type(finder) is FileFinder and _is_settled(finder, settled):
                continue
            if type(finder) is zipimporter and finder.archive == _STANDARD_LIBRARY:
                continue
            if not _has_caches(finder):  # hasattr() could run code of a user's finder
                continue
            try:
                finder.invalidate_caches()
            except KeyboardInterrupt:
                raise
            except BaseException:  # a user's finder; the others must not stay stale
                continue
        # What PathFinder.invalidate_caches() does beside that.
        namespace_path = getattr(_bootstrap_external, "_NamespacePath", None)
        if namespace_path is not None and hasattr(namespace_path, "_epoch"):
            namespace_path._epoch += 1
        metadata = namespace(sys.modules.get("importlib.metadata")) or {}
        clear = getattr(getattr(metadata.get("FastPath"), "__new__", None), "cache_clear", None)
        if clear is not None:
            clear()


def _is_settled(finder: FileFinder, settled: float) -> bool:
    """Tell whether a finder has no listing, or one of a directory that had not changed for a while."""
    time: Any = getattr(finder, _TIME, None)
    return type(time) in (int, float) and (time == -1 or 0 < time < settled)


#: Of the finders of this process, which all windows share.
drop_finder_caches: Final = _FinderCaches().drop
