"""What modules refer to, remembered as long as their namespaces do not change."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import is_, itemgetter
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, ClassVar, Final

from pytest_import_isolation.machinery.dict_versions import HAS_NUMBERS, Cell, Moment, cell_of, read_cells
from pytest_import_isolation.machinery.identities import read_pointers
from pytest_import_isolation.machinery.modules import class_dictionary, class_home, class_namespace, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.references import (
    NewModules,
    can_change,
    containers_among,
    everything_in,
    is_container,
    is_holder,
    is_plain_value,
    items_of_all,
    items_of_container,
    may_matter,
    owner_of_method,
    parts_of,
)

_IsOwn = Callable[[str], bool]
#: Containers that can change, by identity: a class may have a metaclass that compares it.
_CHANGING: Final = frozenset(map(id, (list, set, dict)))
# Lists of strings, which nearly every module has.
_STRINGS: Final = frozenset(("__all__", "__path__"))
#: Functions and methods, by identity.
_CALLABLES: Final = frozenset((id(FunctionType), id(MethodType)))
#: In what others are that is no container.
_WITH_PARTS: Final = frozenset((id(CellType), *_CALLABLES))
#: So many values are too many to be looked at each time a window is closed.
_LARGEST_PICTURE: Final = 5_000
#: What has changed so often is looked at one by one.
_MOST_CHANGES: Final = 8
#: An instance has a dictionary, in which are containers, in which others are.
_DEEPEST_PICTURE: Final = 6


class _Waiting:
    """A container that can change while its holder does not.

    Args:
        holder: the namespace that holds it.
        key: under which name.
        where: how it is called.
        container: what is there.
    """

    __slots__ = ("_cell", "_picture", "_version", "holder", "key", "where")

    def __init__(self, holder: Mapping[str, Any], key: str, where: str, container: object) -> None:
        self.holder, self.key, self.where = holder, key, where
        self.renew(container)

    def renew(self, container: object) -> None:
        """Take what is in it now as known."""
        items = items_of_container(container) if type(container) is dict else ()
        # Where the version of a dictionary is read; what is in containers in it can change while it does not.
        has_more = any(map(can_change, containers_among(items)))
        self._cell = None if has_more else cell_of(container)
        self._version = None if self._cell is None else self._cell.value
        self._picture = (id(container),) if self._cell is not None else _picture(container)

    def has_changed(self, container: object) -> bool:
        """Tell whether what is there now may hold something that was not known."""
        if self._cell is None:
            return _picture(container) != self._picture
        # It is alive: that what is read is a dictionary's version, and no two of these are the same.
        return id(container) != self._picture[0] or self._cell.value != self._version


def _picture(container: object) -> tuple[int, ...]:
    """Return the identities of what is in a container, and of the types of that. Nothing is kept alive."""
    items = items_of_container(container)
    return (id(container), *_identities([*everything_in(items)])) if items else (id(container),)


class _Parts(NamedTuple):
    """An object whose attributes or items only garbage collection knows, by these: most stay the same."""

    holder: Mapping[str, Any]
    key: str
    where: str
    #: The identities of its parts when they were noted, and of what was in those that are containers.
    parts: tuple[int, ...]
    items: tuple[int, ...]
    #: Which of the parts are containers, in which others may be; None if there are containers in those.
    containers: tuple[int, ...] | None

    @classmethod
    def of(cls, holder: Mapping[str, Any], key: str, where: str, parts: list[object]) -> _Parts:
        """Take note of an object, given what it refers to."""
        inner = [*filter(can_change, containers_among(parts))]
        items = items_of_all(inner)
        containers = tuple(at for at, part in enumerate(parts) if any(part is one for one in inner))
        is_flat = not any(map(can_change, containers_among(items)))
        identities = _identities(parts), _identities(items)
        return cls(holder, key, where, *identities, containers if is_flat else None)

    def has_changed(self, parts: list[object]) -> bool:
        """Tell whether what is in it may not be what was noted, given what the object refers to now."""
        if self.containers is None or _identities(parts) != self.parts:
            return True
        if not self.containers:
            return False
        return _identities(items_of_all(parts[at] for at in self.containers)) != self.items


def _identities(values: Sequence[object]) -> tuple[int, ...]:
    """Return the identities of values and of their types. Nothing is kept alive."""
    found = (*map(id, values), *map(id, map(type, values)))
    if _CALLABLES.isdisjoint(found):
        return found
    # Where one was, another one soon is.
    anchors = [_anchor(value) for value in values if id(type(value)) in _CALLABLES]
    return (*found, *map(id, anchors), *map(id, map(type, anchors)))


def _each_identity(values: Sequence[object]) -> list[tuple[int, int]]:
    """Return for each of some values what tells it from others. Nothing is kept alive."""
    return [*zip(map(id, values), map(id, map(type, values)), strict=True)]


def _anchor(function: Any) -> object:
    """Return what tells a function or method from another one that has taken its place in memory."""
    return function.__self__ if type(function) is MethodType else function.__globals__


class _Picture:
    """What is in containers and instances at a moment, and in the containers in these.

    Args:
        holders: tell what holds them.
    """

    def __init__(self, holders: Sequence[_Waiting | _Parts]) -> None:
        self._holders = [(each.holder, each.key) for each in holders]
        # Of each depth: what was there, by identities, and what gets of it that in which more is.
        self._levels: list[tuple[object, Callable[[list[object]], tuple[object, ...]]]] = []
        # To be looked at again and again.
        self._is_too_large = False
        found, seen, places = self._held(), set[int](), [*range(len(holders))]
        while places and len(self._levels) < _DEEPEST_PICTURE and not self._is_too_large:
            containers = itemgetter(*places, places[0])  # of one place alone it would give the value itself
            self._levels.append((_pointers(found), containers))
            found = gc.get_referents(*containers(found))
            self._is_too_large = len(found) > _LARGEST_PICTURE
            places = [*_inner(found, seen)]
        self._last = _pointers(found)

    def _held(self) -> list[object]:
        return [owner_of_method(holder.get(key)) for holder, key in self._holders]

    def is_true(self) -> bool:
        """Tell whether all is as it was, at the speed of C."""
        if self._is_too_large:
            return False
        found = self._held()
        for pointers, containers in self._levels:
            if _pointers(found) != pointers:
                return False
            found = gc.get_referents(*containers(found))
        return _pointers(found) == self._last


def _inner(values: Sequence[object], seen: set[int]) -> Iterator[int]:
    """Yield where the containers and functions are among some values that were not seen, and may matter."""
    for at, value in enumerate(values):
        matters = id(type(value)) in _WITH_PARTS or (is_container(value) and may_matter(value))
        if matters and id(value) not in seen:
            seen.add(id(value))
            yield at


def _pointers(values: list[object]) -> object:
    """Return what tells values and their types apart. Nothing is kept alive."""
    everything = (*values, *map(type, values))
    return read_pointers(everything) or [*map(id, everything)]


class _Referrer:
    """What one namespace, with the classes that are defined in it, can refer to.

    Args:
        space: the namespace.
        is_own: see :class:`.NewModules`, which is not to be kept alive.
    """

    def __init__(self, space: dict[str, Any], is_own: _IsOwn | None) -> None:
        # First of all: another thread may write to it meanwhile.
        self._moment = Moment(space)
        self._is_own = is_own
        # Its classes, which are not kept alive, and where the versions of their namespaces are read.
        self._classes: list[weakref.ref[type]] = []
        self._cells: list[Cell] = []
        # Of modules, and of the namespaces of functions.
        self._identities: set[int] = set()
        # Of classes, and of those of instances.
        self._homes: set[str] = set()
        self._waiting: list[_Waiting] = []
        self._parts: list[_Parts] = []
        # Whether nobody has asked since it was noted.
        self._is_young = True
        # What is in containers and instances, and how often something else was in them.
        self._picture: _Picture | None = None
        self._changes = 0
        held = list(space.items())
        # The names in it, and what tells apart what it holds under them.
        self._names = [key for key, _ in held]
        self._held = _each_identity([value for _, value in held])
        for key, value in held:
            is_class = self._note(space, key, key, value)
            if is_class and self._defines(space, value):
                self._note_class(key, value)
        self._has_cells = None not in self._cells
        self._versions = read_cells(self._cells) if self._has_cells else b""

    @staticmethod
    def _defines(space: Mapping[str, Any], cls: type) -> bool:
        name = space.get("__name__")
        return type(name) is str and class_home(cls) == name

    def _note_class(self, where: str, cls: type) -> None:
        space = class_namespace(cls)
        self._classes.append(weakref.ref(cls))
        self._cells.append(cell_of(class_dictionary(cls)))
        for key, value in list(space.items()):
            self._note(space, key, f"{where}.{key}", value)

    def _note(self, space: Mapping[str, Any], key: object, where: str, value: object) -> bool:
        """Take note of a value; tell whether it is a class."""
        if type(key) is not str or key == "__builtins__" or is_plain_value(value):
            return False
        kind = type(value)
        if (kind is list or kind is set) and key in _STRINGS:
            return False
        items = items_of_container(value)
        if id(kind) in _CHANGING or (items and any(map(can_change, containers_among(items)))):
            self._waiting.append(_Waiting(space, key, where, value))
        elif kind is not tuple and kind is not frozenset and is_holder(value, self._is_own):
            items = parts_of(value)
            self._parts.append(_Parts.of(space, key, where, items))
        self._note_items(items)
        return self._note_value(value)

    def _note_items(self, items: list[object]) -> None:
        for item in everything_in(items) if items else ():
            self._note_value(item)

    def _note_value(self, value: Any) -> bool:
        kind = type(value)
        if issubclass(kind, ModuleType):
            self._identities.add(id(value))
            return False
        if kind is FunctionType:
            self._identities.add(id(value.__globals__))
            return False
        if kind is MethodType:
            owner = value.__self__
            self._homes.add(class_home(owner if issubclass(type(owner), type) else type(owner)))
            return False
        is_class = issubclass(kind, type)
        self._homes.add(class_home(value if is_class else kind))
        return is_class

    def is_of(self, space: object) -> bool:
        """Tell whether this is that namespace, and nothing in it has changed but what is in containers."""
        return self._moment.lasts_for(space) and self._has_same_classes()

    def _has_same_classes(self) -> bool:
        if not self._has_cells:
            return False
        alive = [reference() for reference in self._classes]  # as long as their versions are read
        return None not in alive and read_cells(self._cells) == self._versions

    def follow(self, space: dict[str, Any]) -> bool:
        """Take note of what else the namespace holds now under the same names; tell whether that is all."""
        moment = Moment(space)
        if not self._moment.is_of(space) or not self._has_same_classes():
            return False
        names, values = [*space], [*space.values()]
        if len(names) != len(values) or len(names) != len(self._names):
            return False
        identities = _each_identity(values)
        changed = [at for at, one in enumerate(identities) if one != self._held[at]]
        is_class = any(
            issubclass(type(values[at]), type) and self._defines(space, values[at]) for at in changed
        )
        if is_class or not all(map(is_, names, self._names)):
            return False
        holders = self._holders()
        for at in changed:
            self._waiting = [one for one in self._waiting if one.where is not names[at]]
            self._parts = [one for one in self._parts if one.where is not names[at]]
            self._note(space, names[at], names[at], values[at])
        if holders != self._holders():
            self._picture = None
        for value in values:  # of another module may be what has taken the place of something in memory
            if not is_plain_value(value):
                self._note_value(value)
        self._held, self._moment = identities, moment
        return True

    def _holders(self) -> set[str]:
        return {one.where for one in self._waiting} | {one.where for one in self._parts}

    def references(self, space: Mapping[str, object], modules: NewModules) -> Iterator[tuple[str, str]]:
        """Yield what :meth:`.NewModules.references` does."""
        is_young, self._is_young = self._is_young, False
        if not (self._identities.isdisjoint(modules.identities) and self._homes.isdisjoint(modules.names)):
            yield from modules.references(space)
            return
        if is_young or not (self._waiting or self._parts):
            return
        if self._picture is not None and self._picture.is_true():
            return
        self._changes += 1
        found = [*self._changed(modules)]
        # What is new has to be told of as long as it is there; and not all may have been looked at.
        is_known = not found and bool(modules.own or not self._parts)
        is_wanted = is_known and self._changes < _MOST_CHANGES
        self._picture = _Picture([*self._waiting, *self._parts]) if is_wanted else None
        yield from found

    def _changed(self, modules: NewModules) -> Iterator[tuple[str, str]]:
        """Yield the modules to which refers what has changed since it was noted, and under which name."""
        for waiting in self._waiting:
            container = waiting.holder.get(waiting.key)
            if waiting.has_changed(container):
                found = [*modules.references_of_container(waiting.where, container)]
                if not found:
                    self._note_items(items_of_container(container))
                    waiting.renew(container)
                yield from found
        for at, known in enumerate(self._parts) if modules.own else ():
            value = known.holder.get(known.key)
            parts = parts_of(value)
            if known.has_changed(parts):
                found = [*modules.references_of_container(known.where, value)]
                if not found:
                    self._note_items(parts)
                    self._parts[at] = _Parts.of(known.holder, known.key, known.where, parts)
                yield from found


class Referrers:
    """Modules that stay loaded while windows open and close over them, by their names.

    Most hold the same from one window to the next, and to look at all of it each time would take longer than
    all else that is done when a window is closed.
    """

    # Those of the last window that was closed.
    _last: ClassVar[Referrers | None] = None

    def __init__(self) -> None:
        self._known: dict[Any, _Referrer] = {}

    @classmethod
    def among(cls, names: Iterable[Any]) -> Referrers:
        """Return the modules of some names, with what is known of them; all else is forgotten."""
        before = {} if cls._last is None else cls._last._known
        found = cls._last = cls()
        found._known = {name: before[name] for name in names if name in before}
        return found

    def references(self, name: Any, module: object, modules: NewModules) -> Iterator[tuple[str, str]]:
        """Yield what a module refers to; see :meth:`.NewModules.references`.

        An instance is known by the class that it had: where its ``__class__`` is assigned to later, that is
        missed.

        Args:
            name: the key of the module.
            module: the module.
            modules: those that are looked for.
        """
        space = namespace(module) or {}
        # Of anything else, another object may take the place of the dictionary.
        if not HAS_NUMBERS or type(module) is not ModuleType:
            yield from modules.references(space)
            return
        known = self._known.get(name)
        if known is None or not (known.is_of(space) or known.follow(space)):
            known = self._known[name] = _Referrer(space, modules.is_own)
        yield from known.references(space, modules)
