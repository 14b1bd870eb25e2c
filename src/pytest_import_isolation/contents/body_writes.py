"""What first-party modules wrote to other modules when they were executed, and which leave now.

Each execution would wrap once more what the last one has left: one layer for each test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.source_writes import SourceWrites
from pytest_import_isolation.contents.spaces import Space
from pytest_import_isolation.machinery.functions import values_in_closure
from pytest_import_isolation.machinery.modules import ABSENT, class_home, file_of, home_of, mro_of, namespace

_Namespace = dict[str, Any]


def writes_of_bodies(leaving: Mapping[str, object], sources: SourceWrites) -> Iterator[ContentChange]:
    """Yield what leaving modules put into the places of functions and classes of modules that stay.

    Only where a function or class of theirs still stands there, and where what they replaced is known.

    Args:
        leaving: the modules that leave, and are executed anew by the next import.
        sources: reads their texts.
    """
    modules = {id(module) for module in leaving.values()}
    spaces = {id(space): space for space in map(namespace, leaving.values()) if space is not None}
    for module in leaving.values():
        file, own = file_of(module), namespace(module)
        if file is None or own is None:
            continue
        for name, attribute in sources.patched(file):
            target = _module_called(name, own)
            dictionary = None if id(target) in modules else namespace(target)
            value = (dictionary or {}).get(attribute, ABSENT)
            home = (dictionary or {}).get("__name__")
            if dictionary is None or type(home) is not str or not _is_made_in(value, own):
                continue
            before = _replaced(value, own, (home, attribute), spaces)
            if before is not ABSENT:
                space = Space(home, home, target, dictionary, _nothing)
                yield ContentChange(space, attribute, before, value)


def _module_called(name: str, own: _Namespace) -> object:
    """Return the module that code calls by a name, which may have dots; None if there is not one."""
    first, *others = name.split(".")
    found = own.get(first)
    for part in others:
        found = (namespace(found) or {}).get(part) if type(found) is ModuleType else None
    # A function may have imported it for itself.
    found = sys.modules.get(name) if found is None else found
    return found if type(found) is ModuleType else None


def _nothing(space: Space) -> None:
    """Nobody has to hear of the death of a module that is written to once."""


def _is_made_in(value: object, own: _Namespace) -> bool:
    """Tell whether a value is a function or class of that very execution of a module."""
    if type(value) is FunctionType:
        return value.__globals__ is own
    # A class has no namespace of its module, but who made it holds it, as a rule.
    name = own.get("__name__")
    if type(name) is not str or not issubclass(type(value), type) or class_home(value) != name:  # type: ignore[arg-type]
        return False
    return any(value is other for other in [*own.values()])


def _replaced(
    value: object, own: _Namespace, home: tuple[str, str], leaving: Mapping[int, _Namespace]
) -> object:
    """Return what stood in the place of a value before the leaving modules were executed.

    Args:
        value: what stands there now.
        own: the namespace of the module that made it.
        home: the place, by the names of the module and in it. What was there says that it is of there.
        leaving: the namespaces of all modules that leave. What these made has to go too.

    Returns:
        ABSENT if they hold nothing of that home, or several things.
    """
    found: dict[int, object] = {}
    seen = {id(value)}
    waiting: list[Iterable[object]] = [_held_by(value), [*own.values()]]
    while waiting:
        for part in waiting.pop():
            if id(part) in seen or not _is_of(part, home):
                continue
            seen.add(id(part))
            space = part.__globals__ if type(part) is FunctionType else None
            if id(space) in leaving:
                waiting += (_held_by(part), [*leaving[id(space)].values()])
            else:
                found[id(part)] = part
    return next(iter(found.values())) if len(found) == 1 else ABSENT


def _is_of(value: object, place: tuple[str, str]) -> bool:
    """Tell whether a value says that its home is a place, or a submodule of which that exports it."""
    home = home_of(value)
    return home is not None and home[1] == place[1] and f"{home[0]}.".startswith(f"{place[0]}.")


def _held_by(value: object) -> Iterator[object]:
    """Yield what a function wraps or closes over, or the classes above a class."""
    if type(value) is FunctionType:
        yield (namespace(value) or {}).get("__wrapped__")
        yield from values_in_closure(value)
    elif issubclass(type(value), type):
        yield from mro_of(value)[1:]  # type: ignore[arg-type]
