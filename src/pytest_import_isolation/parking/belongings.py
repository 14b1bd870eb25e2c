"""What a package installed in the import system, which leaves and returns with it, and whose it is."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.functions import values_in_closure
from pytest_import_isolation.machinery.modules import (
    class_home,
    class_qualname,
    file_of,
    mro_of,
    namespace,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.list_changes import Place

#: How far into what a function holds is looked for the code that it runs.
_DEPTH: Final = 4
#: Whose instances tell nothing by their class. By identity: a metaclass may compare and hash as it likes.
_PLAIN: Final = frozenset(
    map(id, (tuple, list, dict, str, int, bool, type(None), MethodType, functools.partial))
)
#: The types of what may be the code of a finder.
_CODE: Final = frozenset(map(id, (FunctionType, MethodType, functools.partial, staticmethod, classmethod)))
_OWN_PACKAGE: Final = top_level(__name__)


class Belonging(NamedTuple):
    """A path entry, finder or hook that a package had installed, which leaves and returns with it."""

    #: Of ``sys``, or ``"import_function"``, ``"lazy_imports"``, ``"class"`` for a change of a finder's class,
    #: ``"entry"`` for the name of a module that another package had made, ``"path_importer_cache"`` for a
    #: path entry with its finder.
    list_name: str
    item: Any
    #: Where it stood, in one of the lists of ``sys``.
    place: Place = Place((), ())


def owner_of(list_name: str, item: object, packages: Mapping[str, object]) -> str | None:
    """Return the package that installed a finder, hook or path entry, or None.

    The classes and functions that it is made of say where it comes from; a path entry belongs to the package
    whose folder holds it (setuptools adds its ``_vendor``).

    Args:
        list_name: ``"path"``, ``"meta_path"`` or ``"path_hooks"``.
        item: what was found in that list.
        packages: the top-level packages to choose from.
    """
    if list_name == "path":
        if type(item) is not str:
            return None
        for package, module in packages.items():
            folder = folder_of(module)
            if folder and item.startswith(folder + os.sep):
                return package
        return None
    return next((package for package in map(top_level, homes_of(item)) if package in packages), None)


def homes_of(item: object) -> Iterator[str]:
    """Yield the modules that define what a finder or hook is made of, the outermost first.

    ``FileFinder.path_hook((MyLoader, [".py"]))`` gives a function of importlib's that holds a class of
    somebody else's. A function knows its globals, whatever it says of its module. What this package put into
    the place of a function belongs to nobody.
    """
    seen: set[int] = set()
    waiting: list[tuple[object, int]] = [(item, 0)]
    while waiting:
        part, level = waiting.pop(0)
        if id(part) in seen or level > _DEPTH:
            continue
        seen.add(id(part))
        for home in _homes(part):
            if type(home) is str and home and top_level(home) != _OWN_PACKAGE:
                yield home
        waiting += ((inner, level + 1) for inner in _parts(part))


def _homes(part: object) -> Iterator[object]:
    """Yield where something says that it was defined, and for a function also where it was."""
    kind = type(part)
    if issubclass(kind, type):
        yield class_home(part)  # type: ignore[arg-type]
    elif kind is FunctionType or kind is BuiltinFunctionType:
        yield part.__module__
        if kind is FunctionType:
            yield dict.get(part.__globals__, "__name__")  # type: ignore[attr-defined]
    elif kind is ModuleType:
        yield (namespace(part) or {}).get("__name__", "")
    elif id(kind) not in _PLAIN:
        yield class_home(kind)


def _parts(part: Any) -> Iterator[object]:
    kind = type(part)
    if kind is FunctionType:
        yield (namespace(part) or {}).get("__wrapped__")
        yield from values_in_closure(part)
        yield from part.__defaults__ or ()
    elif kind is MethodType:
        yield part.__self__
        yield part.__func__
    elif kind is BuiltinFunctionType:
        yield part.__self__
    elif kind is functools.partial:
        yield part.func
        yield from part.args
        yield from part.keywords.values()
    elif kind is staticmethod or kind is classmethod:
        yield part.__func__
    elif kind is tuple or kind is list:
        yield from part
    elif issubclass(kind, type):
        yield from _code_in(type.__dict__["__dict__"].__get__(part))
    elif kind is not ModuleType and id(kind) not in _PLAIN:
        yield kind
        yield from _code_in(namespace(part) or {})


def holds(item: object, other: object) -> bool:
    """Tell whether a finder or hook keeps another one, in whose place it stands and which it asks.

    So does a class that is derived from the other, and an object of such a class.
    """
    kind: Any = item if issubclass(type(item), type) else type(item)
    if kind is not other and any(each is other for each in mro_of(kind)):
        return True
    return any(part is other for part in (*_parts(item), *(namespace(item) or {}).values()))


def _code_in(space: Mapping[str, object]) -> list[object]:
    """Return what of a class or an object is code, and no data that it keeps."""
    return [value for value in [*space.values()] if id(type(value)) in _CODE]


def folder_of(module: object) -> str | None:
    """Return the folder of a package, or None for what is no package with a file."""
    file = file_of(module)
    if file is not None and os.path.basename(file).startswith("__init__."):
        return os.path.dirname(file)
    return None


def item_text(item: object) -> str:
    """Return the text of a path entry, and any other item as the name of its class or function."""
    kind = type(item)
    if issubclass(kind, str):
        return str.__str__(item)
    if kind is FunctionType:
        return f"{item.__module__}.{item.__qualname__}"  # type: ignore[attr-defined]
    cls: type = item if issubclass(kind, type) else kind  # type: ignore[assignment]
    return f"{class_home(cls)}.{class_qualname(cls)}"
