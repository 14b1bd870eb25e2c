"""Hiding modules where no import looks: from pkgutil's listings, and their distributions from metadata."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pytest_import_isolation.machinery.modules import namespace

Covers = Callable[[str], object]

_MODULE_SUFFIXES: Final = ("py", "pyc", "pyd", "so")


def hide_from_listings(pkgutil: Any, covers: Covers) -> Callable[[], None]:
    """Let ``pkgutil.iter_modules`` and ``walk_packages`` leave modules out.

    Args:
        pkgutil: the module, loaded or not.
        covers: tells whether a module name is meant.

    Returns:
        The undo.
    """
    original = getattr(pkgutil, "iter_importer_modules", None)
    if original is None:
        return lambda: None

    @functools.wraps(original)
    def iter_importer_modules(importer: Any, prefix: str = "") -> Iterator[tuple[str, bool]]:
        packages = _packages_at(_folder_of(importer))
        for name, is_package in original(importer, prefix):
            child = name[len(prefix) :]
            if not any(covers(f"{package}{child}") for package in packages):
                yield name, is_package

    return _replace(pkgutil, "iter_importer_modules", iter_importer_modules)


def _folder_of(importer: Any) -> str:
    """Return the folder that a path entry finder looks into; ``""`` for one that does not say."""
    archive = getattr(importer, "archive", None)
    if type(archive) is str:  # a zipimporter
        return os.path.join(archive, getattr(importer, "prefix", "")).rstrip(os.sep)
    path = getattr(importer, "path", "")
    return path.rstrip(os.sep) if type(path) is str else ""


def _packages_at(folder: str) -> list[str]:
    """Return the prefixes of absolute names that modules in a folder have."""
    entries = getattr(sys, "path", [])
    found = [""] if not folder or _is_in(folder, entries) else []
    for name, module in sys.modules.copy().items():
        if type(name) is str and _is_in(folder, (namespace(module) or {}).get("__path__")):
            found.append(f"{name}.")
    return found or [""]


def _is_in(folder: str, entries: Any) -> bool:
    # A _NamespacePath computes itself anew when it is iterated; its list does not.
    entries = (namespace(entries) or {}).get("_path", entries)
    if type(entries) is not list:
        return False
    return any(type(entry) is str and (entry.rstrip(os.sep) or os.curdir) == folder for entry in entries)


def hide_distributions(metadata: Any, covers: Covers) -> Callable[[], None]:
    """Let importlib.metadata, or its backport, not know the distributions that deliver modules.

    ``version()``, ``files()``, ``distributions()``, ``entry_points()`` and ``packages_distributions()`` go
    without them.

    Args:
        metadata: the module, loaded or not.
        covers: tells whether a module name is meant.

    Returns:
        The undo.
    """
    home = metadata.Distribution
    # All questions go through it, on every version; a staticmethod, so that it has to be put back as one.
    original = home.__dict__.get("_discover_resolvers")
    if original is None:
        return lambda: None

    def filtered(resolver: Callable[[Any], Iterable[Any]], context: Any) -> Iterator[Any]:
        return (found for found in resolver(context) if not _delivers(found, covers))

    def _discover_resolvers() -> Iterator[Callable[[Any], Iterator[Any]]]:
        return (functools.partial(filtered, resolver) for resolver in original.__func__())

    return _replace(home, "_discover_resolvers", staticmethod(_discover_resolvers))


def _delivers(distribution: Any, covers: Covers) -> bool:
    """Tell whether one of the modules for which a distribution was installed is covered."""
    try:
        return any(covers(name) for name in _roots(distribution))
    except Exception:  # half deleted metadata; whoever asks for them gets the error
        return False


def _roots(distribution: Any) -> set[str]:
    """Return the import names of a distribution: its topmost modules and regular packages.

    ``google.protobuf`` and not ``google``, which others share. An editable install lists no modules: then
    ``top_level.txt`` says it, or else the distribution's own name.
    """
    found: set[tuple[str, ...]] = set()
    for file in distribution.files or ():
        *folders, last = file.parts
        stem, _, suffix = last.partition(".")
        name = (*folders,) if stem == "__init__" else (*folders, stem)
        is_module = suffix.endswith(_MODULE_SUFFIXES) and "__pycache__" not in folders
        if is_module and all(part.isidentifier() for part in name):
            found.add(name)
    roots = {
        name for name in found if name and not any(name[:depth] in found for depth in range(1, len(name)))
    }
    if roots:
        return {".".join(name) for name in roots}
    given = (distribution.read_text("top_level.txt") or "").split()
    return set(given) or {(distribution.metadata.get("Name") or "").replace("-", "_").lower()}


def _replace(home: Any, name: str, replacement: object) -> Callable[[], None]:
    """Replace an attribute; return the undo, which leaves it alone if somebody else replaced it since."""
    original = home.__dict__[name]
    setattr(home, name, replacement)

    def undo() -> None:
        if home.__dict__.get(name) is replacement:
            setattr(home, name, original)

    return undo
