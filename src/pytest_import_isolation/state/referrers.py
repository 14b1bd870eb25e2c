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
#: Containers that can change, by identity: a class may have a metaclass that compares it.
_CHANGING: Final = frozenset(map(id, (list, set, dict)))
# Lists of strings, which nearly every module has.
_STRINGS: Final = frozenset(("__all__", "__path__"))


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


class _Notes:
    """What a namespace can refer to: that of a module or of a class.

    Args:
        is_holder: see :meth:`.NewModules.is_holder`.
    """

    __slots__ = ("_is_holder", "homes", "identities", "parts", "waiting")

    def __init__(self, is_holder: _IsHolder) -> None:
        self._is_holder = is_holder
        #: Of modules, and of the namespaces of functions.
        self.identities: set[int] = set()
        #: Of classes, and of those of instances.
        self.homes: set[str] = set()
        self.waiting: list[_Waiting] = []
        self.parts: list[_Parts] = []

    def note(self, space: Mapping[str, Any], key: object, where: str, value: object) -> bool:
        """Take note of a value; tell whether it is a class."""
        if type(key) is not str or key == "__builtins__" or is_plain_value(value):
            return False
        kind = type(value)
        if (kind is list or kind is set) and key in _STRINGS:
            return False
        items = items_of_container(value)
        if id(kind) in _CHANGING or (items and any(map(can_change, containers_among(items)))):
            self.waiting.append(_Waiting(space, key, where, value))
        elif kind is not tuple and kind is not frozenset and self._is_holder(value):
            items = parts_of(value)
            self.parts.append(_Parts.of(space, key, where, items))
        self.note_items(items)
        return self._note_value(value)

    def note_items(self, items: list[object]) -> None:
        """Take note of what is in a container."""
        for item in everything_in(items) if items else ():
            self._note_value(item)

    def _note_value(self, value: Any) -> bool:
        kind = type(value)
        if issubclass(kind, ModuleType):
            self.identities.add(id(value))
            return False
        if kind is FunctionType:
            self.identities.add(id(value.__globals__))
            return False
        if kind is MethodType:
            owner = value.__self__
            self.homes.add(class_home(owner if issubclass(type(owner), type) else type(owner)))
            return False
        is_class = issubclass(kind, type)
        self.homes.add(class_home(value if is_class else kind))
        return is_class

    def add(self, other: _Notes) -> None:
        """Add what another one has."""
        self.identities |= other.identities
        self.homes |= other.homes
        self.waiting += other.waiting
        self.parts += other.parts


class _ClassNotes(_Notes):
    """What a class can refer to that is defined in the module that holds it.

    Args:
        cls: the class, which is not kept alive.
        where: how it is called.
        is_holder: see :meth:`.NewModules.is_holder`.
    """

    __slots__ = ("_version", "cell", "reference", "where")

    def __init__(self, cls: type, where: str, is_holder: _IsHolder) -> None:
        super().__init__(is_holder)
        self.reference, self.where = weakref.ref(cls), where
        #: Where the version of its namespace is read; None if that has none.
        self.cell = cell_of(class_dictionary(cls))
        self._version = None if self.cell is None else self.cell.value
        space = class_namespace(cls)
        for key, value in list(space.items()):
            self.note(space, key, f"{where}.{key}", value)

    def are_of(self, cls: type, where: str) -> bool:
        """Tell whether these are those of a class, and nothing in its namespace has changed."""
        if self.cell is None or self.reference() is not cls or self.where != where:
            return False
        return bool(self.cell.value == self._version)


class _Referrer:
    """What one module's namespace, with the classes that are defined in it, can refer to.

    Args:
        space: the namespace.
        is_holder: see :meth:`.NewModules.is_holder`.
        before: what was noted earlier, if it was: most classes are still the same.
    """

    def __init__(self, space: dict[str, Any], is_holder: _IsHolder, before: _Referrer | None) -> None:
        # First of all: another thread may write to it meanwhile.
        self._moment = Moment(space)
        own = _Notes(is_holder)
        known = {} if before is None else {notes.where: notes for notes in before._classes}
        self._classes: list[_ClassNotes] = []
        name = space.get("__name__")
        for key, value in list(space.items()):
            is_class = own.note(space, key, key, value)
            if is_class and type(name) is str and class_home(value) == name:
                notes = known.get(key)
                if notes is None or not notes.are_of(value, key):
                    notes = _ClassNotes(value, key, is_holder)
                self._classes.append(notes)
        for notes in self._classes:
            own.add(notes)
        self._all = own
        cells = [notes.cell for notes in self._classes]
        self._cells: list[Cell] | None = None if None in cells else cells
        self._versions = b"" if self._cells is None else read_cells(self._cells)

    def is_of(self, space: object) -> bool:
        """Tell whether this is that namespace, and nothing in it has changed but what is in containers."""
        if self._cells is None or not self._moment.lasts_for(space):
            return False
        alive = [notes.reference() for notes in self._classes]  # as long as their versions are read
        return None not in alive and read_cells(self._cells) == self._versions

    def references(self, space: Mapping[str, object], modules: NewModules) -> Iterator[tuple[str, str]]:
        """Yield what :meth:`.NewModules.references` does."""
        notes = self._all
        if not (notes.identities.isdisjoint(modules.identities) and notes.homes.isdisjoint(modules.names)):
            yield from modules.references(space)
            return
        for waiting in notes.waiting:
            container = waiting.holder.get(waiting.key)
            if waiting.has_changed(container):
                found = [*modules.references_of_container(waiting.where, container)]
                if not found:  # else it is told of as long as it is there
                    notes.note_items(items_of_container(container))
                    waiting.renew(container)
                yield from found
        for parts in notes.parts if modules.own else ():
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
            known = self._known[name] = _Referrer(space, modules.is_holder, known)
        yield from known.references(space, modules)
