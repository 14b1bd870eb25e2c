"""Modules as objects: names, namespaces and specs, read without running any code of theirs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final


class _Absent:
    """The type of :data:`ABSENT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


#: Stands for "there was nothing" where ``None`` is a possible value.
ABSENT: Final = _Absent()


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


def loaded_namespace(name: str) -> dict[str, Any]:
    """Return the namespace of a module if it is loaded, else an empty one. Nothing is imported."""
    return namespace(sys.modules.get(name)) or {}


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


def module_of_class(cls: type) -> str | None:
    """Return the name of the module in which a class says that it was defined; its metaclass is not asked."""
    found = type.__dict__["__module__"].__get__(cls)
    return found if type(found) is str else None


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
