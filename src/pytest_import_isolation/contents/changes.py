"""Single changes of what namespaces hold, without what modules and the interpreter write there themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import filterfalse
from types import FunctionType, ModuleType
from typing import Any, Final

from pytest_import_isolation.contents.path_changes import PATH
from pytest_import_isolation.contents.read_names import names_read_later
from pytest_import_isolation.contents.spaces import GONE, Copy, Space, value_of
from pytest_import_isolation.contents.values import is_same, is_same_constant
from pytest_import_isolation.machinery.lazy_imports import LAZY_TYPE
from pytest_import_isolation.machinery.modules import (
    ABSENT,
    class_home,
    class_name,
    class_namespace,
    class_qualname,
    differing_keys,
    is_module_named,
    mro_of,
    top_level,
)
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.machinery.source_text import text_of
from pytest_import_isolation.state.list_changes import keys_of

_OWN_PACKAGE: Final = top_level(__name__)


class ContentChange(NamedTuple):
    """One name of one namespace that holds something else than before."""

    space: Space
    name: str
    #: ABSENT for nothing, here and below.
    before: object
    after: object

    @property
    def full_name(self) -> str:
        """The name with that of the module, and of the class if there is one."""
        return f"{self.space.name}.{self.name}"

    @property
    def is_there(self) -> bool:
        """Whether something stands there now."""
        return self.after is not ABSENT

    @property
    def is_none(self) -> bool:
        """Whether what stands there does as well as what stood there.

        Who reads an inherited attribute of a class, and puts that back, leaves an attribute of its own.
        """
        if self.before is self.after or is_same_constant(self.before, self.after):
            return True
        if not self.space.is_class:
            return False
        if is_same(self.before, self.after):
            return True
        both = (self.before, self.after)
        if all(value is not ABSENT for value in both):
            return False
        above = inherited(self.space.owner(), self.name)
        return is_same(*(above if value is ABSENT else value for value in both))

    @property
    def is_in_place(self) -> bool:
        """Whether it is still so."""
        space = self.space.dictionary
        return space is not None and space.get(self.name, ABSENT) is self.after

    @property
    def submodule(self) -> str | None:
        """The submodule whose import bound its own name in place of what the package had exported.

        Of another module that a package imported under that name, it counts if a function of the package uses
        it: many a package needs its ``import logging`` once, and has a submodule of that name.
        """
        if self.space.is_class or self.before is ABSENT or is_module_named(self.before, self.full_name):
            return None
        if not is_module_named(self.after, self.full_name):
            return None
        if _is_module(self.before):
            file = (self.space.dictionary or {}).get("__file__")
            if type(file) is not str or self.name not in names_read_later(text_of(file)):
                return None
        return self.full_name


def compare(space: Space, before: Copy, now: Copy, *, is_new: bool = False) -> Iterator[ContentChange]:
    """Yield what is different, without what does not count: see :func:`_counts`.

    Args:
        space: the namespace.
        before: what it held.
        now: what it holds.
        is_new: whether nobody knew it at the moment since when changes are looked for. Then nothing else
            sees what took the place of one of its submodules.
    """
    if not before and space.owner() is None:
        return
    different = [*differing_keys(before, now), *filterfalse(before.__contains__, now)]
    for name in different:
        old, new = before.value(name, ABSENT), now.value(name, ABSENT)
        if old is new or type(name) is not str or old is GONE or new is GONE:
            continue
        change = ContentChange(space, name, old, new)
        if is_new and (submodule := _displaced(change)) is not None:
            change = change._replace(before=submodule)
            if not _is_lazy(new):
                yield change
        elif _counts(change):
            yield change


def inherited(cls: Any, name: str) -> object:
    """Return what classes above one hold under a name, ABSENT for nothing."""
    above = mro_of(cls)[1:] if issubclass(type(cls), type) else ()
    return next((space[name] for each in above if name in (space := class_namespace(each))), ABSENT)


def _counts(change: ContentChange) -> bool:
    name, before, after = change.name, change.before, change.after
    space = change.space
    if change.is_none or (name.startswith("__") and name.endswith("__") and not _is_path(change)):
        return False
    if change.submodule is None and _is_submodule(change):
        return False
    if _is_lazy(before) or _is_lazy(after) or _is_ours(before) or _is_ours(after):
        return False
    # A module that answers for missing names by itself keeps what it answered.
    return space.is_class or before is not ABSENT or not _answers(space)


def _is_path(change: ContentChange) -> bool:
    """Tell whether submodules of a package are looked for elsewhere, so that imports may give others."""
    if change.name != PATH or change.space.is_class:
        return False
    before, after = change.before, change.after
    if type(before) is not list or type(after) is not list:
        return True
    # A reload gives the package another list of the same folders.
    return keys_of(before) != keys_of(after)


def _answers(space: Space) -> bool:
    """Tell whether a module answers for missing names by itself (PEP 562)."""
    return "__getattr__" in (space.dictionary or {}) or type(space.owner()) is not ModuleType


def _is_submodule(change: ContentChange) -> bool:
    """Tell whether a name is that of a submodule, which the import system binds and restores by itself."""
    if change.space.is_class:
        return False
    both = (change.before, change.after)
    if any(is_module_named(value, change.full_name) for value in both):
        return True
    if change.after is ABSENT and _is_module(change.before) and change.name not in change.space.first:
        return True  # its entry, which may be gone too, had another name
    return change.full_name in sys.modules and any(value is ABSENT or _is_module(value) for value in both)


def _displaced(change: ContentChange) -> object | None:
    """Return the loaded submodule in whose place something else stands that no import put there."""
    space = change.space
    loaded = ABSENT if space.is_class else sys.modules.get(change.full_name, ABSENT)
    if change.after is ABSENT or change.after is loaded or not is_module_named(loaded, change.full_name):
        return None
    if is_module_named(change.after, change.full_name):
        return None  # another copy, which the import of it bound: the attribute is a part of the import state
    if change.before is loaded:
        return loaded
    # Bound after the end of the package's body, unless the package answers for missing names by itself.
    return loaded if change.before is ABSENT and not _answers(space) else None


def _is_module(value: object) -> bool:
    return issubclass(type(value), ModuleType)


def _is_ours(value: object) -> bool:
    """Tell whether this package put a value there, as it does to watch imports."""
    return issubclass(type(value), type) and top_level(class_home(value)) == _OWN_PACKAGE  # type: ignore[arg-type]


def _is_lazy(value: object) -> bool:
    kind = type(value)
    if LAZY_TYPE is not None and kind is LAZY_TYPE:
        return True
    # A lazy module of importlib, or of a library that follows it, is another type until its first use.
    return issubclass(kind, ModuleType) and kind is not ModuleType and "azy" in class_qualname(kind)


def is_executed_again(space: Space, before: Copy, now: Copy) -> bool:
    """Tell whether a module's body was executed once more in its namespace.

    Then every function and class that it defines is another object of the same place.
    """
    if space.is_class:
        return False
    again = 0
    # From the end: most modules define something there.
    for name, kept in reversed(before.items()):
        old, new = value_of(kept), value_of(now.get(name, ABSENT))
        place = _place(old, space.name)
        if place is None:
            continue
        if old is new or _place(new, space.name) != place:
            return False
        again += 1
    return again > 0


def _place(value: object, home: str) -> tuple[Any, ...] | None:
    kind = type(value)
    if kind is FunctionType:
        code = value.__code__  # type: ignore[attr-defined]
        if value.__module__ == home:
            return (
                code.co_filename,
                code.co_firstlineno,
                code.co_qualname if hasattr(code, "co_qualname") else "",
            )
    elif issubclass(kind, type) and class_home(value) == home:  # type: ignore[arg-type]
        return ("class", class_name(value))  # type: ignore[arg-type]
    return None
