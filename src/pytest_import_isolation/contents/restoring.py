"""Writing to namespaces: what test code did is undone, and done again where it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pytest_import_isolation.contents.changes import ContentChange
from pytest_import_isolation.contents.package_paths import PathSpace
from pytest_import_isolation.contents.spaces import GONE, Copy, Space, copy_of, value_of
from pytest_import_isolation.contents.values import is_same
from pytest_import_isolation.machinery.modules import ABSENT, class_attribute, is_module_named
from pytest_import_isolation.machinery.named_tuples import NamedTuple


class Redo(NamedTuple):
    """What was undone, in the form in which it can be done again."""

    space: Space
    #: By name, what stood there before it was undone, and after; ABSENT for nothing.
    before: Copy
    after: Copy


def write(space: Space, name: str, value: object) -> bool:
    """Put a value into a namespace, or take what is there away, without running code of anybody's.

    Returns:
        Whether that could be done.
    """
    owner, dictionary = space.owner(), space.dictionary
    if owner is None or dictionary is None or value is GONE:
        return False
    if isinstance(space, PathSpace):
        return space.put(value)
    if not space.is_class:
        if value is ABSENT:
            dictionary.pop(name, None)
        else:
            dictionary[name] = value
        return True
    # The interpreter remembers where attributes of classes are: the dictionary alone must not change. A
    # descriptor of the metaclass would be asked.
    above = type(class_attribute(type(owner), name))
    if above is not type(ABSENT) and hasattr(above, "__set__"):
        return False
    try:
        if value is not ABSENT:
            type.__setattr__(owner, name, value)
        elif name in dictionary:
            type.__delattr__(owner, name)
    except (TypeError, AttributeError):  # a class that C code made immutable
        return False
    return True


def undo(changes: Iterable[ContentChange]) -> list[ContentChange]:
    """Put back what was there before single changes.

    Returns:
        Those that were undone: afterwards it was looked whether they are.
    """
    undone: list[ContentChange] = []
    for change in changes:
        if change.is_in_place and write(change.space, change.name, change.before):
            now = (change.space.dictionary or {}).get(change.name, ABSENT)
            if now is change.before:
                undone.append(change)
    return undone


def put_back(space: Space, contents: Mapping[str, object]) -> bool:
    """Make a whole namespace what it was, in place; submodules that were bound since stay bound.

    Args:
        space: the namespace of a module.
        contents: what it shall hold.

    Returns:
        Whether it holds that now.
    """
    dictionary = space.dictionary
    if dictionary is None:
        return False
    for name in [name for name in list(dictionary) if name not in contents]:
        if type(name) is str and not is_module_named(dictionary[name], f"{space.name}.{name}"):
            del dictionary[name]
    for name, kept in contents.items():
        value = value_of(kept)
        if value is not GONE and dictionary.get(name, ABSENT) is not value:
            dictionary[name] = value
    return all(dictionary.get(name, ABSENT) is value_of(kept) for name, kept in contents.items())


def redo_of(changes: Iterable[ContentChange]) -> Iterator[Redo]:
    """Yield what single changes did, as it can be done again."""
    by_space: dict[Space, tuple[dict[str, object], dict[str, object]]] = {}
    for change in changes:
        before, after = by_space.setdefault(change.space, ({}, {}))
        before[change.name], after[change.name] = change.before, change.after
    for space, (before, after) in by_space.items():
        yield Redo(space, space.hold(copy_of(before)), space.hold(copy_of(after)))


def do_again(redo: Redo) -> None:
    """Lay changes over a namespace again, where it is as it was when they were undone."""
    redo.space.resume()
    dictionary = redo.space.dictionary
    if dictionary is None:
        return
    for name in {**redo.before, **redo.after}:
        before, after = redo.before.value(name, ABSENT), redo.after.value(name, ABSENT)
        if before is not after and is_same(dictionary.get(name, ABSENT), before):
            write(redo.space, name, after)
