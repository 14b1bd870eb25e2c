"""One namespace, of a module or of a class, and copies of what it held."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Set
from itertools import compress, repeat
from operator import is_, is_not
from types import ModuleType
from typing import Any, Final

from pytest_import_isolation.machinery.dict_versions import DEAD_CELL, Cell, cell_of
from pytest_import_isolation.machinery.identities import Identities
from pytest_import_isolation.machinery.modules import class_dictionary, namespace, reader_of
from pytest_import_isolation.machinery.platform import IsOver, is_finalizing
from pytest_import_isolation.watching.import_watch import LOCKS


class _Held(weakref.ref[Any]):
    """Stands for a module in copies, which must keep no module alive. There is one for each module."""

    __slots__ = ("identity",)
    #: That of the module. Another object may have it later.
    identity: int


#: By the identities of modules. The same few modules stand in thousands of namespaces.
_HELD: Final[dict[int, _Held]] = {}


def _forget(held: _Held, known: dict[int, _Held] = _HELD) -> None:
    if known.get(held.identity) is held:
        known.pop(held.identity, None)


def _held(module: object) -> _Held:
    known = _HELD.get(id(module))
    if known is None or known() is not module:
        known = _HELD[id(module)] = _Held(module, _forget)
        known.identity = id(module)
    return known


class _Owner(weakref.ref[Any]):
    """Hears of the end of a module or class. A method bound to the namespace would be one object more."""

    __slots__ = ("space",)
    #: Its namespace.
    space: Space


#: By module or class, the names that are never looked at. The interpreter and pytest set them again and
#: again, or the import state is made of them.
_UNTOLD: Final[Mapping[str, frozenset[str]]] = {
    "sys": frozenset(
        (
            *("last_exc", "last_type", "last_value", "last_traceback"),
            *("stdin", "stdout", "stderr", "ps1", "ps2"),
            *("modules", "path", "meta_path", "path_hooks", "path_importer_cache", "dont_write_bytecode"),
            *("displayhook", "excepthook", "unraisablehook", "breakpointhook", "tracebacklimit", "argv"),
        )
    ),
    "builtins": frozenset(("_", "__import__")),
    # What watches imports, or blocks them, puts its own there.
    **dict.fromkeys(("_frozen_importlib", "importlib._bootstrap"), frozenset((*LOCKS, "_find_spec"))),
    "importlib.util": frozenset(("_find_spec",)),
    # The cache of code that windows use.
    "_frozen_importlib_external.SourceFileLoader": frozenset(("get_code",)),
}


_NO_NAMES: Final[frozenset[str]] = frozenset()


class Copy(dict[str, object]):
    """What a namespace held; empty once the owner of the namespace is gone."""

    __slots__ = ("__weakref__",)

    def value(self, name: str, default: object) -> object:
        """Return what the namespace held under a name."""
        return value_of(self.get(name, default))

    def holds_same(self, other: Copy) -> bool:
        """Tell whether another copy has the same objects under the same names, in the same order."""
        if len(self) != len(other) or not all(map(is_, self, other)):
            return False
        # At the speed of C; of a module that is gone nothing is known but that.
        different = compress(
            zip(self.values(), other.values(), strict=True), map(is_not, self.values(), other.values())
        )
        return all(value_of(mine) is value_of(its) for mine, its in different)


class _Gone:
    """The type of :data:`GONE`."""

    __slots__ = ()


#: Stands for a module that is no more.
GONE: Final = _Gone()


def value_of(kept: object) -> object:
    """Return what an item of a copy stands for."""
    if type(kept) is not _Held:
        return kept
    module = kept()
    return GONE if module is None else module


def copy_of(dictionary: dict[str, Any], untold: Iterable[str] = ()) -> Copy:
    """Return a copy of a namespace that keeps no module alive.

    Args:
        dictionary: the namespace.
        untold: names that are left out.
    """
    copy = Copy(dictionary)
    for name in untold:
        copy.pop(name, None)
    # At the speed of C: a namespace has many values, and few of them are modules.
    modules = compress(copy, map(issubclass, map(type, copy.values()), repeat(ModuleType)))
    for name in [*modules]:
        if type(name) is str:
            copy[name] = _held(copy[name])
    return copy


class _Told:
    """What a namespace with untold names held, but for these, so that it is compared at the speed of C.

    Args:
        copy: a copy of it.
        untold: the names.
    """

    __slots__ = ("_modules", "_number", "_read", "_untold", "_values")

    def __init__(self, copy: Copy, untold: Set[str]) -> None:
        copy = Copy(copy)
        for name in untold:
            copy.pop(name, None)
        self._untold = untold
        self._number = len(copy)
        self._modules = [(name, kept) for name, kept in copy.items() if type(kept) is _Held]
        others = {name: value for name, value in copy.items() if type(value) is not _Held}
        self._read = reader_of([*others])
        self._values = Identities(others.values())

    def is_held_by(self, dictionary: dict[str, Any]) -> bool:
        """Tell whether a namespace has the same told names still, with the same objects."""
        if len(dictionary) - sum(map(dictionary.__contains__, self._untold)) != self._number:
            return False
        try:
            found = self._read(dictionary)
        except KeyError:
            return False
        return self._values.are_those_of(found) and all(
            dictionary.get(name) is value_of(kept) for name, kept in self._modules
        )


class Space:
    """The namespace of a module, or of a class that is defined in one.

    Args:
        name: of the module, or of the class with its module.
        home: the name of the module.
        owner: the module or class, which is not kept alive.
        dictionary: its namespace.
        on_death: called with this before anything is let go of, when the owner dies.
    """

    __slots__ = (
        "__weakref__",
        "_copies",
        "_identities",
        "_on_death",
        "_overlooked",
        "_told",
        "_version",
        "cell",
        "copy",
        "dictionary",
        "first",
        "has_untold",
        "home",
        "identity",
        "is_class",
        "is_late",
        "name",
        "owner",
        "was_there",
    )

    def __init__(
        self,
        name: str,
        home: str,
        owner: object,
        dictionary: dict[str, Any],
        on_death: Callable[[Space], object],
    ) -> None:
        self.name = name
        self.home = home
        self.is_class = issubclass(type(owner), type)
        self._on_death = on_death
        #: That of the module or class. Another object may have it later.
        self.identity = id(owner)
        #: Gives the module or class, None once it is no more.
        self.owner = _Owner(owner, _end_space)
        self.owner.space = self
        #: The namespace itself, None once its owner is no more.
        self.dictionary: dict[str, Any] | None = dictionary
        #: Where its version is read, if it has one.
        self.cell: Cell | None = cell_of(dictionary)
        # As it was when it was copied last; where there are no versions, what is compared in place of them.
        self._version: object = None if self.cell is None else self.cell.value
        self._identities = _identities(dictionary) if self.cell is None else None
        # The names that make no other copy of it.
        self._overlooked = _UNTOLD.get(name, _NO_NAMES)
        #: Whether the interpreter or pytest set names in it again and again that are never looked at.
        self.has_untold = bool(self._overlooked)
        # Copies that others may hold. Not a list: each is one more object that garbage collections look at.
        self._copies: tuple[weakref.ref[Copy], ...] = ()
        #: What it held when it was looked at last.
        self.copy = copy_of(dictionary, self._overlooked)
        # What was copied last, where there are untold names.
        self._told = _Told(self.copy, self._overlooked) if self.has_untold else None
        #: What it held when its first execution ended, or when it was looked at first.
        self.first = self.copy
        #: Whether it was looked at first some time after that: what was written to it before is not known.
        self.is_late = False
        #: Whether its module had been loaded for a while, and nobody had a reason to look at it.
        self.was_there = False

    def __repr__(self) -> str:
        return f"Space({self.name!r})"

    def end(self) -> None:
        """Let go for good of all that it holds and held: its owner is no more, or the module of that."""
        # First of all: nobody may read the version of what is no more.
        self.cell = None if self.cell is None else DEAD_CELL
        self._on_death(self)
        for copy in (self.copy, self.first, *(reference() for reference in self._copies)):
            if copy is not None:
                copy.clear()
        self._copies = ()
        self._identities = self._told = None
        self.dictionary = None

    def rest(self) -> None:
        """Let go of all that it holds, while its owner is not loaded."""
        self.cell = self._version = self._identities = self._told = self.dictionary = None
        self.hold(self.copy)
        self.copy = self.first = Copy()

    def resume(self) -> None:
        """Find its namespace again, if its owner was not loaded for a while."""
        owner = self.owner()
        if self.dictionary is None and owner is not None:
            self.dictionary = class_dictionary(owner) if self.is_class else namespace(owner)

    def wake(self, dictionary: dict[str, Any]) -> None:
        """Look at its namespace again: its owner is back."""
        self.dictionary, self.cell = dictionary, cell_of(dictionary)
        self.refresh()
        self.first = self.copy

    def overlook(self, name: str) -> None:
        """Look at a name no more: its module writes there itself, again and again.

        A copy for each of its states would be made and compared in each test. Copies that are made for other
        names have it, so that what is put back of them belongs together.
        """
        self._overlooked |= {name}
        self._told = None

    def refresh(self) -> bool:
        """Copy what it holds now, if that is not what was copied last; tell whether it was copied."""
        dictionary = self.dictionary
        if dictionary is None or self._is_unchanged(dictionary):
            return False
        # For each test pytest puts streams of its own into sys, and modules count or clear what is theirs.
        if self._overlooked and self._told is not None and self._told.is_held_by(dictionary):
            return False
        copy = copy_of(dictionary, _UNTOLD.get(self.name, ()))
        if self._overlooked:
            self._told = _Told(copy, self._overlooked)
        if copy.holds_same(self.copy):  # what was written is untold, or was taken back
            return False
        self.hold(self.copy)
        self.copy = copy
        return True

    def may_differ(self, before: Copy, held: Callable[[], Set[int]]) -> bool:
        """Tell whether what this holds may differ in a way that concerns a holder of some objects.

        Nothing is copied for that. A package gets a name with each submodule that is imported.

        Args:
            before: what it held.
            held: returns the identities of the objects: most namespaces are as before.
        """
        dictionary = self.dictionary
        if dictionary is None or self.cell is None:
            return True
        if self.copy is before and self.cell.value == self._version:
            return False
        objects = held()
        return id(self.owner()) in objects or any(
            map(objects.__contains__, map(id, list(dictionary.values())))
        )

    def _is_unchanged(self, dictionary: dict[str, Any]) -> bool:
        if self.cell is not None:
            version, self._version = self._version, self.cell.value
            return version == self._version
        # The copy keeps alive what it held, except for modules: no address is used twice meanwhile.
        before, self._identities = self._identities, _identities(dictionary)
        return self._identities == before

    def hold(self, copy: Copy) -> Copy:
        """Let go of another copy too when the owner dies."""
        self._copies = (*(kept for kept in self._copies if kept() is not None), weakref.ref(copy))
        return copy


def _end_space(owner: _Owner, is_over: IsOver = is_finalizing) -> None:
    if not is_over():  # what this module holds is gone by then
        owner.space.end()


def _identities(dictionary: dict[str, Any]) -> tuple[int, ...]:
    return (*map(id, tuple(dictionary)), *map(id, tuple(dictionary.values())))


def space_of_class(name: str, home: str, cls: Any, on_death: Callable[[Space], object]) -> Space | None:
    """Return the namespace of a class, by the dictionary behind it; None if there is not one.

    Args:
        name: of the class, with its module.
        home: the name of the module.
        cls: the class.
        on_death: see :class:`Space`.
    """
    dictionary = class_dictionary(cls)
    return None if dictionary is None else Space(name, home, cls, dictionary, on_death)
