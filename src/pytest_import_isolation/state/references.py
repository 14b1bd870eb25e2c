"""References from one module to another, found without running any code of theirs."""

from __future__ import annotations

import gc
import operator
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from functools import cached_property, lru_cache, partial
from itertools import chain, islice
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, Final

from pytest_import_isolation.machinery.modules import (
    ABSENT,
    class_home,
    class_namespace,
    class_qualname,
    differing_keys,
    namespace,
)

# A registry with more entries is data; looking at each would cost more than a wrong guess.
_LARGEST_CONTAINER: Final = 1_000
# Values that cannot refer to a module; most of what a namespace holds.
# By identity: a class may have a metaclass that hashes it.
_PLAIN: Final = frozenset(
    map(id, (str, int, float, bool, bytes, type(None), property, type(len), type(str.join)))
)
_CONTAINERS: Final = frozenset(map(id, (list, tuple, set, frozenset)))
#: Those whose items only garbage collection knows, such as a function with a cache.
_OTHER_CONTAINERS: Final = frozenset(map(id, (deque, partial, SimpleNamespace, type(lru_cache(len)))))
_ALL_CONTAINERS: Final = frozenset((id(dict), *_CONTAINERS, *_OTHER_CONTAINERS))
#: What a registry holds may be a function around another one, as a decorator makes it.
_ALL_INNER: Final = frozenset((id(FunctionType), *_ALL_CONTAINERS))
#: So many containers that are in each other are looked into.
_DEEPEST: Final = 4


class NewModules:
    """The modules that a window loaded, with the means to find who refers to them.

    Args:
        modules: by their names.
        is_own: tells of a module, by its name, whether it is one's own. What is held by instances of classes
            of these, and by containers in containers, is looked at for one's own new modules. Others come
            back as the same objects. None if nobody asks.
    """

    def __init__(self, modules: Mapping[str, object], is_own: Callable[[str], bool] | None = None) -> None:
        self.modules = modules
        #: The function given.
        self.is_own: Final = is_own
        #: Those of them that are one's own.
        self.own: Set[str] = frozenset() if is_own is None else frozenset(filter(is_own, modules))
        # By the identities of classes, which are kept alive.
        self._by_class: dict[int, tuple[type, str | None]] = {}

    @cached_property
    def _by_identity(self) -> dict[int, str]:
        return {
            id(module): name for name, module in self.modules.items() if issubclass(type(module), ModuleType)
        }

    @cached_property
    def names(self) -> Set[str]:
        """Their names."""
        return frozenset(self.modules)

    @cached_property
    def identities(self) -> Set[int]:
        """The identities of the modules, and of their namespaces."""
        return self._by_identity.keys() | self._by_namespace.keys()

    @cached_property
    def _by_namespace(self) -> dict[int, str]:
        spaces = ((name, namespace(module)) for name, module in self.modules.items())
        return {id(space): name for name, space in spaces if space is not None}

    def home_of(self, value: object) -> str | None:
        """Return the arrival that a value is, is defined in, or is an instance of a class of.

        Identities decide, not names: an older copy of the same module may have left classes behind that
        carry the same ``__module__``. No attribute of the value itself is read.
        """
        kind = type(value)
        if issubclass(kind, ModuleType):
            return self._by_identity.get(id(value))
        if kind is FunctionType:
            return self._by_namespace.get(id(value.__globals__))  # type: ignore[attr-defined]
        if kind is MethodType:
            value = value.__self__  # type: ignore[attr-defined]
            kind = type(value)
        return self._home_of_class(value if issubclass(kind, type) else kind)  # type: ignore[arg-type]

    def _home_of_class(self, cls: type) -> str | None:
        known = self._by_class.get(id(cls))
        if known is None:
            known = self._by_class[id(cls)] = cls, self._find_class(cls)
        return known[1]

    def _find_class(self, cls: type) -> str | None:
        home = class_home(cls)
        if home not in self.modules:
            return None
        space = namespace(self.modules[home]) or {}
        root, *rest = class_qualname(cls).split(".")
        found = space.get(root)
        if found is cls or any(value is cls for value in list(space.values())):
            return home
        # A nested class, or one made in a function of this module.
        if "<locals>" in rest:
            return home if found is not None else None
        for part in rest:
            is_class = issubclass(type(found), type)
            found = class_namespace(found).get(part) if is_class else None  # type: ignore[arg-type]
        return home if found is cls else None

    def references(self, space: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Yield the new_modules that a namespace refers to, each with the name that refers to it.

        Looked at are the values, what builtin containers hold, and the attributes of the namespace's own
        classes.
        """
        name = space.get("__name__")
        for key, value in self._possible(space):
            home = self.home_of(value)
            if home is not None:
                yield home, key
            elif issubclass(type(value), type):
                if type(name) is str and class_home(value) == name:  # type: ignore[arg-type]
                    yield from self._references_of_class(key, class_namespace(value))  # type: ignore[arg-type]
            else:
                yield from self.references_of_container(key, value)

    def _references_of_class(self, key: str, space: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        for attribute, value in self._possible(space):
            home = self.home_of(value)
            if home is not None:
                yield home, f"{key}.{attribute}"
            else:
                yield from self.references_of_container(f"{key}.{attribute}", value)

    def _possible(self, space: Mapping[str, object]) -> list[tuple[str, object]]:
        """Return the items that may be a reference; most values are data, or functions of survivors."""
        arriving, has_own = self._by_namespace, bool(self.own)
        return [
            (key, value)
            for key, value in list(space.items())
            if not is_plain_value(value)
            and type(key) is str
            and key != "__builtins__"  # 150 values in each module, and none of them matters
            and (
                type(value) is not FunctionType
                or id(value.__globals__) in arriving
                or (has_own and has_parts(value))
            )
        ]

    def references_of_container(self, where: str, value: object) -> Iterator[tuple[str, str]]:
        """Yield the new modules that what is in a holder is, or belongs to.

        Args:
            where: what holds the holder, given back with each.
            value: the holder, see :func:`is_holder`; nothing is in anything else.
        """
        is_simple = type(value) is dict or id(type(value)) in _CONTAINERS
        if not (is_simple or self.own):
            return
        items, wanted = (
            (items_of_container(value), self.names) if is_simple else (self._items_of(value), self.own)
        )
        waiting, seen = [(items, wanted, 1)], {id(value)}
        for items, wanted, depth in waiting:
            for item in items:
                home = self.home_of(item)
                if home is not None and home in wanted:
                    yield home, where
            for item in containers_among(items) if self.own and depth < _DEEPEST else ():
                inner = items_of_container(item)
                if inner and id(item) not in seen:
                    seen.add(id(item))
                    waiting.append((inner, self.own, depth + 1))

    def _items_of(self, holder: object) -> list[object]:
        if is_container(holder) or not is_holder(holder, self.is_own):
            return items_of_container(holder)
        return _without_plain(parts_of(holder))


def is_holder(value: object, is_own: Callable[[str], bool] | None) -> bool:
    """Tell whether other objects may be in a value, now or later, that are looked at.

    That is a builtin container, what a function with a cache has returned, or an instance of a class of one's
    own, whose attributes count, or a method of one.

    Args:
        value: the value.
        is_own: see :class:`NewModules`.
    """
    if is_container(value):
        return True
    kind = type(owner_of_method(value))
    if is_own is None or issubclass(kind, type) or issubclass(kind, tuple):
        return False
    return is_own(class_home(kind))


def is_plain_value(value: object) -> bool:
    """Tell whether a value cannot refer to a module."""
    return id(type(value)) in _PLAIN


def is_container(value: object) -> bool:
    """Tell whether a value is a container of Python's own; a function with a cache is one."""
    return id(type(value)) in _ALL_CONTAINERS


def can_change(container: object) -> bool:
    """Tell whether something else may be in a container later."""
    kind = type(container)
    if kind is tuple or kind is frozenset:
        return any(map(can_change, containers_among(container)))  # type: ignore[arg-type]
    if kind is FunctionType:  # one may hold itself
        return any(map(is_container, items_of_container(container)))
    return True


def may_matter(container: Any) -> bool:
    """Tell whether what is in a container may refer to something, now or later."""
    kind = type(container)
    if kind is dict and _is_of_the_interpreter(container):
        return False
    if (kind is dict or id(kind) in _CONTAINERS) and len(container) > _LARGEST_CONTAINER:
        return False
    return can_change(container) or bool(items_of_container(container))


def containers_among(items: Collection[object]) -> list[object]:
    """Return those of some objects in which others are, at the speed of C if there are none.

    They are containers, and functions that :func:`hold others <has_parts>`.
    """
    if _ALL_INNER.isdisjoint(map(id, map(type, items))):
        return []
    return [item for item in items if is_container(item) or has_parts(item)]


def has_parts(value: Any) -> bool:
    """Tell whether a value is a function that holds objects: in its closure, or as defaults."""
    if type(value) is not FunctionType:
        return False
    return value.__closure__ is not None or value.__defaults__ is not None or value.__kwdefaults__ is not None


def items_of_container(value: Any) -> list[object]:
    """Return the items of a builtin container; none if they are plain, or too many to be but data.

    Those of a function are what its closure holds, and its defaults.
    """
    kind = type(value)
    items: Collection[object]
    if kind is dict:
        if _is_of_the_interpreter(value):
            return []
        items = value.values()
    elif id(kind) in _CONTAINERS:
        items = value
    elif id(kind) in _OTHER_CONTAINERS:
        items = parts_of(value)
    elif kind is FunctionType:
        # By garbage collection, to which a cell that holds nothing yet is no error.
        items = [
            *gc.get_referents(*(value.__closure__ or ())),
            *(value.__defaults__ or ()),
            *(value.__kwdefaults__ or {}).values(),
        ]
    else:
        return []
    return _without_plain(items)


def owner_of_method(value: object) -> object:
    """Return what a method is bound to; anything else itself."""
    return value.__self__ if type(value) is MethodType else value


def items_of_all(containers: Iterable[object]) -> list[object]:
    """Return the items of some containers; see :func:`items_of_container`."""
    return [*chain.from_iterable(map(items_of_container, containers))]


def everything_in(items: Collection[object], depth: int = _DEEPEST) -> Iterator[object]:
    """Yield objects, and what is in those of them that are containers."""
    yield from items
    for container in containers_among(items) if depth > 1 else ():
        yield from everything_in(items_of_container(container), depth - 1)


def parts_of(value: object) -> list[object]:
    """Return what an object refers to beside its class: its attributes, or its items. None of its code runs.

    These may be in a dictionary of their own. Of an object that refers to very much nothing is returned.
    """
    owner = owner_of_method(value)
    kind = type(owner)
    found: list[object] = []
    for item in gc.get_referents(owner):
        if type(item) is dict and (id(kind) in _OTHER_CONTAINERS or item is namespace(owner)):
            found += islice(item.values(), _LARGEST_CONTAINER + 1)
        elif item is not kind:
            found.append(item)
    return found if len(found) <= _LARGEST_CONTAINER else []


def _without_plain(items: Collection[object]) -> list[object]:
    if not 0 < len(items) <= _LARGEST_CONTAINER:
        return []
    found = list(items)
    return [] if _PLAIN.issuperset(map(id, map(type, found))) else found


def _is_of_the_interpreter(table: dict[Any, object]) -> bool:
    """Tell whether a table is ``sys.modules``, or the namespace of a module: to have it is no need of it."""
    first = next(iter(table), None)  # a module is made with its name
    return table is sys.modules or (type(first) is str and first == "__name__")


def changed_values(before: Mapping[str, object], now: Mapping[str, object]) -> dict[str, object]:
    """Return what a namespace did not hold before, with its name; nothing if nothing changed."""
    if len(before) == len(now) and all(map(operator.is_, before.values(), now.values())):
        return {}
    changed = {
        key: value
        for key, value in list(now.items())
        if type(key) is str and before.get(key, ABSENT) is not value
    }
    return {"__name__": now.get("__name__"), **changed} if changed else {}


def stale_names(
    space: Mapping[str, object], before: Mapping[str, object], leaving: NewModules
) -> Iterator[tuple[str, bool]]:
    """Yield the names of a surviving package that hold something of modules that leave.

    Args:
        space: the package's namespace now.
        before: what it held before the first import of something below it.
        leaving: the modules that leave.

    Yields:
        The name, and whether it is new (else it held another value before). New names count only in a
        package with a ``__getattr__`` of its own, which computes them again.
    """
    lazy, now = "__getattr__" in space, dict(space)
    for key in differing_keys(now, before):
        if type(key) is str and (lazy or key in before) and leaving.home_of(now[key]) is not None:
            yield key, key not in before
