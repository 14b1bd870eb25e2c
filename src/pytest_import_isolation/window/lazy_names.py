"""Names of surviving modules that cache an import, and wait again when what they stand for has left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_import_isolation.machinery.lazy_imports import lazies_in, read_lazy
from pytest_import_isolation.machinery.modules import namespace
from pytest_import_isolation.state.submodule_attributes import bind
from pytest_import_isolation.window.removal import Images

#: Names that waited for their first use (PEP 810), by module, with what stood for them.
Waiting = Mapping[Any, Mapping[str, object]]


def waiting_names(survivors: Mapping[Any, object]) -> Waiting:
    """Return the names of modules that wait for their first use."""
    found = {name: lazies_in(namespace(module) or {}) for name, module in survivors.items()}
    return {name: lazies for name, lazies in found.items() if lazies}


def lazy_names(survivor: str, images: Images, waiting: Waiting) -> Iterable[str]:
    """Return the names of a survivor that cache an import.

    They appeared in a package with a module-level ``__getattr__``, or stood for a lazy import.

    Args:
        survivor: its name.
        images: what packages held before something below them was imported.
        waiting: the names that waited when the window was opened.
    """
    space, before = images.get(survivor, ({}, {}))
    names = [key for key in list(space) if key not in before] if "__getattr__" in space else []
    return [*names, *waiting.get(survivor, ())]


def let_wait_again(waiting: Waiting, survivors: Mapping[Any, object], gone: Iterable[Any]) -> Iterator[str]:
    """Let lazy names that were resolved wait again, if what they stand for has left.

    Args:
        waiting: the names that waited when the window was opened.
        survivors: the modules.
        gone: the names of what has left.

    Yields:
        Each of them, with its module.
    """
    left = [name for name in gone if type(name) is str]
    for survivor, lazies in waiting.items():
        space = namespace(survivors.get(survivor)) or {}
        for key, value in lazies.items():
            lazy = read_lazy(value)
            if space.get(key, value) is not value and lazy is not None and any(map(lazy.needs, left)):
                bind(space, key, value)
                yield f"{survivor}.{key}"
