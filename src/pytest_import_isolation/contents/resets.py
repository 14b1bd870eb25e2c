"""Resets: test code takes out again what an application stored while it ran, as that of a singleton.

They are no leaks. Where they were undone, the next test would meet the object of an earlier one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pytest_import_isolation.contents.changes import ContentChange, inherited
from pytest_import_isolation.contents.source_writes import SourceWrites
from pytest_import_isolation.machinery.modules import ABSENT, class_attribute, class_home, file_of, mro_of


def is_reset(change: ContentChange, others: Callable[[], Iterable[str]], sources: SourceWrites) -> bool:
    """Tell whether a name holds again what it held at first, or nothing, in place of what others stored.

    Args:
        change: the change, by test code.
        others: returns the files of those who may have stored what stood there before.
        sources: reads texts.
    """
    first = change.space.first.value(change.name, ABSENT)
    if change.submodule is not None or change.before is first or change.before is ABSENT:
        return False
    original = _inherited(change) if first is ABSENT else first
    if change.after is not original and not (original is ABSENT and change.after is None):
        return False
    names = names_in_code(change)
    return any(
        _may_store(file, name, sources) for file in {*_files_above(change), *others()} for name in names
    )


def names_in_code(change: ContentChange) -> tuple[str, ...]:
    """Return under which names code may store what was changed.

    In the body of a class Python puts the name of the class before one that begins with two underscores.
    """
    name = change.name
    at = name.find("__", 2)
    is_private = change.space.is_class and name[:1] == "_" != name[1:2] and at > 0 and name[-2:] != "__"
    return (name, name[at:]) if is_private else (name,)


def _may_store(file: str, name: str, sources: SourceWrites) -> bool:
    if name not in sources.text(file):
        return False
    writes = sources.of(file)
    return name in writes.attributes or name in writes.said


def _above(change: ContentChange) -> Iterator[type]:
    """Yield the classes in which Python looks for a name that a class has not, its metaclasses last."""
    owner: Any = change.space.owner()
    if change.space.is_class and owner is not None:
        yield from mro_of(owner)[1:]
        yield from mro_of(type(owner))


def _inherited(change: ContentChange) -> object:
    owner: Any = change.space.owner()
    found = inherited(owner, change.name)
    return class_attribute(type(owner), change.name) if found is ABSENT and change.space.is_class else found


def _files_above(change: ContentChange) -> Iterator[str]:
    """Yield the files in which these classes are defined, be it in libraries."""
    for home in {*map(class_home, _above(change))}:
        file = file_of(sys.modules.get(home))
        if file is not None:
            yield file
