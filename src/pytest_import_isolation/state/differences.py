"""What can differ between two import states, and how parts of them are compared."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pytest_import_isolation.machinery.modules import ABSENT

#: The lists of the import state, by their names in ``sys``.
LISTS: Final = ("path", "meta_path", "path_hooks")


class ListChange(NamedTuple):
    """What became of one list of ``sys``."""

    added: tuple[object, ...]
    removed: tuple[object, ...]
    moved: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


class Binding(NamedTuple):
    """The attribute by which a package holds a submodule."""

    before: object
    after: object


class Difference(NamedTuple):
    """How the import state differs from a captured one. Values are the objects themselves."""

    added: dict[Any, object]
    removed: dict[Any, object]
    replaced: dict[Any, tuple[object, object]]
    bindings: dict[str, Binding]
    lists: dict[str, ListChange]
    rebound: tuple[str, ...]
    import_function: bool
    importer_cache: bool

    def __bool__(self) -> bool:
        return any(self)

    def undone(self) -> Difference:
        """Return the change that undoes this one."""
        return self._replace(
            added=self.removed,
            removed=self.added,
            replaced={name: (now, before) for name, (before, now) in self.replaced.items()},
            bindings={n: Binding(binding.after, binding.before) for n, binding in self.bindings.items()},
            lists={
                name: ListChange(change.removed, change.added, change.moved)
                for name, change in self.lists.items()
            },
        )


#: What is found where nothing has changed.
NO_DIFFERENCE: Final = Difference({}, {}, {}, {}, {}, (), import_function=False, importer_cache=False)


class Overlay(NamedTuple):
    """Changes of the import state as they can be laid over it again. Values are the objects themselves."""

    #: What stands in ``sys.modules``.
    entries: Mapping[str, object] = MappingProxyType({})
    #: What is not there.
    removed: tuple[str, ...] = ()
    #: What packages hold under the last names of these modules; ABSENT for nothing.
    bindings: Mapping[str, object] = MappingProxyType({})
    #: For lists of ``sys``, what they held before and after the changes.
    lists: Mapping[str, tuple[tuple[object, ...], tuple[object, ...]]] = MappingProxyType({})
    #: What stands in the place of ``builtins.__import__``.
    import_function: Callable[..., Any] | None = None

    def __bool__(self) -> bool:
        return any(self)


def same_entries(before: dict[Any, object], now: dict[Any, object]) -> bool:
    """Tell whether two copies of ``sys.modules`` hold the same keys with the very same objects.

    ``==`` goes first because it is three times faster than a comparison of identities; but it asks the
    ``__eq__`` of an object that took another's place, and such an object may answer True to everything
    (``unittest.mock.ANY``) or raise. So a True is confirmed by identity, an exception means "changed".
    """
    try:
        if len(before) != len(now) or before != now:
            return False
    except Exception:
        return False
    if all(map(operator.is_, before.values(), now.values())):
        return True
    return all(now.get(name, ABSENT) is module for name, module in before.items())


def appended(keys: list[Any], objects: list[object], now: dict[Any, object]) -> dict[Any, object] | None:
    """Return what a table holds more than before, if it holds nothing less and nothing else; None otherwise.

    Most changes of ``sys.modules`` are such, and only those need a look that came.

    Args:
        keys: what the keys were, in order.
        objects: the values.
        now: a copy of the table.
    """
    number = len(keys)
    now_keys, now_objects = [*now], [*now.values()]
    try:
        if now_keys[:number] != keys or not all(map(operator.is_, now_objects, objects)):
            return None
    except Exception:  # keys of sys.modules may be anything
        return None
    return dict(zip(now_keys[number:], now_objects[number:], strict=True))


class EntryChanges(NamedTuple):
    """How the entries of a table differ from those of an earlier one."""

    added: dict[Any, object]
    removed: dict[Any, object]
    #: What was there before, and what is there now.
    replaced: dict[Any, tuple[object, object]]


def compare_entries(
    before: dict[Any, object], keys: list[Any], objects: list[object], now: dict[Any, object]
) -> EntryChanges:
    """Compare two versions of a table by identity.

    Args:
        before: the earlier one.
        keys: its keys, in order.
        objects: its values.
        now: a copy of the table.
    """
    added = appended(keys, objects, now)
    if added is not None:
        return EntryChanges(added, {}, {})
    return EntryChanges(
        {name: module for name, module in now.items() if name not in before},
        {name: module for name, module in before.items() if name not in now},
        {n: (module, now[n]) for n, module in before.items() if now.get(n, module) is not module},
    )


def items_in(value: object) -> tuple[object, ...]:
    """Return the items of what should be a list in ``sys`` and may be anything."""
    try:
        return tuple(value)  # type: ignore[arg-type]
    except Exception:  # a test left an object whose iteration fails
        return ()


def same_items(found: object, items: tuple[object, ...]) -> bool:
    """Tell whether a list holds the very same objects in the same order."""
    return type(found) is list and len(found) == len(items) and all(map(operator.is_, found, items))


def items_of(list_name: str) -> tuple[object, ...]:
    """Return what one of the lists of ``sys`` holds now; nothing if something else stands there."""
    return items_in(getattr(sys, list_name, None))


class Lists:
    """What the lists of ``sys`` held, for looks that compare them at the speed of C.

    Args:
        lists: the lists themselves, each with its items, in the order of :data:`LISTS`.
    """

    __slots__ = ("_contents", "_found", "_items", "_numbers")

    def __init__(self, lists: Iterable[tuple[object, tuple[object, ...]]]) -> None:
        # Written out: every window makes one.
        (path, paths), (meta_path, finders), (path_hooks, hooks) = lists
        self._found = [path, meta_path, path_hooks]
        self._contents = [[*paths], [*finders], [*hooks]]
        self._items = [*paths, *finders, *hooks]
        self._numbers = len(paths), len(finders), len(hooks)

    def show_same_numbers(self) -> bool:
        """Tell whether they hold as many items.

        Raises:
            Exception: somebody put something else in the place of one, here as below.
        """
        return (len(sys.path), len(sys.meta_path), len(sys.path_hooks)) == self._numbers

    def look_same(self) -> bool:
        """Tell whether they hold equal items; an item that claims to be equal is believed."""
        now = [sys.path, sys.meta_path, sys.path_hooks]
        return now == self._contents and all(map(operator.is_, now, self._found))

    def are_same(self) -> bool:
        """Tell whether they hold the very same items."""
        items = chain(sys.path, sys.meta_path, sys.path_hooks)
        return self.look_same() and all(map(operator.is_, items, self._items))


def key_of(item: object) -> object:
    """Return what an item of a list of ``sys`` is compared by.

    Path entries are compared by value, because pytest and users insert equal strings again; finders, hooks
    and odd path entries by identity, because their ``__eq__`` is not ours to call.
    """
    return item if type(item) is str else id(item)


def compare_lists(before: Sequence[object], after: Sequence[object]) -> ListChange:
    """Compare two versions of a list of ``sys`` as multisets and, if those are equal, by order."""
    keys_before, keys_after = list(map(key_of, before)), list(map(key_of, after))
    if keys_before == keys_after:
        return ListChange((), (), moved=False)
    added = beyond(after, before)
    removed = beyond(before, after)
    kept_before = [key for key in keys_before if key in set(keys_after)]
    kept_after = [key for key in keys_after if key in set(keys_before)]
    moved = not added and not removed and kept_before != kept_after
    return ListChange(tuple(added), tuple(removed), moved)


def beyond(items: Sequence[object], others: Sequence[object]) -> list[object]:
    """Return the items that are more than those of another list, each as often as it is one more."""
    left = list(map(key_of, others))
    more = []
    for item in items:
        try:
            left.remove(key_of(item))
        except ValueError:
            more.append(item)
    return more


def stands_in_front(item: object, now: Sequence[object], before: Iterable[object]) -> bool:
    """Tell whether a new item of a list stands before all that were there before it."""
    old = set(map(key_of, before))
    for other in now:
        if other is item:
            return True
        if key_of(other) in old:
            return False
    return False


def edited(now: Sequence[object], before: Sequence[object], after: Sequence[object]) -> list[object]:
    """Make to a list the change that was made to an earlier version of it.

    Args:
        now: the list.
        before: what it held when the change was made.
        after: what it held then.

    Returns:
        ``after`` where the list is as it was; else what was added goes in front if it stood before all
        others, or to the end, and what was removed goes.
    """
    if list(map(key_of, now)) == list(map(key_of, before)):
        return list(after)
    added = beyond(after, before)
    in_front = [item for item in added if stands_in_front(item, after, before)]
    front = set(map(key_of, in_front))
    behind = [item for item in beyond(added, now) if key_of(item) not in front]
    return [*in_front, *beyond(now, beyond(before, after)), *behind]
