"""What modules refer to, remembered as long as their namespaces do not change."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any, ClassVar, Final

from pytest_import_isolation.machinery.dict_versions import HAS_NUMBERS, Cell, Moment, cell_of, read_cells
from pytest_import_isolation.machinery.modules import class_dictionary, class_home, class_namespace, namespace
from pytest_import_isolation.machinery.named_tuples import NamedTuple
from pytest_import_isolation.state.references import (
    NewModules,
    can_change,
    containers_among,
    everything_in,
    is_plain_value,
    items_of_all,
    items_of_container,
    parts_of,
)

_IsHolder = Callable[[object], bool]
# Lists of strings, which nearly every module has.
_STRINGS: Final = frozenset(("__all__", "__path__"))


class _Waiting(NamedTuple):
    """A container that can change while its holder does not."""

    holder: Mapping[str, Any]
    key: str
    #: How it is called.
    where: str
    #: Of a dictionary: its identity, where its version is read, and that version when its items were noted.
    identity: int = 0
    cell: Cell | None = None
    version: object = None

    def has_changed(self, container: object) -> bool:
        """Tell whether what is there now may hold something that was not noted."""
        # It is alive: that what is read is a dictionary's version, and no two of these are the same.
        return self.cell is None or id(container) != self.identity or self.cell.value != self.version


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

    def references(self, modules: NewModules) -> Iterator[tuple[str, str]]:
        """Yield what is in it if that is not what was noted; see :meth:`.NewModules.references`."""
        value = self.holder.get(self.key)
        parts = parts_of(value)
        is_same = self.containers is not None and _identities(parts) == self.parts
        if is_same and self.containers:
            is_same = _identities(items_of_all(parts[at] for at in self.containers)) == self.items
        if not is_same:
            yield from modules.references_of_container(self.where, value)


def _identities(values: Sequence[object]) -> tuple[int, ...]:
    """Return the identities of values and of their types. Nothing is kept alive."""
    return (*map(id, values), *map(id, map(type, values)))


class _Referrer:
    """What one namespace, with the classes that are defined in it, can refer to.

    Args:
        space: the namespace.
        is_holder: see :meth:`.NewModules.is_holder`.
    """

    def __init__(self, space: dict[str, Any], is_holder: _IsHolder) -> None:
        # First of all: another thread may write to it meanwhile.
        self._moment = Moment(space)
        # Its classes, which are not kept alive, and where the versions of their namespaces are read.
        self._classes: list[weakref.ref[type]] = []
        self._cells: list[Cell] = []
        # Of modules, and of the namespaces of functions.
        self._identities: set[int] = set()
        # Of classes, and of those of instances.
        self._homes: set[str] = set()
        self._waiting: list[_Waiting] = []
        self._parts: list[_Parts] = []
        name = space.get("__name__")
        for key, value in list(space.items()):
            is_class = self._note(space, key, key, value, is_holder)
            if is_class and type(name) is str and class_home(value) == name:
                self._note_class(key, value, is_holder)
        self._has_cells = None not in self._cells
        self._versions = read_cells(self._cells) if self._has_cells else b""

    def _note_class(self, where: str, cls: type, is_holder: _IsHolder) -> None:
        space = class_namespace(cls)
        self._classes.append(weakref.ref(cls))
        self._cells.append(cell_of(class_dictionary(cls)))
        for key, value in list(space.items()):
            self._note(space, key, f"{where}.{key}", value, is_holder)

    def _note(
        self, space: Mapping[str, Any], key: object, where: str, value: object, is_holder: _IsHolder
    ) -> bool:
        """Take note of a value; tell whether it is a class."""
        if type(key) is not str or key == "__builtins__" or is_plain_value(value):
            return False
        kind = type(value)
        if kind is list or kind is set:
            if key not in _STRINGS:
                self._waiting.append(_Waiting(space, key, where))
            return False
        items = items_of_container(value)
        if items and any(map(can_change, containers_among(items))):
            self._waiting.append(_Waiting(space, key, where))  # what is in these can change while it does not
        elif kind is dict:
            cell = cell_of(value)
            version = None if cell is None else cell.value
            self._waiting.append(_Waiting(space, key, where, id(value), cell, version))
        elif kind is not tuple and kind is not frozenset and is_holder(value):
            parts = parts_of(value)
            self._parts.append(_Parts.of(space, key, where, parts))
            items = parts
        for item in everything_in(items) if items else ():
            self._note_value(item)
        return self._note_value(value)

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
        if not (self._has_cells and self._moment.lasts_for(space)):
            return False
        alive = [reference() for reference in self._classes]  # as long as their versions are read
        return None not in alive and read_cells(self._cells) == self._versions

    def references(self, space: Mapping[str, object], modules: NewModules) -> Iterator[tuple[str, str]]:
        """Yield what :meth:`.NewModules.references` does."""
        if not (self._identities.isdisjoint(modules.identities) and self._homes.isdisjoint(modules.names)):
            yield from modules.references(space)
            return
        for waiting in self._waiting:
            container = waiting.holder.get(waiting.key)
            if waiting.has_changed(container):
                yield from modules.references_of_container(waiting.where, container)
        for parts in self._parts if modules.own else ():
            yield from parts.references(modules)


class Referrers:
    """Modules that stay loaded while windows open and close over them, by their names.

    Most hold the same from one window to the next, and to look at all of it each time would take longer than
    all else that is done when a window is closed.
    """

    # Those of the last window that was closed.
    _last: ClassVar[Referrers | None] = None

    def __init__(self, known: dict[Any, _Referrer]) -> None:
        self._known = known

    @classmethod
    def among(cls, names: Iterable[Any]) -> Referrers:
        """Return the modules of some names, with what is known of them; all else is forgotten."""
        before = {} if cls._last is None else cls._last._known
        cls._last = cls({name: before[name] for name in names if name in before})
        return cls._last

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
        if known is None or not known.is_of(space):
            known = self._known[name] = _Referrer(space, modules.is_holder)
        yield from known.references(space, modules)
